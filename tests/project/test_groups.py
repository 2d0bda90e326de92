"""Patient, slide, plate of an image: set by table, rule or hand, all or nothing, and what learns keeps them together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.learn.labels import group_of
from napari_cellcls.project import groups
from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.grouptable import Names, has_header, parse_table, read_table
from napari_cellcls.project.project import Project, create_project, open_project
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import Draft, Kind
from napari_cellcls.review.fold import fold
from napari_cellcls.review.state import ImageState


def with_images(folder: Path, *places: str) -> tuple[Project, dict[str, str]]:
    """Return a project beside files at these places, and the ids of the images."""
    project = create_project(folder / "p.cellcls", classes=["RBC"], annotator="ana")
    ids = {}
    for place in places:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(place.encode())
        ids[place] = project.add_image(path)
    return project, ids


def names_of(project: Project) -> Names:
    return Names(project.journal.state.images.values(), project.folder)


def groups_now(project: Project) -> dict[str, dict[str, str]]:
    return {one.name: one.groups for one in project.journal.state.images.values()}


def test_a_table_is_kept_across_windows_and_is_what_learning_reads(tmp_path: Path):
    project, ids = with_images(tmp_path, "a.tif", "b.tif", "c.tif")
    table = tmp_path / "groups.csv"
    table.write_text("\ufeffImage;Patient_ID;slide\na.tif;P 1 ;S1\nb;P 1;\nb;P 1;\nc.tif;;\n")
    found = groups.write(project, read_table(table, names_of(project)).wanted)
    assert [(one.image.name, dict(one.after)) for one in found] == [
        ("a.tif", {"patient": "P 1", "slide": "S1"}),
        ("b.tif", {"patient": "P 1"}),
    ]
    before = len(project.journal.state)
    assert groups.write(project, read_table(table, names_of(project)).wanted) == []
    assert len(project.journal.state) == before  # the same again writes nothing
    assert project.close()
    with open_project(tmp_path / "p.cellcls") as project:
        state = project.journal.state
        assert group_of(state.images, ids["a.tif"]) == "patient P 1"
        assert group_of(state.images, ids["b.tif"]) == "patient P 1"
        assert group_of(state.images, ids["c.tif"]) == f"image {ids['c.tif']}"
        assert groups.summary(state.images.values()) == (
            "3 images in 2 groups; one stands for itself."
        )
        assert group_of({}, "x") == "image x"
        assert ImageState("x", "x", {"slide": 3, "patient": ""}).group == "slide 3"


def test_images_are_found_by_name_path_and_id_and_unclear_ones_refused(tmp_path: Path):
    project, ids = with_images(tmp_path, "P1/f.tif", "P2/f.tif", "P2/g.ome.tif")
    with project:
        names = names_of(project)
        assert names.find("P2/f.tif") == names.find("p2\\F.TIF") == [ids["P2/f.tif"]]
        assert names.find("g") == names.find("G.ome.tif") == [ids["P2/g.ome.tif"]]
        assert names.find(str(tmp_path / "P1" / "f.tif")) == [ids["P1/f.tif"]]
        assert names.find(ids["P1/f.tif"]) == [ids["P1/f.tif"]]
        assert names.find("nowhere.tif") == []
        with pytest.raises(ProjectError, match="not clear which image") as caught:
            parse_table("image,patient\nf.tif,P1\n", names)
        assert caught.value.code == "PROJECT-GROUP-IMAGE" and "P1/f.tif" in caught.value.why


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "PROJECT-GROUP-TABLE", "its columns are: none"),
        (b"name,class\na.tif,RBC\n", "PROJECT-GROUP-TABLE", "its columns are: name, class"),
        (b"image,patient,subject\na.tif,1,1\n", "PROJECT-GROUP-TABLE", "two columns for the patient"),
        (b"image,patient\n,P1\n", "PROJECT-GROUP-TABLE", "line 2 names no image"),
        (b"PK\x03\x04rest", "PROJECT-GROUP-TABLE", "a workbook"),
        (b"image,patient\na.tif,M\xfcller\n", "PROJECT-GROUP-TABLE", "no text in UTF-8"),
        (b"image,patient\na.tif,P1\nx.tif,P2\n", "PROJECT-GROUP-IMAGE", "there is no 'x.tif'"),
        (b"image,patient\na.tif,P1\na,P2\n", "PROJECT-GROUP-TWICE", "line 2 says 'P1', line 3 says 'P2'"),
        (b"image,patient\na.tif," + b"x" * 121, "PROJECT-GROUP-NAME", "121 characters"),
    ],
)  # fmt: skip
def test_a_bad_table_changes_nothing(tmp_path: Path, content: bytes, code: str, said: str):
    project, _ = with_images(tmp_path, "a.tif", "b.tif")
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    before = len(project.journal.state)
    with project, pytest.raises(ProjectError) as caught:
        groups.write(project, read_table(table, names_of(project)).wanted)
    assert caught.value.code == code and said in caught.value.why
    assert len(project.journal.state) == before and not any(groups_now(project).values())


def test_a_table_that_is_not_there_and_one_in_utf16(tmp_path: Path):
    project, ids = with_images(tmp_path, "a.tif")
    with project:
        with pytest.raises(ProjectError, match="cannot be read") as caught:
            read_table(tmp_path / "none.csv", names_of(project))
        assert caught.value.code == "PROJECT-GROUP-TABLE"
        table = tmp_path / "unicode.txt"
        table.write_bytes("image\tpatient\na.tif\tMüller\n".encode("utf-16"))
        assert read_table(table, names_of(project)).wanted == {ids["a.tif"]: {"patient": "Müller"}}


def test_unknown_images_are_passed_over_only_when_asked(tmp_path: Path):
    project, ids = with_images(tmp_path, "a.tif")
    text = "image,patient\na.tif,P1\nx.tif,P2\n"
    with project:
        found = parse_table(text, names_of(project), skip_unknown=True)
        assert found.wanted == {ids["a.tif"]: {"patient": "P1"}} and found.unknown == ("x.tif",)
        with pytest.raises(ProjectError, match="images that the project does not have"):
            parse_table("image,patient\nx.tif,P2\n", names_of(project), skip_unknown=True)
    assert has_header(text) and not has_header("P1\tS1\nP2\tS2\n")


def test_a_rule_reads_paths_and_new_images_follow_it_when_asked(tmp_path: Path):
    project, ids = with_images(tmp_path, "P1/a.tif", "P2/b.tif", "c.tif")
    pattern = r"/(?P<patient>P\d+)/"
    found = groups.by_path(project, pattern)
    assert found == {ids["P1/a.tif"]: {"patient": "P1"}, ids["P2/b.tif"]: {"patient": "P2"}}
    groups.write(project, found, rule=pattern)
    (tmp_path / "P1" / "d.tif").write_bytes(b"d")
    later = project.add_image(tmp_path / "P1" / "d.tif")
    assert project.journal.state.images[later].groups == {"patient": "P1"}
    project.know_image("e" * 32, "sample", None)
    assert project.journal.state.images["e" * 32].groups == {}
    # Where an image is now says nothing about it anew: people may have corrected it since.
    groups.write(project, {later: {"patient": "P9"}})
    project.relocate(later, tmp_path / "P1" / "d.tif")
    assert project.journal.state.images[later].groups == {"patient": "P9"}
    groups.write(project, {}, rule="")
    (tmp_path / "P2" / "f.tif").write_bytes(b"f")
    assert not project.journal.state.images[project.add_image(tmp_path / "P2" / "f.tif")].groups
    assert project.close()
    with open_project(tmp_path / "p.cellcls") as again:
        assert again.journal.state.grouping == ""
        assert again.journal.state.snapshot() == fold(again.journal.state.events).snapshot()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(?P<patient>P\d+", "no regular expression"),
        (r"P\d+", "no part of it has a name"),
        (r"(?P<color>P\d+)", "'color' is no kind of group"),
        (r"(?P<patient>Q\d+)", "it fits none of 1 paths"),
    ],
)
def test_a_rule_that_tells_nothing_is_refused(tmp_path: Path, pattern: str, said: str):
    project, _ = with_images(tmp_path, "P1/a.tif")
    with project, pytest.raises(ProjectError, match="tells of no group") as caught:
        groups.by_path(project, pattern)
    assert caught.value.code == "PROJECT-GROUP-RULE" and said in caught.value.why


def test_unknown_kinds_and_images_are_refused(tmp_path: Path):
    project, ids = with_images(tmp_path, "a.tif")
    with project:
        with pytest.raises(ProjectError, match="cannot be put into this group"):
            groups.write(project, {ids["a.tif"]: {"patient": "P1", "color": "red"}})
        with pytest.raises(ProjectError, match="no such image"):
            groups.write(project, {"f" * 32: {"patient": "P1"}})
        assert not any(groups_now(project).values())
        groups.write(project, {ids["a.tif"]: {"patient": "P1", "slide": "S1"}})
        (one,) = groups.write(project, {ids["a.tif"]: {"patient": ""}})
        assert one.hints == {"patient": ""} and one.result.groups == {"slide": "S1"}
        assert groups_now(project) == {"a.tif": {"slide": "S1"}}


def test_a_second_window_cannot_write(tmp_path: Path):
    project, ids = with_images(tmp_path, "a.tif")
    assert project.journal.flush(60)
    with project, open_project(project.folder, annotator="ben") as second:
        with pytest.raises(JournalError):
            groups.write(second, {ids["a.tif"]: {"patient": "P1"}}, rule="(?P<patient>P1)")
        assert not any(groups_now(second).values()) and second.journal.state.grouping == ""


def test_suggestions_are_only_said(tmp_path: Path):
    names = [f"C{n}P{k}thinF_IMG_2015_{k}.png" for n in (33, 34) for k in (1, 2)]
    project, _ = with_images(tmp_path, *names)
    with project:
        (one,) = groups.suggest(project)
        assert (one.kind, one.images, one.names) == ("patient", 4, 2)
        assert one.text == "4 images of 2 patients, told by their paths"
        assert not any(groups_now(project).values())
        groups.write(project, groups.by_path(project, one.pattern))
        assert groups_now(project)[names[0]] == {"patient": "C33"}
        assert groups.suggest(project) == []  # it is set


def test_plates_and_wells_are_suggested_too(tmp_path: Path):
    places = [f"plate_{p}/r_{w}_s{s}.tif" for p in (1, 2) for w in ("A01", "B12") for s in (1, 2)]
    project, _ = with_images(tmp_path, *places)
    with project:
        found = {one.kind: (one.images, one.names) for one in groups.suggest(project)}
    assert found == {"plate": (8, 2), "well": (8, 2)}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=8).map(groups.plain), max_size=3))
def test_any_name_that_can_be_typed_comes_back(given_names: dict[str, str]):
    events = fold([]).images
    images = {k: ImageState(k, f"{k}.tif", {}) for k in "abc"} | events
    lines = [f'{k}.tif\t"{name.replace(chr(34), chr(34) * 2)}"' for k, name in given_names.items()]
    found = parse_table("\n".join(["image\tpatient", *lines]), Names(images.values(), Path("p")))
    assert found.wanted == {k: {"patient": n} for k, n in given_names.items() if n}


def test_a_rule_of_a_newer_release_harms_nothing(tmp_path: Path):
    project, _ = with_images(tmp_path)
    with project:
        project.journal.record([Draft(Kind.GROUPING, payload={"pattern": "(?P<cohort>x)"})])
        (tmp_path / "x.tif").write_bytes(b"x")
        assert project.journal.state.images[project.add_image(tmp_path / "x.tif")].groups == {}
