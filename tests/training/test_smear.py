"""The smear simulator: what it promises about images, masks and truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops
from training.simulate import smear
from training.simulate.smear_forms import FORMS, Look
from training.simulate.smear_layout import STAGES, WHITE_CELLS


@pytest.fixture(scope="module")
def field() -> smear.SmearField:
    return smear.simulate(4, (384, 384), 26, 0.3, white_cells=1, platelets=3)


def test_same_seed_gives_the_same_arrays(field: smear.SmearField) -> None:
    again = smear.simulate(4, (384, 384), 26, 0.3, white_cells=1, platelets=3)
    assert np.array_equal(field.image, again.image)
    assert np.array_equal(field.labels, again.labels)
    assert field.table.equals(again.table)


def test_another_seed_gives_another_field(field: smear.SmearField) -> None:
    other = smear.simulate(5, (384, 384), 26, 0.3, white_cells=1, platelets=3)
    assert not np.array_equal(field.labels, other.labels)


def test_masks_and_table_agree(field: smear.SmearField) -> None:
    red = field.table[field.table["kind"] == "red cell"]
    ids = np.unique(field.labels)
    assert ids[ids > 0].tolist() == red["label"].tolist() == list(range(1, len(red) + 1))
    inside = field.labels[red["y"].round().astype(int), red["x"].round().astype(int)]
    assert (inside == red["label"]).mean() > 0.9
    assert field.image.dtype == np.uint8
    assert field.image.shape == (384, 384, 3)


def test_classes_follow_from_stages(field: smear.SmearField) -> None:
    red = field.table[field.table["kind"] == "red cell"]
    infected = red["class"] == "Parasitized"
    assert infected.sum() == 8
    assert set(red.loc[infected, "stage"]) == set(STAGES)
    assert (red.loc[~infected, "stage"] == "").all()
    others = field.table[field.table["kind"] != "red cell"]
    assert (others["label"] == 0).all()
    assert (others["class"] == "").all()
    assert others["kind"].value_counts().to_dict() == {"platelet": 3, "white cell": 1}


def test_colors_are_those_of_a_smear(field: smear.SmearField) -> None:
    cells = field.image[field.labels > 0].astype(float).mean(0)
    bare = np.percentile(field.image.reshape(-1, 3), 90, axis=0)
    assert (bare > 180).all()
    assert cells[0] > cells[2] > cells[1]
    assert cells[1] < 0.85 * bare[1]


def test_infected_cells_hold_dark_chromatin(field: smear.SmearField) -> None:
    green = field.image[..., 1]
    red = field.table[field.table["kind"] == "red cell"]
    dark = {
        row.label: int((green[field.labels == row.label] < 75).sum()) for row in red.itertuples()
    }
    infected = red[red["class"] == "Parasitized"]["label"]
    assert np.mean([dark[i] >= 4 for i in infected]) >= 0.75


def test_cells_have_the_size_of_red_cells(field: smear.SmearField) -> None:
    area = np.bincount(field.labels.ravel())[1:]
    diameter_um = 2 * np.sqrt(np.median(area) / np.pi) * field.pixel_size_um
    assert 6.2 < diameter_um < 8.0


def test_speed_fields_grow_with_their_cells() -> None:
    fields = list(smear.fields(2, 40, seed=3))
    assert [f.image.shape for f in fields] == [(528, 528, 3)] * 2
    assert all(38 <= (f.table["kind"] == "red cell").sum() <= 40 for f in fields)
    assert not np.array_equal(fields[0].image, fields[1].image)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"infected_fraction=1\.5"):
        smear.simulate(0, infected_fraction=1.5)
    with pytest.raises(ValueError, match="red_cells=-1"):
        smear.simulate(0, red_cells=-1)


@settings(max_examples=8)
@given(
    st.integers(0, 2**31), st.integers(0, 12), st.floats(0, 1), st.integers(0, 2), st.integers(0, 4)
)
def test_any_mixture_keeps_its_promises(
    seed: int, red: int, infected: float, white: int, platelets: int
) -> None:
    field = smear.simulate(seed, (200, 180), red, infected, white, platelets)
    reds = field.table[field.table["kind"] == "red cell"]
    assert len(reds) <= red
    assert field.labels.max() == len(reds)
    assert field.table[["y", "x"]].notna().all().all()


@pytest.fixture(scope="module")
def varied() -> smear.SmearField:
    return smear.simulate(9, (640, 640), 90, 0.08, 6, 8, varied=True)


def test_varied_smears_are_reproducible_and_hold_every_promise(varied: smear.SmearField) -> None:
    again = smear.simulate(9, (640, 640), 90, 0.08, 6, 8, varied=True)
    assert varied.image.tobytes() == again.image.tobytes()
    assert varied.table.equals(again.table)
    red = varied.table[varied.table["kind"] == "red cell"]
    ids = np.unique(varied.labels)
    assert ids[ids > 0].tolist() == red["label"].tolist()
    assert red["form"].nunique() >= 6
    assert (red.loc[red["stage"] != "", "form"] == "normal").all()
    assert (varied.table.loc[varied.table["kind"] != "red cell", "form"] == "").all()


def test_forms_have_their_shapes() -> None:
    """Measured on lone cells, so that no neighbor covers them."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(30):
        field = smear.simulate(seed, (400, 400), 9, 0.0, 0, 0, varied=True)
        for region in regionprops(field.labels):
            row = field.table[field.table["label"] == region.label].iloc[0]
            box = region.bbox
            if min(box[:2]) > 1 and max(box[2:]) < 399:
                ratio = region.axis_major_length / region.axis_minor_length
                found.setdefault(row["form"], []).append((region.area, ratio, region.solidity))
    area, ratio, solid = (
        {form: float(np.median([v[k] for v in values])) for form, values in found.items()}
        for k in range(3)
    )
    assert set(area) == set(FORMS)
    assert area["macrocyte"] > 1.25 * area["normal"] > 1.25 * 1.2 * area["spherocyte"]
    assert area["microcyte"] < 0.7 * area["normal"]
    assert ratio["elliptocyte"] > 1.6 > ratio["ovalocyte"] > 1.2 > ratio["normal"]
    assert area["schistocyte"] < 0.75 * area["normal"]
    assert max(solid["burr"], solid["teardrop"]) < solid["normal"]


def test_looks_change_color_and_light() -> None:
    means = [
        smear.simulate(s, (160, 160), 5, 0.0, 0, 0, varied=True).image.reshape(-1, 3).mean(0)
        for s in range(6)
    ]
    assert np.std(means, axis=0).min() > 5
    dark = Look(background=(100.0, 100.0, 100.0), vignette=0.2)
    assert smear.simulate(1, (160, 160), 5, 0.0, 0, 0, look=dark).image.max() < 140


def test_all_five_white_cells_occur() -> None:
    table = smear.simulate(3, (700, 700), 0, 0.0, 30, 0, varied=True).table
    assert set(table["stage"]) == set(WHITE_CELLS)
