from __future__ import annotations

import sys
import threading
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellcls.cells.cells import Cells
from napari_cellcls.embed import describe_cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.models import runtime
from napari_cellcls.models.feed import Ahead
from napari_cellcls.models.head import decide, probabilities, thresholds_for
from napari_cellcls.predict import answer, predict, predict_crops, predict_embeddings
from napari_cellcls.vocabulary import (
    COLUMNS,
    RGB_ROLES,
    CellsError,
    ChannelError,
    ChannelRole,
    EngineError,
    ModelError,
    Progress,
    finish,
)
from tests.models import make

SIZE = 24
COLORS = ("#d55e00", "#0072b2", "#009e73")


def rgb_image(side: int = 200) -> Image:
    data = np.random.default_rng(0).integers(0, 256, (3, side, side)).astype(np.uint8)
    channels = tuple(Channel(role.value[4:], role) for role in RGB_ROLES)
    return Image(data, channels, "field", is_rgb=True)


def square_cells(side: int = 200, edge: int = 14) -> Cells:
    """Cells on a grid, with ids that are neither contiguous nor start at 1."""
    labels = np.zeros((side, side), np.int32)
    rows = []
    for n, (y, x) in enumerate(
        (y, x) for y in range(4, side - edge, 20) for x in range(4, side - edge, 20)
    ):
        label = 7 + 3 * n
        labels[y : y + edge, x : x + edge] = label
        rows.append((label, y + edge / 2 - 0.5, x + edge / 2 - 0.5, edge**2, np.nan, y, x, y + edge, x + edge, False, ""))  # fmt: skip
    names = [COLUMNS.label, COLUMNS.y, COLUMNS.x, COLUMNS.area_px, COLUMNS.area_um2, *COLUMNS.bbox, COLUMNS.border, COLUMNS.flags]  # fmt: skip
    return Cells(labels, pd.DataFrame(rows, columns=names), "test")


@pytest.fixture
def package(tmp_path):
    return make.package(tmp_path / "small.cellpkg")


@pytest.fixture
def engine(package):
    with runtime.open_engine(package, "onnxruntime") as opened:
        yield opened


def expected_crops(image, cells, package, indices=(0, 1, 2)):
    from napari_cellcls.cells.crops import cut

    return cut(image, cells, package.manifest.crop, package.manifest.normalization, indices)


def test_every_cell_gets_the_prediction_of_its_own_crop(package, engine):
    image, cells = rgb_image(), square_cells()
    steps: list[Progress] = []
    made = finish(
        predict(image, cells, package, engine=engine, batch_size=16, keep_embeddings=True),
        steps.append,
    )
    np.testing.assert_array_equal(made.ids, cells.ids)
    crops = expected_crops(image, cells, package)
    kernel, bias = package.head
    np.testing.assert_allclose(made.embeddings, engine.embed(crops), atol=1e-5)
    np.testing.assert_allclose(made.logits, made.embeddings @ kernel + bias, rtol=1e-5)
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (made.engine, made.device) == ("onnxruntime", "cpu")
    assert (made.model, made.model_sha) == ("small@1.0.0", package.sha256)
    assert made.seconds > 0
    assert [s.done for s in steps] == [0, *range(16, len(cells), 16), len(cells)]
    assert all(s.total == len(cells) for s in steps)


def test_batch_size_and_engine_do_not_change_the_result(package):
    image, cells = rgb_image(), square_cells()
    one = finish(predict(image, cells, package, batch_size=7))
    two = finish(predict(image, cells, package, batch_size=10_000))
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)
    assert one.embeddings is None
    assert one.predicted == two.predicted


def test_closing_between_batches_leaves_the_engine_usable(package, engine):
    image, cells = rgb_image(), square_cells()
    task = predict(image, cells, package, engine=engine, batch_size=8)
    assert [next(task).done for _ in range(3)] == [0, 8, 16]
    task.close()
    assert "cellcls-crops" not in {t.name for t in threading.enumerate()}
    assert len(finish(predict(image, cells, package, engine=engine))) == len(cells)


def test_an_engine_opened_here_is_closed_here(package, monkeypatch):
    closed = []
    real = runtime.open_engine

    def opening(package):
        opened = real(package, "onnxruntime")
        monkeypatch.setattr(opened, "close", lambda: closed.append(True))
        return opened

    monkeypatch.setattr(runtime, "open_engine", opening)
    task = predict(rgb_image(), square_cells(), package, batch_size=8)
    next(task)
    next(task)
    task.close()
    assert closed == [True]


