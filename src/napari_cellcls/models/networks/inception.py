"""InceptionResNetV2 (Szegedy et al. 2017, arXiv 1602.07261) inside the published HPA classifier.

Layers are made in the order of Keras, so that its automatic numbers (``conv2d_17``) are ours too.
"""

from __future__ import annotations

from napari_cellcls.models.networks.base import Architecture, ImageNet
from napari_cellcls.models.networks.vgg import HpaWrapParams, hpa_back, hpa_front
from napari_cellcls.models.plan import Plan

_Kernel = int | tuple[int, int]
# (filters, kernel) along each branch.
_Branches = tuple[tuple[tuple[int, _Kernel], ...], ...]

_BLOCK35: _Branches = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
_BLOCK17: _Branches = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
_BLOCK8: _Branches = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


class _Body:
    """Adds layers under the names of Keras and counts them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = 0

    def conv(
        self, x: str, filters: int, kernel: _Kernel, *, stride: int = 1, valid: bool = False
    ) -> str:
        """Add a convolution, its batch normalization without scale, and ReLU."""
        self.count += 1
        n, padding = self.count, "valid" if valid else "same"
        x = self.plan.add(
            "conv", f"conv2d_{n}", x, filters=filters, kernel=kernel, stride=stride, padding=padding
        )
        x = self.plan.add("norm", f"batch_normalization_{n}", x, gamma=False)
        return self.plan.add("relu", f"activation_{n}", x)

    def branch(self, x: str, steps: tuple[tuple[int, _Kernel], ...]) -> str:
        for filters, kernel in steps:
            x = self.conv(x, filters, kernel)
        return x

    def reduced(self, x: str, steps: tuple[tuple[int, _Kernel], ...]) -> str:
        """Add a branch whose last convolution halves the plane."""
        filters, kernel = steps[-1]
        return self.conv(self.branch(x, steps[:-1]), filters, kernel, stride=2, valid=True)

    def residual(self, name: str, x: str, branches: _Branches, scale: float, relu: bool) -> str:
        """Add an Inception-ResNet block: the joined branches, scaled, on top of their input."""
        joined = [self.branch(x, steps) for steps in branches]
        y = self.plan.add("concat", f"{name}_mixed", *joined)
        filters = self.plan.shapes[x][-1]
        y = self.plan.add("conv", f"{name}_conv", y, filters=filters, bias=True)
        if scale != 1:
            y = self.plan.add("rescale", f"{name}_scale", y, scale=(scale,), offset=(0.0,))
        x = self.plan.add("add", f"{name}_add", x, y)
        return self.plan.add("relu", f"{name}_ac", x) if relu else x


def _hpa_inception_resnet_v2(p: HpaWrapParams) -> Plan:
    plan, x = hpa_front(p)
    start = len(plan.layers)
    body = _Body(plan)
    x = _stem(body, x)
    for i in range(1, 11):
        x = body.residual(f"block35_{i}", x, _BLOCK35, 0.17, True)
    x = _reduction(body, "6a", x, (((384, 3),), ((256, 1), (256, 3), (384, 3))))
    for i in range(1, 21):
        x = body.residual(f"block17_{i}", x, _BLOCK17, 0.1, True)
    x = _reduction(
        body, "7a", x, (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3)))
    )
    for i in range(1, 11):
        x = body.residual(f"block8_{i}", x, _BLOCK8, 0.2 if i < 10 else 1.0, i < 10)
    x = plan.add("conv", "conv_7b", x, filters=1536)
    x = plan.add("norm", "conv_7b_bn", x, gamma=False)
    x = plan.add("relu", "conv_7b_ac", x)
    plan.mark_trunk(start)
    hpa_back(plan, x, p.kernel)
    return plan


def _stem(body: _Body, x: str) -> str:
    plan = body.plan
    x = body.conv(x, 32, 3, stride=2, valid=True)
    x = body.conv(x, 32, 3, valid=True)
    x = body.conv(x, 64, 3)
    x = plan.add("maxpool", "max_pooling2d_1", x, kernel=3, stride=2)
    x = body.conv(x, 80, 1, valid=True)
    x = body.conv(x, 192, 3, valid=True)
    x = plan.add("maxpool", "max_pooling2d_2", x, kernel=3, stride=2)
    branches = [body.branch(x, ((96, 1),)), body.branch(x, ((48, 1), (64, 5)))]
    branches.append(body.branch(x, ((64, 1), (96, 3), (96, 3))))
    pooled = plan.add("avgpool", "average_pooling2d_1", x, kernel=3)
    branches.append(body.conv(pooled, 64, 1))
    return plan.add("concat", "mixed_5b", *branches)


def _reduction(body: _Body, name: str, x: str, branches: _Branches) -> str:
    joined = [body.reduced(x, steps) for steps in branches]
    joined.append(body.plan.add("maxpool", f"max_pooling2d_{name}", x, kernel=3, stride=2))
    return body.plan.add("concat", f"mixed_{name}", *joined)


ENTRIES = (
    Architecture(
        "hpa_inception_resnet_v2",
        "HPA InceptionResNetV2",
        HpaWrapParams,
        _hpa_inception_resnet_v2,
        ImageNet(
            "InceptionResNetV2",
            "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            bgr=False,
            first="conv2d_1",
        ),
    ),
)
