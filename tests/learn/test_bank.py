import numpy as np
import pytest

from napari_cellcls.learn import bank
from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.tensorflow


def crops(n=9, edge=8):
    rng = np.random.default_rng(0)
    return rng.integers(1, 255, (n, edge, edge, 3), dtype=np.uint8)


def test_bank_without_changes_holds_the_crops(tmp_path):
    images = crops()
    made = finish(bank.make_bank(images, Augmentation(), 2, 1, tmp_path))
    assert made.shape == (2, *images.shape) and made.dtype == np.uint8
    np.testing.assert_array_equal(made[0], images)
    np.testing.assert_array_equal(made[1], images)


def test_bank_is_made_once_and_differs_by_version_and_seed(tmp_path):
    images, spec = crops(), Augmentation(brightness=0.3, probability=1.0)
    first = finish(bank.make_bank(images, spec, 2, 1, tmp_path))
    files = sorted(tmp_path.iterdir())
    again = finish(bank.make_bank(images, spec, 2, 1, tmp_path))
    assert sorted(tmp_path.iterdir()) == files
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    other = finish(bank.make_bank(images, spec, 2, 2, tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    assert not np.array_equal(first, other)


def test_draw_gives_each_of_the_eight_symmetries():
    image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1) * 10
    rows = np.zeros(400, int)
    batch = bank.draw(image, rows, np.random.default_rng(3))
    assert batch.dtype == np.float32 and batch.shape == (400, 2, 2, 1)
    seen = {tuple(np.round(b.ravel() * 255).astype(int)) for b in batch}
    plane = image[0, :, :, 0]
    wanted = {tuple(np.rot90(m, k).ravel()) for m in (plane, plane.T) for k in range(4)}
    assert seen == {tuple(int(v) for v in w) for w in wanted}