def test_an_error_while_cutting_comes_out_whole(package, engine, monkeypatch):
    def broken(*arguments):
        yield np.arange(4), np.zeros((4, SIZE, SIZE, 3), np.float32)
        raise CellsError("The labels vanished", code="CELLS-TEST")

    monkeypatch.setitem(
        sys.modules, "napari_cellcls.cells.crops", types.SimpleNamespace(iter_crops=broken)
    )
    with pytest.raises(CellsError, match="CELLS-TEST"):
        finish(predict(rgb_image(), square_cells(), package, engine=engine))
    assert "cellcls-crops" not in {t.name for t in threading.enumerate()}


def test_no_cells_need_no_engine(package):
    cells = square_cells()
    none = Cells(np.zeros((200, 200), np.int32), cells.table.iloc[:0], "test")
    made = finish(predict(rgb_image(), none, package))
    assert len(made) == 0
    assert made.logits.shape == made.probabilities.shape == made.assigned.shape == (0, 2)
    assert made.predicted == []
    assert made.engine == ""
    assert list(made.to_table(none)[COLUMNS.predicted]) == []


def test_table_has_the_columns_of_the_field(package, engine):
    image, cells = rgb_image(), square_cells()
    cells.table.loc[0, COLUMNS.flags] = "odd"
    made = finish(predict(image, cells, package, engine=engine))
    table = made.to_table(cells)
    assert list(table.columns) == [
        "label", "y", "x", "area_px", "area_um2", "bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1", "border",
        "predicted", "confidence", "p_alpha", "p_beta", "corrected", "class", "annotator", "model", "flags",
    ]  # fmt: skip
    assert set(table["predicted"]) <= {"Alpha", "Beta"}
    assert list(table["class"]) == list(table["predicted"])
    assert set(table["corrected"]) == set(table["annotator"]) == {""}
    assert set(table["model"]) == {f"small@1.0.0 {package.sha256[:8]}"}
    assert table["flags"].iloc[0] == "odd"
    np.testing.assert_allclose(table["confidence"], table[["p_alpha", "p_beta"]].max(axis=1))
    assert COLUMNS.predicted not in cells.table


def test_table_of_other_cells_is_refused(package, engine):
    made = finish(predict(rgb_image(), square_cells(), package, engine=engine))
    other = Cells(square_cells().labels, square_cells().table.iloc[:3], "test")
    with pytest.raises(CellsError, match="CELLS-OTHER"):
        made.to_table(other)


def test_ready_crops(package, engine):
    crops = np.random.default_rng(0).random((5, SIZE, SIZE, 3), dtype=np.float32)
    made = predict_crops(crops, package, engine, keep_embeddings=True)
    assert list(made.ids) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(made.embeddings, engine.embed(crops))


def test_several_classes_per_cell(tmp_path, engine):
    classes = [{"id": i, "name": i.upper(), "color": c} for i, c in zip("abc", COLORS)]
    package = make.package(
        tmp_path / "m.cellpkg", classes=classes, multi_label=True, thresholds=[0.2, 0.5, 0.9]
    )
    crops = np.random.default_rng(0).random((40, SIZE, SIZE, 3), dtype=np.float32)
    made = predict_crops(crops, package, engine)
    np.testing.assert_allclose(made.probabilities, 1 / (1 + np.exp(-made.logits)), atol=1e-6)
    np.testing.assert_array_equal(made.assigned, made.probabilities >= [0.2, 0.5, 0.9])
    for row, text in zip(made.assigned, made.predicted):
        assert text == "|".join(n for n, yes in zip("ABC", row) if yes)


def test_a_backbone_describes_but_does_not_name(tmp_path):
    package = make.package(tmp_path / "blank.cellpkg", classes=[], inputs=[], channel_policy="each")
    image, cells = rgb_image(), square_cells()
    with pytest.raises(ModelError) as caught:
        predict(image, cells, package)
    assert caught.value.code == "MODEL-NO-CLASSES"
    assert "Label some cells and fine-tune" in caught.value.remedy
    with runtime.open_engine(package) as engine:
        with pytest.raises(ModelError, match="MODEL-NO-CLASSES"):
            predict_crops(np.zeros((1, SIZE, SIZE, 3)), package, engine)
        crops = expected_crops(image, cells, package)
        seen = finish(predict_embeddings(image, cells, package, engine=engine))
        np.testing.assert_allclose(seen, engine.embed(crops), atol=1e-5)  # a photograph is one
        image = replace(image, is_rgb=False)
        got = finish(predict_embeddings(image, cells, package, engine=engine, batch_size=30))
        for channel in range(3):
            gray = np.repeat(crops[..., channel : channel + 1], 3, axis=3)
            part = got[:, 16 * channel : 16 * (channel + 1)]
            np.testing.assert_allclose(part, engine.embed(gray), atol=1e-5)
    assert got.shape == (len(cells), 48)


