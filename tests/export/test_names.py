"""Output names: safe on every system, never shared, the same on every run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.export.names import output_stems, safe_stem


def test_own_names_stay() -> None:
    assert output_stems([("a", "x/a.png"), ("b", "x/b.png")]) == (["a", "b"], [])


def test_shared_names_get_their_folder_in_front() -> None:
    stems, notes = output_stems([("a", "/d/x/a.png"), ("a", "/d/y/a.png"), ("b", "/d/y/b.png")])
    assert stems == ["x_a", "y_a", "b"]
    assert notes == ["2 images are called 'a'; their results are named x_a, y_a."]


def test_shared_folder_names_get_a_number() -> None:
    stems, _ = output_stems([("a", "/1/x/a.png"), ("a", "/2/x/a.tif"), ("x_a", "/3/x_a.png")])
    assert stems == ["x_a-2", "x_a-3", "x_a"]


def test_case_does_not_tell_names_apart() -> None:
    stems, _ = output_stems([("A", "/d/x/A.png"), ("a", "/d/x/a.png")])
    assert stems == ["x_A", "x_a-2"]


def test_names_no_system_takes() -> None:
    assert safe_stem('a/b:c*"d') == "a_b_c__d"
    assert safe_stem("CON") == "_CON"
    assert safe_stem("nul.tif") == "_nul.tif"
    assert safe_stem(" . ") == "image"
    assert safe_stem("unié空 name") == "unié空 name"


def test_long_names_are_cut_but_stay_different() -> None:
    one, two = safe_stem("空" * 200 + "1"), safe_stem("空" * 200 + "2")
    assert one != two
    assert len(one.encode()) <= 180


@given(
    st.lists(st.tuples(st.text(max_size=6), st.text("ab/", min_size=1, max_size=6)), max_size=12)
)
def test_stems_are_unique_and_repeatable(images: list[tuple[str, str]]) -> None:
    stems, _ = output_stems(images)
    assert len({stem.casefold() for stem in stems}) == len(images)
    assert output_stems(images)[0] == stems
