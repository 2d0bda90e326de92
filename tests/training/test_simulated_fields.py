"""Fluorescence fields as a microscope sees them: bits, light, divisions, labels that agree with masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.simulate import fluor_labels, fluorescence
from training.simulate.fluor_camera import Optics, record
from training.simulate.fluorescence import PATTERNS

from napari_cellcls.learn.datasets.known import HPA_CLASSES

SHAPE = (260, 260)


def simulate(seed: int = 3, **options: object) -> fluorescence.FluorescenceField:
    return fluorescence.simulate(seed, SHAPE, 6, 0.3, **options)  # type: ignore[arg-type]


def test_the_names_are_those_of_the_challenge_in_its_order() -> None:
    assert list(PATTERNS) == list(HPA_CLASSES)


def test_varied_fields_are_reproducible_and_differ_from_plain_ones() -> None:
    options = {"varied": True, "mitosis": 0.4, "optics": Optics(0.3, 1.4, 0.3, 0.08, 80), "bits": 8}
    one, two = simulate(**options), simulate(**options)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.cells.tobytes() == two.cells.tobytes()
    assert one.table.equals(two.table)
    assert not np.array_equal(one.image, simulate(bits=8).image)


def test_variation_has_a_stream_of_its_own() -> None:
    """The centers of a seed stay where they are unless cells change their size."""
    plain, divided = simulate(), simulate(mitosis=1.0)
    assert not np.array_equal(plain.cells, divided.cells)
    assert (divided.table["phase"] != "").sum() >= 3


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_masks_labels_and_table_agree(seed: int, well: bool, varied: bool, mitosis: float) -> None:
    field = simulate(seed, one_protein=well, varied=varied, mitosis=mitosis)
    ids = np.unique(field.cells)
    assert ids[ids > 0].tolist() == field.table["label"].tolist()
    assert set(np.unique(field.nuclei)) <= set(ids)
    inside = field.nuclei > 0
    assert np.array_equal(field.nuclei[inside], field.cells[inside])
    for row in field.table.itertuples(index=False):
        names = [n for n in row[3].split("|") if n]
        assert names or varied  # what the border hides is not labeled in varied fields
        assert names == list(dict.fromkeys(names))
        assert set(names) <= set(PATTERNS)
        assert ("Mitotic spindle" in names) <= (row.phase in ("metaphase", "anaphase"))
        assert ("Cytokinetic bridge" in names) <= (row.phase == "daughter")
        if row.phase in ("metaphase", "anaphase"):
            assert set(names) <= fluor_labels.KEPT_IN_MITOSIS
    assert (field.table["phase"] == "daughter").sum() % 2 == 0


def test_a_spindle_protein_is_elsewhere_in_cells_that_do_not_divide() -> None:
    field = fluorescence.simulate(
        5, (420, 420), 14, 0.3, labels=[("Mitotic spindle",)], one_protein=True
    )
    dividing = field.table["class"] == "Mitotic spindle"
    assert 1 <= dividing.sum() < len(field.table)
    others = set(field.table.loc[~dividing, "class"])
    assert others & set(fluor_labels.COMPANIONS)


def test_pairs_of_labels_show_both() -> None:
    both = simulate(labels=[("Nucleoli", "Mitochondria")])
    one = simulate(labels=[("Nucleoli",)])
    body = (both.cells > 0) & (both.nuclei == 0)
    green = [f.image[1].astype(float) / f.image[1].max() for f in (both, one)]
    assert green[0][body].mean() > 2 * green[1][body].mean()


@pytest.mark.parametrize(
    ("bits", "kind", "top"), [(8, "uint8", 255), (12, "uint16", 4095), (16, "uint16", 65535)]
)
def test_bits_and_jpeg(bits: int, kind: str, top: int) -> None:
    image = simulate(bits=bits, varied=True, optics=Optics(jpeg=70)).image
    assert image.dtype == kind
    assert 0.4 * top < image.max() <= top


def test_noise_grows_as_light_falls_and_with_the_light_itself() -> None:
    plane = np.full((200, 200), 0.5, np.float32)
    plane[:100] = 1.0
    sd = {}
    for quality in (1.0, 0.1):
        counts = record(np.random.default_rng(0), [plane], 16, Optics(quality))[0].astype(float)
        sd[quality] = counts[:100].std() / counts[:100].mean(), counts[100:].std()
        # Poisson: half the light, the noise smaller by the root of two.
        assert counts[:100].std() / counts[100:].std() == pytest.approx(np.sqrt(2), rel=0.08)
    assert sd[0.1][0] / sd[1.0][0] == pytest.approx(np.sqrt(10), rel=0.1)


def test_uneven_light_leaves_dark_corners() -> None:
    even, uneven = simulate(), simulate(optics=Optics(uneven=0.8))
    ratio = uneven.image[0].astype(float) / np.maximum(even.image[0], 1)
    ratio = ratio[even.image[0] > 8000]
    assert np.percentile(ratio, 2) < 0.6 * np.percentile(ratio, 98)


def test_bleed_through_puts_the_reticulum_into_the_protein_plane() -> None:
    def leak(bleed: float) -> float:
        field = simulate(labels=[("Nucleoli",)], optics=Optics(bleed=bleed))
        body = (field.cells > 0) & (field.nuclei == 0)
        return float(np.corrcoef(field.image[1][body], field.image[3][body])[0, 1])

    assert leak(0.5) > leak(0.0) + 0.1


def test_expression_varies_between_cells() -> None:
    field = fluorescence.simulate(
        1, (420, 420), 14, 0.3, labels=[("Nucleoplasm",)], one_protein=True, varied=True
    )
    green = field.image[1].astype(float)
    means = [green[field.nuclei == i].mean() for i in field.table["label"]]
    assert np.std(means) > 0.1 * np.mean(means)


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mitosis is a share from 0 to 1; received 1\.5"):
        simulate(mitosis=1.5)


def test_a_label_is_left_out_where_its_structure_is_outside_of_the_image() -> None:
    """Every Golgi that is labeled in a varied field has bright pixels inside its cell."""
    dropped = 0
    for seed in range(6):
        field = fluorescence.simulate(
            seed, (200, 200), 6, 0.3, labels=[("Golgi apparatus",)], varied=True
        )
        green = field.image[1].astype(float)
        dropped += (field.table["class"] == "").sum()
        for label in field.table.loc[field.table["class"] != "", "label"]:
            own = green[field.cells == label]
            assert own.max() > 2.5 * np.median(own)
    assert dropped >= 1