def test_a_head_over_channels_on_their_own(tmp_path):
    inputs = [{"role": "nucleus", "name": "nucleus"}, {"role": "protein", "name": "protein"}]
    package = make.package(tmp_path / "m.cellpkg", channel_policy="each", inputs=inputs)
    assert package.head[0].shape == (32, 2)
    channels = (Channel("p", ChannelRole.PROTEIN), Channel("n", ChannelRole.NUCLEUS))
    image = Image(rgb_image().data[:2], channels, "two")
    made = finish(predict(image, square_cells(), package, keep_embeddings=True))
    crops = expected_crops(image, square_cells(), package, (1, 0))
    with runtime.open_engine(package) as engine:
        again = predict_crops(crops, package, engine, keep_embeddings=True)
    np.testing.assert_allclose(made.embeddings, again.embeddings, atol=1e-5)


def test_a_plane_that_may_be_absent_is_black(tmp_path):
    inputs = [
        {"role": "nucleus", "name": "nucleus"},
        {"role": "er", "name": "er", "optional": True},
        {"role": "protein", "name": "protein"},
    ]
    package = make.package(tmp_path / "m.cellpkg", inputs=inputs)
    channels = (Channel("p", ChannelRole.PROTEIN), Channel("n", ChannelRole.NUCLEUS))
    image = Image(rgb_image().data[:2], channels, "two")
    made = finish(predict(image, square_cells(), package, keep_embeddings=True))
    crops = np.zeros((len(made), SIZE, SIZE, 3), np.float32)
    crops[..., [0, 2]] = expected_crops(image, square_cells(), package, (1, 0))
    with runtime.open_engine(package) as engine:
        np.testing.assert_allclose(made.embeddings, engine.embed(crops), atol=1e-5)


def test_a_missing_channel_is_refused_at_once(tmp_path):
    inputs = [{"role": r, "name": r} for r in ("nucleus", "protein", "er")]
    package = make.package(tmp_path / "m.cellpkg", inputs=inputs)
    with pytest.raises(ChannelError) as caught:
        predict(rgb_image(), square_cells(), package)
    assert caught.value.code == "CHANNEL-MISSING"


def test_an_engine_of_another_model_is_refused(tmp_path, engine):
    other = make.package(tmp_path / "other.cellpkg", seed=1)
    with pytest.raises(EngineError) as caught:
        finish(predict(rgb_image(), square_cells(), other, engine=engine))
    assert caught.value.code == "ENGINE-OTHER-MODEL"


LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(-1000, 1000, width=32),
)


@given(LOGITS, st.floats(0.05, 50), st.booleans())
def test_probabilities_are_probabilities(logits, temperature, multi_label):
    values = probabilities(logits, temperature, multi_label)
    assert values.shape == logits.shape
    assert ((values >= 0) & (values <= 1)).all()
    if not multi_label:
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)


def test_temperature_softens():
    logits = np.array([[2.0, 0.0]])
    np.testing.assert_allclose(probabilities(logits, 1, False), [[0.880797, 0.119203]], atol=1e-6)
    np.testing.assert_allclose(probabilities(logits, 2, False), [[0.731059, 0.268941]], atol=1e-6)
    np.testing.assert_allclose(probabilities(logits, 2, True), [[0.731059, 0.5]], atol=1e-6)


@pytest.mark.parametrize(
    ("values", "thresholds", "multi_label", "assigned", "confidence"),
    [
        ([0.4, 0.35, 0.25], None, False, [1, 0, 0], 0.4),
        ([0.4, 0.6], (0.3, 0.7), False, [1, 0], 0.4),
        ([0.29, 0.71], (0.3, 0.7), False, [0, 1], 0.71),
        ([0.4, 0.35, 0.25], (0.5, 0.5, 0.5), False, [0, 0, 0], 0.6),
        ([0.9, 0.6, 0.1], None, True, [1, 1, 0], 0.6),
        ([0.4, 0.3, 0.1], None, True, [0, 0, 0], 0.6),
        ([0.4, 0.3, 0.1], (0.35, 0.3, 0.2), True, [1, 1, 0], 0.3),
    ],
)
def test_decisions(values, thresholds, multi_label, assigned, confidence):
    got, sure = decide(np.array([values]), thresholds, multi_label)
    assert got.astype(int).tolist() == [assigned]
    np.testing.assert_allclose(sure, [confidence], atol=1e-6)


def test_the_feed_runs_a_few_items_ahead_and_no_more():
    made = []

    def source():
        for n in range(100):
            made.append(n)
            yield n

    with Ahead(source()) as feed:
        first = [item for item, _ in zip(feed, range(3))]
    assert first == [0, 1, 2]
    assert len(made) <= 8


