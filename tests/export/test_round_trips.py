"""Exports of a project come back whole where the format can hold them, and twice is once."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import tifffile

from napari_cellcls import cli
from napari_cellcls.export.field import fields_of_state
from napari_cellcls.export.matching import match
from napari_cellcls.export.project import export_project, of_images, read_labels
from napari_cellcls.export.taking import take_in
from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.project import groups
from napari_cellcls.project.project import create_project, open_project
from napari_cellcls.review.events import Flag, chain_faults
from napari_cellcls.review.table import label_table
from napari_cellcls.vocabulary import DataError, finish
from tests.export import projects

WHO = ["image", "cell", "class", "ruled_out", "annotator"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return projects.made(tmp_path)


def taken(project, path: Path, cells=None):
    state = project.journal.state
    names = {image_id: known.name for image_id, known in state.images.items()}
    done = []
    for image_id, rows in of_images(read_labels(path), names).items():
        matched = match(rows, image_id, cells, pixel_size_um=projects.SIZE)
        done.append(take_in(project.journal, matched))
    return done


@pytest.mark.parametrize("kind", ["csv", "geojson", "coco"])
def test_everybody_s_labels_come_back(project: Path, tmp_path: Path, kind: str):
    with open_project(project, read_only=True) as source:
        exported = finish(export_project(source, kind))
        expected = label_table(source.journal.state)
    cells = projects.cells() if kind == "csv" else None
    with projects.empty(tmp_path) as target:
        for path in exported.paths:
            if kind == "geojson":  # one file per image, which does not name it
                rows = read_labels(path)
                known = {i.name: n for n, i in target.journal.state.images.items()}
                name = "day1.tif" if "day1" in path.name else "other day2.tif"
                take_in(
                    target.journal, match(rows, known[name], cells, pixel_size_um=projects.SIZE)
                )
            else:
                taken(target, path, cells)
        found = label_table(target.journal.state)
        pd.testing.assert_frame_equal(found[WHO], expected[WHO])
        assert found["comments"].tolist() == expected["comments"].tolist()
        assert found["flags"].tolist() == expected["flags"].tolist()
        assert found["area_px"].tolist() == expected["area_px"].tolist()
        sources = set(found["source"])
        assert sources == {"imported", "adjudicated"}
        assert list(chain_faults(target.journal.state.events)) == []
        before = len(target.journal.state)
        if kind != "geojson":
            again = taken(target, exported.paths[0], cells)
            assert len(target.journal.state) == before
            assert sum(t.labels for t in again) == 0 and sum(t.known for t in again) > 0


def test_settled_rows_are_what_to_take(project: Path):
    with open_project(project, read_only=True) as source:
        fields = fields_of_state(source.journal.state)
    assert [f.name for f in fields] == ["day1.tif", "other day2.tif"]
    table = fields[0].table.set_index("label")
    assert table["class"].to_dict() == {4: "RBC", 5: "RBC", 9: "", 11: "WBC, large"}
    assert table["flags"].to_dict() == {4: "", 5: "ambiguous", 9: "disagreed", 11: ""}
    assert table["annotator"].to_dict() == {4: "ana|ben", 5: "ana", 9: "ana|ben", 11: "ben"}
    assert table["source"][11] == "adjudicated"
    assert table["opinions"][9] == '{"ana": "RBC", "ben": "WBC, large"}'
    assert (
        fields[0].label_image()
        == projects.label_image()[: fields[0].extent[0], : fields[0].extent[1]]
    ).all()


def test_tiff_and_parquet(project: Path, tmp_path: Path):
    with open_project(project, read_only=True) as source:
        parquet = finish(export_project(source, "parquet", tmp_path / "l.parquet"))
        tiffs = finish(export_project(source, "tiff", tmp_path / "tiffs"))
        table = label_table(source.journal.state)
    found = pd.read_parquet(parquet.paths[0])
    assert found["class"].tolist() == table["class"].tolist()
    assert found["label"].tolist() == table["label"].tolist()
    labels, classes = (tifffile.imread(p) for p in tiffs.paths[:2])
    assert labels[5, 5] == 4 and classes[5, 5] == 1
    assert classes[labels == 9].tolist() == [3] * 150 and classes[labels == 11].tolist() == [2, 2]
    legend = pd.read_csv(tmp_path / "tiffs" / "day1.classes.csv", keep_default_na=False)
    assert legend.values.tolist() == [
        [1, "rbc", "RBC", "#d55e00"],
        [2, "wbc__large", "WBC, large", "#0072b2"],
        [3, "", "not labeled", "#999999"],
    ]


def test_crops_are_a_set_that_training_reads(project: Path, tmp_path: Path):
    with open_project(project, read_only=True) as source:
        done = finish(export_project(source, "crops", tmp_path / "crops"))
    assert "1 left out: no person gave a class, or people differ" in done.notes
    data = finish(open_dataset(tmp_path / "crops", size=16))
    assert data.counts == {"RBC": 2, "WBC, large": 2}
    assert sorted(set(data.groups)) == ["day1.tif", "other day2.tif"]
    with open_project(project) as source:
        first = next(i for i, one in source.journal.state.images.items() if one.name == "day1.tif")
        groups.write(source, {first: {"patient": "P1", "slide": "S2"}})
        finish(export_project(source, "crops", tmp_path / "crops"))
    data = finish(open_dataset(tmp_path / "crops", size=16))
    assert sorted(set(data.groups)) == ["other day2.tif", "patient P1"]


def test_probabilities_of_a_run_are_added(project: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    table = projects.cells().table.assign(p_rbc=[0.1, 0.2, 0.3, 0.4], p_wbc=0.5)
    table.to_csv(run / "day1.cells.csv", index=False)
    with open_project(project, read_only=True) as source:
        done = finish(export_project(source, "csv", predictions=run))
        found = pd.read_csv(done.paths[0])
        fields = finish(export_project(source, "coco", predictions=run))
        assert fields.paths[0].is_file()
        with pytest.raises(DataError, match="IMPORT-NOPREDICTIONS"):
            finish(export_project(source, "csv", predictions=tmp_path))
    first = found[found["image"] == "day1.tif"]
    assert first.groupby("label")["p_rbc"].first().to_dict() == {4: 0.1, 5: 0.2, 9: 0.3, 11: 0.4}
    assert found[found["image"] != "day1.tif"]["p_rbc"].isna().all()


def test_the_terminal_exports_imports_merges_and_measures(project: Path, tmp_path: Path, capsys):
    assert cli.main(["project", "export", str(project), "--format", "coco"]) == 0
    assert "5 cells of 2 images" in capsys.readouterr().out
    assert cli.main(["project", "export", str(project), "--format", "odd"]) == 2
    projects.empty(tmp_path).close()
    other = str(tmp_path / "q.cellcls")
    coco = str(project / "exports" / "labels.coco.json")
    assert cli.main(["project", "import", other, coco, "--annotator", "cy"]) == 0
    text = capsys.readouterr().out
    assert "day1.tif: 8 labels taken in, 0 known before" in text
    assert "new classes: RBC, WBC, large" in text
    assert cli.main(["project", "import", other, str(tmp_path / "no.csv")]) == 2
    assert "IMPORT-MISSING" in capsys.readouterr().err
    assert cli.main(["project", "agreement", str(project), "--list"]) == 0
    text = capsys.readouterr().out
    # ana and ben judged four cells together... one alike of three: see projects.made.
    assert "5 cells judged by ana, ben" in text
    assert "Cohen's kappa, ana and ben: 0.00" in text
    assert "day1.tif y 50 x 67\tana: rbc; ben: wbc__large\topen" in text
    assert cli.main(["project", "verify", str(project)]) == 0
    text = capsys.readouterr().out
    assert "Images: 2 of 2 have the content that was labeled." in text
    with open(tmp_path / "day1.tif", "ab") as stream:
        stream.write(b"x")
    assert cli.main(["project", "verify", str(project)]) == 3
    assert "has other content than when it was labeled" in capsys.readouterr().out


def test_merging_is_the_same_in_either_order(tmp_path: Path, capsys):
    import shutil

    whole = projects.made(tmp_path)
    parts = [tmp_path / name for name in ("a.cellcls", "b.cellcls")]
    for part, name in zip(parts, ("ana", "cy")):
        shutil.copytree(whole, part)
        with open_project(part, annotator=name) as one:
            one.journal.label(next(iter(one.journal.state.cells)), "rbc")
            one.journal.label("new " + name, "wbc__large")
    copies = [tmp_path / name for name in ("ab.cellcls", "ba.cellcls")]
    for copy, (own, other) in zip(copies, (parts, parts[::-1])):
        shutil.copytree(own, copy)
        assert cli.main(["project", "merge", str(copy), str(other)]) == 0
        assert cli.main(["project", "merge", str(copy), str(other)]) == 0
        assert "0 new events" in capsys.readouterr().out
    states = []
    for copy in copies:
        with open_project(copy, read_only=True) as one:
            states.append(one.journal.state.snapshot())
            assert list(chain_faults(one.journal.state.events)) == []
    assert states[0] == states[1]
    assert {"ana", "ben", "cy"} == set(states[0]["counts"])


def with_notes(project: Path) -> None:
    """Let ben flag, skip and remark where ana did, and cy only flag and remark."""
    for who in ("ben", "cy"):
        with open_project(project, annotator=who) as one:
            journal = one.journal
            by_label = {
                journal.state.anchor(c)["label"]: c
                for c in journal.state.cells
                if journal.state.images[journal.state.image_of(c) or ""].name == "day1.tif"
            }
            if who == "ben":
                journal.flag(by_label[5], Flag.BAD_SEGMENTATION)
                journal.comment(by_label[5], "two cells")
                journal.comment(by_label[5], "or / three")
                journal.skip(by_label[5])
                journal.skip(by_label[9])
            else:
                journal.flag(by_label[4], Flag.BORDER)
                journal.comment(by_label[9], "no idea")


@pytest.mark.parametrize("kind", ["csv", "geojson", "coco"])
def test_everybody_s_flags_skips_and_remarks_come_back(project: Path, tmp_path: Path, kind: str):
    with_notes(project)
    with open_project(project, read_only=True) as source:
        exported = finish(export_project(source, kind))
        expected = label_table(source.journal.state)
        said = {c: cell.comments for c, cell in source.journal.state.cells.items()}
    with projects.empty(tmp_path) as target:
        names = {i.name.split(".")[0]: n for n, i in target.journal.state.images.items()}
        for path in exported.paths:
            if kind == "geojson":
                image_id = names[path.name.split(".")[0].replace("_", " ")]
                take_in(target.journal, match(read_labels(path), image_id))
            else:
                taken(target, path, projects.cells() if kind == "csv" else None)
        found = label_table(target.journal.state)
        columns = [*WHO, "flags", "skipped", "comments"]
        pd.testing.assert_frame_equal(found[columns], expected[columns])
        if kind != "csv":  # a table has one remark per person
            for cell_id, comments in said.items():
                now = target.journal.state.cells[cell_id].comments
                assert sorted((c.annotator, c.text) for c in now) == sorted(
                    (c.annotator, c.text) for c in comments
                )


def test_a_class_with_a_colon_is_one_where_cells_have_one_and_several_where_they_have_several(
    tmp_path: Path,
):
    square = [[[3, 2], [20, 2], [20, 12], [3, 12], [3, 2]]]
    feature = {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": square},
        "properties": {"classification": {"name": "Tumor: Positive", "names": ["Tumor", "Positive"]}},
    }  # fmt: skip
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps([feature]), encoding="utf-8")
    for several, known, expected in (
        (False, (), [("Tumor: Positive",)]),
        (True, (), [("Positive", "Tumor")]),
        (True, ("Tumor: Positive",), [("Tumor: Positive",)]),
    ):
        with create_project(
            tmp_path / f"{several}{len(known)}", classes=known, multi_label=several
        ) as one:
            done = take_in(one.journal, match(read_labels(path), "i"), multi_label=several)
            state = one.journal.state
            told = [
                tuple(sorted(state.classes[c].name for c in d.classes))
                for cell in state.cells.values()
                for d in cell.decisions.values()
            ]
            assert told == expected and done.labels == len(expected[0])


@pytest.mark.parametrize("kind", ["geojson", "coco"])
def test_a_class_that_was_changed_elsewhere_is_a_label_of_who_imports_it(
    project: Path, tmp_path: Path, kind: str
):
    with open_project(project, read_only=True) as source:
        [path, *_] = finish(export_project(source, kind)).paths
    content = json.loads(path.read_text(encoding="utf-8"))
    if kind == "geojson":
        cell = next(f for f in content["features"] if f["properties"]["name"] == "5")
        cell["properties"]["classification"] = {"name": "WBC, large", "names": ["WBC, large"]}
    else:
        number = next(c["id"] for c in content["categories"] if c["name"] == "WBC, large")
        cell = next(a for a in content["annotations"] if a["attributes"]["label"] == 5)
        cell["category_id"] = number
    path.write_text(json.dumps(content), encoding="utf-8")
    rows = [one for one in read_labels(path) if one.image in ("", "day1.tif")]
    said = [(one.annotator, one.classes) for one in rows if one.label == 5]
    assert said == [("ana", ("RBC",)), ("", ("WBC, large",))]
    assert [one.flags for one in rows if one.label == 5] == [("ambiguous",), ()]
