"""Roles guessed with reasons; channels mapped to model inputs, or refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.images.channels import assign_roles, guess, match, parse_overrides
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.images.read import image_from_array
from napari_cellcls.vocabulary import ChannelError, ChannelRole, InputPlane

R = ChannelRole
HPA = (
    InputPlane(R.MICROTUBULES, "microtubules"),
    InputPlane(R.PROTEIN, "protein"),
    InputPlane(R.NUCLEUS, "nucleus"),
    InputPlane(R.ER, "er", optional=True),
)
PHOTO = tuple(InputPlane(r, r.value) for r in (R.RGB_RED, R.RGB_GREEN, R.RGB_BLUE))


def image(*names: str) -> Image:
    return image_from_array(
        np.zeros((len(names), 8, 8), np.uint8), name="field", channel_names=names
    )


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("DAPI", R.NUCLEUS),
        ("w1DAPI", R.NUCLEUS),
        ("Hoechst 33342", R.NUCLEUS),
        ("hoechst_33258", R.NUCLEUS),
        ("DRAQ5", R.NUCLEUS),
        ("H2B-mCherry", R.NUCLEUS),
        ("DNA", R.NUCLEUS),
        ("405 nm", R.NUCLEUS),
        ("EGFP", R.PROTEIN),
        ("FITC", R.PROTEIN),
        ("Alexa Fluor 488", R.PROTEIN),
        ("AF488", R.PROTEIN),
        ("Alexa 568", R.PROTEIN),
        ("Cy3", R.PROTEIN),
        ("TRITC", R.PROTEIN),
        ("Laser 488", R.PROTEIN),
        ("alpha-tubulin", R.MICROTUBULES),
        ("Microtubules", R.MICROTUBULES),
        ("Phalloidin-AF568", R.ACTIN),
        ("F-actin", R.ACTIN),
        ("Calnexin Cy5", R.ER),
        ("ER-Tracker Red", R.ER),
        ("ER", R.ER),
        ("WGA-Alexa647", R.MEMBRANE),
        ("MitoTracker Deep Red", R.MITOCHONDRIA),
        ("TOMM20", R.MITOCHONDRIA),
        ("Golgi GM130", R.GOLGI),
        ("CellMask", R.CELL),
        ("Brightfield", R.BRIGHTFIELD),
        ("DIC", R.BRIGHTFIELD),
        ("T-PMT", R.BRIGHTFIELD),
        ("laser power", R.UNKNOWN),
        ("Channel 3", R.UNKNOWN),
        ("640", R.UNKNOWN),
        ("dicer", R.UNKNOWN),
    ],
)
def test_names(name: str, role: ChannelRole) -> None:
    found = guess(Channel(name, color=""))
    assert found.role is role
    assert found.reason


def test_wavelengths_and_colors_are_weaker_than_names() -> None:
    assert guess(Channel("C1", color="", emission_nm=461.0)).role is R.NUCLEUS
    assert guess(Channel("C1", color="", excitation_nm=488.0)).role is R.PROTEIN
    assert guess(Channel("C1", color="", emission_nm=700.0)).role is R.UNKNOWN
    assert guess(Channel("C1", color="#0000ff")).reason == "its display color #0000ff is blue"
    assert guess(Channel("Phalloidin", color="#0000ff", emission_nm=461.0)).role is R.ACTIN
    assert guess(Channel("x", R.GOLGI, "#0000ff")).role is R.GOLGI


def test_a_weak_hint_gives_way_to_a_named_structure() -> None:
    found = assign_roles([Channel("DAPI", color=""), Channel("marker", color="#0000ff")])
    assert [c.role for c in found] == [R.NUCLEUS, R.UNKNOWN]
    assert "another channel names nucleus" in found[1].reason


def test_atlas_color_names() -> None:
    found = assign_roles([Channel(n, color="") for n in ("yellow", "blue", "green", "red")])
    assert [c.role for c in found] == [R.ER, R.NUCLEUS, R.PROTEIN, R.MICROTUBULES]
    assert "Human Protein Atlas" in found[0].reason
    assert [c.color for c in found] == ["#ffff00", "#0000ff", "#00ff00", "#ff0000"]


def test_unnamed_channels_get_names_and_different_colors() -> None:
    found = assign_roles([Channel("", color="") for _ in range(4)])
    assert [c.name for c in found] == ["Channel 1", "Channel 2", "Channel 3", "Channel 4"]
    assert len({c.color for c in found}) == 4
    assert assign_roles([Channel("", color="")])[0].role is R.GRAY


def test_match_gives_reasons() -> None:
    mapping = match(image("Calnexin", "DAPI", "GFP", "Tubulin"), HPA)
    assert mapping.indices == (3, 2, 1, 0)
    assert mapping.reasons[2] == "nucleus: channel 'DAPI', because name contains 'dapi'"


def test_optional_input_may_be_absent() -> None:
    mapping = match(image("DAPI", "GFP", "Tubulin"), HPA)
    assert mapping.indices == (2, 1, 0, None)
    assert mapping.reasons[3] == "er: no channel shows it"


def test_missing_role_names_what_is_there_and_how_to_say_it() -> None:
    with pytest.raises(ChannelError) as caught:
        match(image("Phalloidin", "GFP", "Tubulin"), HPA)
    error = caught.value
    assert error.code == "CHANNEL-MISSING"
    assert error.what == "The image has no channel for nucleus."
    assert "0 'Phalloidin' (actin)" in error.why
    assert "--channels nucleus=NAME" in error.remedy


def test_ambiguous_channels_are_asked_for() -> None:
    with pytest.raises(ChannelError) as caught:
        match(image("DAPI", "Hoechst", "GFP", "Tubulin"), HPA)
    assert caught.value.code == "CHANNEL-AMBIGUOUS"
    assert "'DAPI' and 'Hoechst'" in caught.value.why
    assert caught.value.remedy == "Choose one: --channels nucleus=DAPI"
    chosen = match(image("DAPI", "Hoechst", "GFP", "Tubulin"), HPA, {"nucleus": "Hoechst"})
    assert chosen.indices[2] == 1
    assert chosen.reasons[2] == "nucleus: channel 'Hoechst', as you chose"


def test_the_stronger_candidate_wins() -> None:
    mapping = match(image("Cy5", "GFP", "DAPI", "Tubulin"), HPA)
    assert mapping.indices[1] == 1
    assert "a better fit than 1 other" in mapping.reasons[1]


def test_the_only_channel_left_is_taken() -> None:
    pair = (InputPlane(R.NUCLEUS, "nucleus"), InputPlane(R.PROTEIN, "protein"))
    mapping = match(image("DAPI", "marker X"), pair)
    assert mapping.indices == (0, 1)
    assert mapping.reasons[1].endswith("because it is the only one left")


def test_photographs_and_stains_do_not_mix() -> None:
    photo = image_from_array(np.zeros((8, 8, 3), np.uint8), rgb=True, name="smear")
    assert match(photo, PHOTO).indices == (0, 1, 2)
    with pytest.raises(ChannelError) as caught:
        match(photo, HPA)
    assert caught.value.code == "CHANNEL-MISSING"
    assert "color photograph" in caught.value.what
    with pytest.raises(ChannelError) as caught:
        match(image_from_array(np.zeros((8, 8), np.uint8), name="gray"), PHOTO)
    assert caught.value.code == "CHANNEL-MISSING"
    assert "needs a color photograph" in caught.value.what


def test_model_for_any_channels() -> None:
    mapping = match(image("A", "B", "C"), ())
    assert mapping.indices == (0, 1, 2)
    assert len(mapping.inputs) == len(mapping.reasons) == 3


def test_overrides() -> None:
    assert parse_overrides("nucleus=DAPI, protein=1") == {"nucleus": "DAPI", "protein": "1"}
    assert parse_overrides("") == {}
    for text in ("nucleus", "=DAPI", "nucleus=", "a=1,a=2"):
        with pytest.raises(ChannelError) as caught:
            parse_overrides(text)
        assert caught.value.code == "CHANNEL-SYNTAX"
    field = image("488", "640", "405", "x")
    mapping = match(field, HPA, {"microtubules": "640", "nucleus": "2", "protein": 0, "er": "X"})
    assert mapping.indices == (1, 0, 2, 3)
    for overrides in ({"nucleus": "none"}, {"nucleus": 9}, {"golgi": 0}):
        with pytest.raises(ChannelError) as caught:
            match(field, HPA, overrides)
        assert caught.value.code == "CHANNEL-UNKNOWN"


NAMES = [
    "DAPI",
    "Hoechst",
    "GFP",
    "Cy5",
    "TRITC",
    "Tubulin",
    "Calnexin",
    "Phalloidin",
    "marker",
    "WGA",
    "405",
    "red",
]


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True),
    st.randoms(use_true_random=False),
)
def test_mapping_is_an_assignment_and_order_does_not_matter(
    names: list[str], random: object
) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    outcomes = []
    for order in (names, shuffled):
        try:
            mapping = match(image(*order), HPA)
        except ChannelError as error:
            outcomes.append(error.code)
            continue
        used = [i for i in mapping.indices if i is not None]
        assert len(used) == len(set(used))
        assert all(0 <= i < len(order) for i in used)
        assert len(mapping.indices) == len(mapping.reasons) == len(HPA)
        assert all(i is not None or p.optional for i, p in zip(mapping.indices, HPA))
        outcomes.append([None if i is None else order[i] for i in mapping.indices])
    assert outcomes[0] == outcomes[1]


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True))
def test_roles_do_not_depend_on_the_order(names: list[str]) -> None:
    forward = {c.name: c.role for c in assign_roles([Channel(n, color="") for n in names])}
    backward = {
        c.name: c.role for c in assign_roles([Channel(n, color="") for n in reversed(names)])
    }
    assert forward == backward