def test_prediction_loads_no_framework_it_does_not_need():
    import subprocess

    code = (
        "import sys, napari_cellcls.predict, napari_cellcls.models.registry\n"
        "heavy = {'keras','tensorflow','onnx','onnxruntime','openvino','sklearn','matplotlib','napari','skimage'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.integers(0, 50), st.floats(0.5, 0.99))
def test_above_its_threshold_a_class_is_right_as_often_as_wanted(seed, precision):
    rng = np.random.default_rng(seed)
    values = rng.dirichlet([0.3] * 3, 200)
    for truth in (None, values > rng.random((200, 1))):
        limits = thresholds_for(values, precision, truth)
        right = values if truth is None else truth
        for k, limit in enumerate(limits):
            above = values[:, k] >= limit
            assert limit >= 1 / 3
            if above.any() and limit > 1 / 3:
                assert right[above, k].mean() >= precision - 1e-9
    assert thresholds_for(np.full((5, 2), 0.5), 0.9) == (1.0, 1.0)
    with pytest.raises(ValueError, match=r"between 0\.5 and 0\.999"):
        thresholds_for(values, 0.2)


TUNED = {"descriptor": "embedding+cell/1", "level": "tuned"}


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "home"))
    sets = {"coverage": 0.9, "limits": [0.3, 0.3], "own": [True, True], "cells": 90, "groups": 20}
    return make.package(tmp_path / "tuned.cellpkg", **TUNED, sets=sets)


def test_a_tuned_head_takes_what_was_measured_too(tuned):
    image, cells = rgb_image(), square_cells()
    described = finish(describe_cells(image, cells, tuned))
    assert described.blocks == (16, 31)
    made = finish(predict(image, cells, tuned, keep_embeddings=True, cache=True))
    kernel, bias = tuned.head
    np.testing.assert_allclose(made.logits, described.values @ kernel + bias, rtol=1e-5, atol=1e-4)
    assert made.embeddings.shape == (len(cells), 16) and made.engine == ""  # all came from disk
    again = answer(cells.ids, described, tuned)
    np.testing.assert_array_equal(again.logits, made.logits)
    fresh = finish(predict(image, cells, tuned))
    np.testing.assert_array_equal(fresh.logits, made.logits)
    assert fresh.engine == "onnxruntime"


def test_the_classes_a_cell_could_be_are_told_where_they_are_several(tuned):
    image, cells = rgb_image(), square_cells()
    made = finish(predict(image, cells, tuned))
    open_ = (made.probabilities >= 0.3).all(axis=1)
    table = made.to_table(cells)
    assert table["could_be"].tolist() == ["Alpha|Beta" if both else "" for both in open_]
    assert made.sets.any(axis=1).all()


def test_descriptors_of_another_model_are_refused(tuned, package):
    image, cells = rgb_image(), square_cells()
    described = finish(describe_cells(image, cells, tuned))
    same = answer(cells.ids, described, package)  # the same network, a head of embeddings alone
    np.testing.assert_allclose(
        same.probabilities, finish(predict(image, cells, package)).probabilities, atol=1e-2
    )
    with pytest.raises(ModelError, match="MODEL-DESCRIBED") as caught:
        answer(cells.ids, replace(described, weights_sha256="f" * 64), tuned)
    assert "another model" in caught.value.what
    with pytest.raises(ModelError, match="MODEL-NEEDS-IMAGE"):
        predict_crops(np.zeros((1, SIZE, SIZE, 3)), tuned, None)


def test_cells_unlike_all_that_was_learned_are_flagged(tmp_path):
    rng = np.random.default_rng(0)
    plain = make.package(tmp_path / "plain.cellpkg")
    image, cells = rgb_image(), square_cells()
    seen = finish(predict_embeddings(image, cells, plain))
    like = seen[rng.integers(0, len(seen), 60)] * rng.normal(1, 0.02, (60, 16)).astype(np.float32)
    for shift, wanted in ((0.0, 0), (50.0, len(cells))):
        reference = {"embeddings": (like + shift).astype(np.float32), "labels": np.zeros(60, int)}
        package = make.package(tmp_path / f"{shift}.cellpkg", reference=reference)
        made = finish(predict(image, cells, package))
        assert made.strangeness.shape == (len(cells),)
        assert abs(int(made.unfamiliar.sum()) - wanted) <= len(cells) // 10
        flags = made.to_table(cells)["flags"]
        assert flags.str.contains("unfamiliar").tolist() == made.unfamiliar.tolist()
    assert finish(predict(image, cells, plain)).strangeness is None
