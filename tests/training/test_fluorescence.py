"""The fluorescence simulator: structures lie where biology puts them, and the truth says so."""

from __future__ import annotations

import numpy as np
import pytest
from training.simulate import fluorescence as fl

SHAPE = (360, 360)
SIZE_UM = 0.3


def simulate(seed: int = 2, **options: object) -> fl.FluorescenceField:
    return fl.simulate(seed, SHAPE, 10, SIZE_UM, **options)  # type: ignore[arg-type]


def shares(name: str) -> dict[str, float]:
    """Return the mean of the protein plane in nucleus, cytoplasm, cell border and background."""
    field = simulate(labels=[(name,)], one_protein=True)
    green = field.image[1].astype(float)
    from scipy import ndimage as ndi

    inner = ndi.minimum_filter(field.cells, 9) == ndi.maximum_filter(field.cells, 9)
    body = (field.cells > 0) & (field.nuclei == 0) & inner
    border = (field.cells > 0) & ~(ndi.minimum_filter(field.cells, 5) == field.cells)
    floor = green[field.cells == 0].mean()
    places = {"nucleus": field.nuclei > 0, "body": body, "border": border}
    return {k: float(green[v].mean() - floor) for k, v in places.items()}


def test_same_seed_gives_the_same_arrays() -> None:
    one, two = simulate(), simulate()
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.cells, two.cells)
    assert one.table.equals(two.table)


def test_every_cell_has_one_nucleus_inside() -> None:
    field = simulate()
    assert set(np.unique(field.cells)) == set(np.unique(field.nuclei))
    inside = field.nuclei > 0
    assert np.array_equal(field.nuclei[inside], field.cells[inside])
    assert field.table["label"].tolist() == list(range(1, field.cells.max() + 1))


@pytest.mark.parametrize(
    ("bits", "dtype", "top"), [(8, np.uint8, 255), (12, np.uint16, 4095), (16, np.uint16, 65535)]
)
def test_bit_depths(bits: int, dtype: type, top: int) -> None:
    field = simulate(bits=bits)
    assert field.image.dtype == dtype
    assert field.image.shape == (4, *SHAPE)
    assert 0.6 * top < field.image.max() <= top


def test_reference_planes_show_their_structures() -> None:
    field = simulate(labels=[("Cytosol",)])
    red, _, blue, yellow = (p.astype(float) for p in field.image)
    nucleus, body = field.nuclei > 0, (field.cells > 0) & (field.nuclei == 0)
    empty = field.cells == 0
    assert blue[nucleus].mean() > 5 * blue[body].mean()
    assert red[body].mean() > 3 * red[empty].mean()
    assert yellow[body].mean() > 1.2 * yellow[nucleus].mean()


@pytest.mark.parametrize("name", ["Nucleoplasm", "Nucleoli", "Nuclear speckles", "Nuclear bodies"])
def test_nuclear_patterns_are_in_the_nucleus(name: str) -> None:
    found = shares(name)
    assert found["nucleus"] > 3 * found["body"]


@pytest.mark.parametrize(
    "name", ["Mitochondria", "Endoplasmic reticulum", "Golgi apparatus", "Cytosol"]
)
def test_cytoplasmic_patterns_are_outside_the_nucleus(name: str) -> None:
    found = shares(name)
    assert found["body"] > 1.25 * found["nucleus"]


def test_plasma_membrane_is_on_the_border() -> None:
    found = shares("Plasma membrane")
    assert found["border"] > 2 * found["body"]
    assert found["border"] > 2 * found["nucleus"]


def test_labels_are_told_and_shared() -> None:
    pair = simulate(labels=[("Nucleoli", "Cytosol"), ("Mitochondria",)])
    assert pair.table["class"].tolist()[:3] == [
        "Nucleoli|Cytosol",
        "Mitochondria",
        "Nucleoli|Cytosol",
    ]
    well = simulate(one_protein=True)
    assert well.table["class"].nunique() <= 2
    mixed = simulate(seed=3)
    assert mixed.table["class"].nunique() > 2


def test_junctions_need_a_neighbor() -> None:
    alone = fl.simulate(1, SHAPE, 1, SIZE_UM, labels=[("Cell junctions",)])
    assert alone.table["class"].tolist() == ["Plasma membrane"]


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="bits must be 8, 12 or 16; received 10"):
        simulate(bits=10)
    with pytest.raises(ValueError, match="Unknown patterns \\['Nukleus'\\]"):
        simulate(labels=[("Nukleus",)])


def test_pattern_names_are_unique_and_many() -> None:
    assert len(set(fl.PATTERNS)) == len(fl.PATTERNS) == 28
