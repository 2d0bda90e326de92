"""Every pattern lies where its biology puts it: measured on the clean drawing, before the microscope."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import ndimage as ndi
from training.simulate.fluor_cells import Monolayer, grow
from training.simulate.fluor_cytoskeleton import tubules
from training.simulate.fluor_division import divide
from training.simulate.fluor_draw import away_from
from training.simulate.fluor_nucleus import chromatin
from training.simulate.fluor_structures import STRUCTURES

UM = 0.25
SHAPE = (340, 340)


@functools.cache
def layer(varied: bool = False) -> Monolayer:
    rng = np.random.default_rng(6)
    return grow(rng, SHAPE, 9, UM, np.random.default_rng(1) if varied else None)


@functools.cache
def dividing() -> Monolayer:
    rng = np.random.default_rng(8)
    plain = grow(rng, SHAPE, 9, UM)
    phases = {i: ("metaphase", "anaphase", "daughter")[i % 3] for i in range(1, plain.count + 1)}
    return divide(rng, plain, phases)[0]


@functools.cache
def drawn(name: str, varied: bool = False) -> np.ndarray:
    return STRUCTURES[name](np.random.default_rng(3), layer(varied))


def um(distance: np.ndarray) -> np.ndarray:
    return distance * UM


def share(name: str, where: np.ndarray, varied: bool = False) -> float:
    plane = drawn(name, varied)
    return float(plane[where].sum() / plane.sum())


def bright(name: str, level: float = 0.5) -> np.ndarray:
    plane = drawn(name)
    return plane > level * np.percentile(plane, 99.9)


def spots_per_cell(name: str, level: float = 0.5) -> np.ndarray:
    labels, n = ndi.label(bright(name, level))
    owner = layer().cells[
        tuple(np.array(ndi.center_of_mass(labels > 0, labels, range(1, n + 1))).astype(int).T)
    ]
    return np.bincount(owner, minlength=layer().count + 1)[1:]


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize("name", list(STRUCTURES))
def test_every_pattern_is_bright_and_finite_inside_cells_only(name: str, varied: bool) -> None:
    cells = dividing() if name in ("Mitotic spindle", "Cytokinetic bridge") else layer(varied)
    plane = STRUCTURES[name](np.random.default_rng(3), cells)
    assert plane.shape == SHAPE
    assert np.isfinite(plane).all()
    assert plane.min() >= -1e-6
    assert 0.3 < np.percentile(plane, 99.9) < 8
    # The blur of the drawing passes a border by a pixel or two, not more.
    near = ndi.binary_dilation(cells.cells > 0, iterations=3)
    assert plane[~near].sum() < 0.02 * plane.sum()


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize(
    "name",
    ["Nucleoplasm", "Nucleoli", "Nucleoli fibrillar center", "Nuclear speckles", "Nuclear bodies"],
)
def test_nuclear_patterns_are_inside_the_nucleus(name: str, varied: bool) -> None:
    assert share(name, layer(varied).nuclei > 0, varied) > 0.8


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "Endoplasmic reticulum", "Golgi apparatus", "Peroxisomes", "Endosomes", "Lysosomes",
        "Lipid droplets", "Mitochondria", "Aggresome", "Cytosol", "Cytoplasmic bodies",
        "Focal adhesion sites", "Intermediate filaments", "Rods & rings", "Plasma membrane",
        "Cell junctions", "Centrosome", "Microtubule organizing center", "Actin filaments",
    ],
)  # fmt: skip
def test_cytoplasmic_patterns_are_outside_the_nucleus(name: str, varied: bool) -> None:
    nucleus = layer(varied).nuclei > 0
    plane = drawn(name, varied)
    body = (layer(varied).cells > 0) & ~nucleus
    assert share(name, ~nucleus, varied) > 0.6
    # Brighter than the nucleus by far; but actin and membrane pass above it, rods may be inside.
    if name not in ("Actin filaments", "Rods & rings", "Plasma membrane"):
        assert np.percentile(plane[body], 99) > 1.3 * np.percentile(plane[nucleus], 99)


def test_nuclear_membrane_is_a_line_on_the_envelope() -> None:
    line = drawn("Nuclear membrane")
    rim = um(layer().rim)
    assert line[np.abs(rim) < 0.3].mean() > 4 * line[rim < -1.5].mean()
    assert bright("Nuclear membrane")[np.abs(rim) > 1].sum() == 0


def test_speckles_and_bodies_keep_out_of_the_nucleoli_and_centers_keep_in() -> None:
    inside, outside = layer().nucleoli > 0.7, (layer().nucleoli < 0.05) & (layer().rim < -2)
    for name in ("Nuclear speckles", "Nuclear bodies"):
        assert drawn(name)[inside].mean() < 0.9 * drawn(name)[outside].mean()
    for name in ("Nucleoli", "Nucleoli fibrillar center"):
        assert drawn(name)[inside].mean() > 3 * drawn(name)[outside].mean()
    filled = bright("Nucleoli", 0.4)[inside].mean()
    assert filled > 0.9 > 3 * bright("Nucleoli fibrillar center")[inside].mean()


def test_reticulum_thins_out_from_the_nucleus() -> None:
    near = (layer().rim > 0) & (um(layer().rim) < 2.5)
    far = (layer().cells > 0) & (um(layer().rim) > 8)
    assert (
        drawn("Endoplasmic reticulum")[near].mean() > 2 * drawn("Endoplasmic reticulum")[far].mean()
    )


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("Golgi apparatus", 6.0),
        ("Centrosome", 2.5),
        ("Microtubule organizing center", 3.5),
        ("Aggresome", 5.0),
    ],
)
def test_what_gathers_at_the_organizing_center(name: str, within: float) -> None:
    away = away_from(layer(), layer().poles)
    places = bright(name) & (layer().cells > 0)
    assert places.sum() > 20
    assert (away[places] < within).mean() > 0.9


def test_the_centrosome_is_one_or_two_small_spots_near_the_nucleus() -> None:
    found = spots_per_cell("Centrosome", 0.4)
    assert found.max() <= 2
    assert (found >= 1).mean() > 0.75  # a pole may lie outside of the image or be dim
    area = np.bincount(ndi.label(bright("Centrosome", 0.4))[0].ravel())[1:] * UM**2
    assert area.max() < 3
    assert um(layer().rim[bright("Centrosome", 0.4)]).max() < 10
    assert (
        bright("Microtubule organizing center", 0.2).sum() > 1.5 * bright("Centrosome", 0.2).sum()
    )


def test_an_aggresome_is_one_large_clump_beside_the_nucleus() -> None:
    clumps, n = ndi.label(bright("Aggresome", 0.4))
    area = np.bincount(clumps.ravel())[1:] * UM**2
    assert np.median(area) > 3
    assert n <= layer().count + 1
    assert np.percentile(um(layer().rim[clumps > 0]), 90) < 6


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("Peroxisomes", 40, 400), ("Endosomes", 12, 150), ("Lysosomes", 8, 90), ("Cytoplasmic bodies", 2, 14),
     ("Nuclear bodies", 2, 12), ("Lipid droplets", 8, 120)],
)  # fmt: skip
def test_numbers_of_vesicles_and_bodies(name: str, least: int, most: int) -> None:
    whole = np.bincount(layer().cells.ravel())[1:] * UM**2 > 400
    found = spots_per_cell(name, 0.3)[whole]
    assert least <= np.median(found) <= most


def test_peroxisomes_are_alike_endosomes_uneven_lysosomes_large_and_central() -> None:
    def sizes(name: str) -> np.ndarray:
        return np.bincount(ndi.label(bright(name, 0.3))[0].ravel())[1:] * UM**2

    assert np.median(sizes("Lysosomes")) > 1.5 * np.median(sizes("Peroxisomes"))
    pole = away_from(layer(), layer().poles)
    mean = {
        n: float((pole * drawn(n)).sum() / drawn(n).sum())
        for n in ("Lysosomes", "Endosomes", "Peroxisomes")
    }
    assert mean["Lysosomes"] < 0.8 * min(mean["Endosomes"], mean["Peroxisomes"])


def test_rods_and_rings_are_few_and_long() -> None:
    objects, n = ndi.label(bright("Rods & rings", 0.35))
    long = [max(s.stop - s.start for s in box) * UM for box in ndi.find_objects(objects)]
    assert n <= 7 * layer().count
    assert np.median(long) > 2


def test_plasma_membrane_is_at_the_edge() -> None:
    for varied in (False, True):
        edge = um(layer(varied).edge)
        plane, cells = drawn("Plasma membrane", varied), layer(varied).cells > 0
        # In varied fields folds may cover the whole cell, and lie densest over its thick part.
        least = 0.6 if varied else 3
        assert plane[cells & (edge < 1)].mean() > least * plane[cells & (edge > 4)].mean()


def test_folded_membrane_is_made_of_short_worms_near_the_edge() -> None:
    class Folded:
        def uniform(self, low: float, high: float) -> float:
            return (low + high) / 2

    from dataclasses import replace

    folded = replace(layer(), extra=Folded())  # type: ignore[arg-type]
    plane = STRUCTURES["Plasma membrane"](np.random.default_rng(0), folded)
    edge, cells = um(layer().edge), layer().cells > 0
    assert plane[cells & (edge < 2)].mean() > 1.5 * plane[cells & (edge > 5)].mean()
    assert plane[cells & (edge < 2)].std() > 0.8 * plane[cells & (edge < 2)].mean()


def test_junctions_are_at_contacts_of_two_cells_only() -> None:
    cells = layer().cells
    reach = int(2.2 / UM) | 1
    upper = ndi.maximum_filter(cells, reach)
    lower = ndi.minimum_filter(np.where(cells > 0, cells, 999), reach)
    contact = upper != lower
    places = drawn("Cell junctions") > 0.15
    assert places.sum() > 50
    assert contact[places].mean() > 0.97
    free = (cells > 0) & (um(layer().edge) < 1) & ~contact
    assert free.sum() > 200
    assert drawn("Cell junctions")[free].max() < 0.15


def test_focal_adhesions_are_dashes_in_the_outer_part() -> None:
    places = bright("Focal adhesion sites", 0.4)
    assert (um(layer().edge[places]) < 6).mean() > 0.9
    assert (layer().nuclei[places] > 0).mean() < 0.06


def test_actin_runs_along_the_cell() -> None:
    slope = np.stack(np.gradient(drawn("Actin filaments")))
    inner = (um(layer().edge) > 2) & (layer().cells > 0)
    axis = layer().axes[layer().cells]
    along = slope[0] * np.sin(axis) + slope[1] * np.cos(axis)
    across = slope[0] * np.cos(axis) - slope[1] * np.sin(axis)
    assert np.abs(across[inner]).mean() > 1.8 * np.abs(along[inner]).mean()


def test_microtubules_leave_the_pole_and_their_ends_lie_on_them() -> None:
    red, comets = tubules(np.random.default_rng(3), layer())
    away = away_from(layer(), layer().poles)
    body = (layer().cells > 0) & (layer().nuclei == 0)
    assert red[body & (away < 2)].mean() > 2 * red[body & (away > 8)].mean()
    tips = comets > 0.5 * np.percentile(comets, 99.9)
    assert red[tips].mean() > 1.25 * red[body].mean()
    spread = float((away * comets)[body].sum() / comets[body].sum())
    assert spread > float((away * red)[body].sum() / red[body].sum())


def test_vimentin_lies_nearer_to_the_nucleus_than_microtubules() -> None:
    def far(name: str) -> float:
        plane = drawn(name) * (layer().rim > 0)
        return float((um(layer().rim) * plane).sum() / plane.sum())

    assert far("Intermediate filaments") < 0.9 * far("Microtubules")


def test_a_spindle_stands_between_its_poles_with_the_chromatin_across() -> None:
    cells = dividing()
    assert cells.phases.count("metaphase") >= 1
    assert cells.phases.count("anaphase") >= 1
    plane = STRUCTURES["Mitotic spindle"](np.random.default_rng(0), cells)
    blue = chromatin(np.random.default_rng(0), cells)
    for i in np.flatnonzero(cells.mitotic):
        mine = cells.cells == i
        middle = cells.spindles[i].mean(0)
        along = cells.spindles[i][0] - middle
        half = np.linalg.norm(along)
        y, x = np.nonzero(mine & (plane > 0.4 * plane[mine].max()))
        reach = np.abs(((y - middle[0]) * along[0] + (x - middle[1]) * along[1]) / half)
        assert (reach < half + 2 / UM).mean() > 0.9
        parts = ndi.label(cells.nuclei == i)[1]
        assert parts >= (2 if cells.phases[i] == "anaphase" else 1)
        assert blue[cells.nuclei == i].mean() > 0.8


def test_dividing_cells_are_round_and_have_no_nucleoli() -> None:
    cells = dividing()
    for i in np.flatnonzero(cells.mitotic):
        assert 130 < (cells.cells == i).sum() * UM**2 < 330
        assert cells.nucleoli[cells.nuclei == i].max(initial=0) == 0


def test_a_bridge_joins_two_daughters() -> None:
    cells = dividing()
    assert cells.bridges
    plane = STRUCTURES["Cytokinetic bridge"](np.random.default_rng(1), cells)
    for bridge in cells.bridges:
        one, two = bridge.cells
        assert cells.phases[one] == cells.phases[two] == "daughter"
        pair, _ = ndi.label(np.isin(cells.cells, bridge.cells), np.ones((3, 3)))
        at = tuple(int(v) for v in bridge.middle)
        assert {one, two} <= set(np.unique(cells.cells[pair == pair[at]]))
        y, x = np.nonzero((plane > 0.5) & np.isin(cells.cells, bridge.cells))
        assert len(y) > 5
        far = np.hypot(y - bridge.middle[0], x - bridge.middle[1])
        assert far.max() < bridge.half + 4 / UM
