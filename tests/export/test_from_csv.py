"""Tables of other programs: told apart by their columns, matched by number or place, refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.export.coco import read_coco
from napari_cellcls.export.from_csv import read_csv
from napari_cellcls.export.geojson import read_geojson
from napari_cellcls.export.imported import Found
from napari_cellcls.export.matching import match
from napari_cellcls.export.project import of_images, read_labels
from napari_cellcls.vocabulary import DataError
from tests.export import projects

SIZE = projects.SIZE


def table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def cells_of(rows: list[Found]) -> list[int]:
    return [a.label for _, a in match(rows, "i", projects.cells(), pixel_size_um=SIZE).pairs]


def test_qupath_in_micrometers_and_in_pixels(tmp_path: Path):
    # Cell 4: rows 2..11, columns 3..19; its center is (6.5, 11) px, so (3.5, 2.875) um from the corner.
    rows = read_csv(
        table(
            tmp_path,
            "Image\tClassification\tCentroid X µm\tCentroid Y µm\n"
            "day1.tif\tRBC\t2.875\t3.5\nday1.tif\tTumor: CD3\t16.9\t25.2\n",
        )
    )
    assert [one.classes for one in rows] == [("RBC",), ("Tumor: CD3",)]
    assert [one.joined for one in rows] == [False, True]
    assert rows[0].image == "day1.tif" and rows[0].place_um == (3.5, 2.875)
    assert cells_of(rows) == [4, 9]
    lost = match(rows, "i", projects.cells()).lost
    assert lost == {"places are in micrometers, but the image has no pixel size": 2}
    rows = read_csv(table(tmp_path, "Image,Class,Centroid X px,Centroid Y px\na,RBC,11.5,7\n"))
    assert (rows[0].y, rows[0].x) == (6.5, 11)
    assert cells_of(rows) == [4]


def test_napari_feature_classifier(tmp_path: Path):
    rows = read_csv(table(tmp_path, "roi_id,label,annotations\ns1,4,1.0\ns1,5,-1.0\ns1,9,2.0\n"))
    assert [one.classes for one in rows] == [("class 1",), (), ("class 2",)]
    assert rows[0].image == "s1" and cells_of(rows) == [4, 5, 9]


def test_cellprofiler_by_number_and_by_place(tmp_path: Path):
    text = "ImageNumber,ObjectNumber,Class,Location_Center_X,Location_Center_Y\n1,5,WBC,11,6\n"
    (one,) = read_csv(table(tmp_path, text))
    assert one.classes == ("WBC",) and (one.y, one.x) == (6, 11)
    assert cells_of([one]) == [5]
    (one,) = read_csv(table(tmp_path, "Class;AreaShape_Center_X;AreaShape_Center_Y\nWBC;11;6\n"))
    assert cells_of([one]) == [4]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "its columns are a, b"),
        ("", "its columns are none"),
        ("label,annotations\n1.5,1\n", "'1.5' is no whole number"),
        ("Image,Class,Centroid X px,Centroid Y px\na,b,x,1\n", "could not convert string to float"),
    ],
)
def test_other_tables_are_refused_with_what_was_found(tmp_path: Path, text: str, why: str):
    with pytest.raises(DataError, match="IMPORT-FORMAT") as caught:
        read_csv(table(tmp_path, text))
    assert why in str(caught.value)


def test_rows_that_mean_no_cell_are_counted_by_reason():
    rows = [
        Found(("RBC",), label=77),
        Found(("RBC",), y=0, x=0),
        Found(("RBC",), y=-3, x=0),
        Found(("RBC",)),
        Found(("RBC",)).at_mask(np.ones((4, 4), bool), (50, 0)),
    ]
    assert match(rows, "i", projects.cells()).lost == {
        "no cell has such a number (labels)": 1,
        "there is no cell at the place": 1,
        "the place lies outside of the image": 1,
        "the row says neither number nor place": 1,
        "no cell has half of its area in common with the outline": 1,
    }
    assert match(rows[:1], "i").lost == {"the file has no masks, so a label image is needed": 1}


def test_outlines_of_others_find_the_cell_they_cover():
    shifted = Found(("RBC",)).at_mask(np.ones((10, 17), bool), (3, 4))
    assert cells_of([shifted]) == [4]
    far = Found(("RBC",)).at_mask(np.ones((10, 17), bool), (8, 12))
    assert cells_of([far]) == []


def test_geojson_of_qupath(tmp_path: Path):
    square = [[10, 20], [13, 20], [13, 22], [10, 22], [10, 20]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [square]},
            "properties": {"objectType": "annotation", "classification": {"name": "A: B"}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPoint", "coordinates": [[11.5, 7], [1, 1]]},
            "properties": {"classification": {"names": ["RBC"]}},
        },
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": square}},
    ]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps(features), encoding="utf-8")
    found = read_geojson(path)
    assert [one.classes for one in found] == [("A: B",), ("RBC",), ("RBC",)]
    assert [one.joined for one in found] == [True, False, False]
    assert found[0].mask.shape == (2, 3) and found[0].origin == (20, 10)
    assert (found[1].y, found[1].x) == (6.5, 11)
    for content, why in (
        ("{", "it is no JSON"),
        ("[]", "none of its 0 features"),
        ("[3]", "feature 0"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match="IMPORT-FORMAT") as caught:
            read_labels(path)
        assert why in str(caught.value)


def test_coco_of_others_polygons_packed_runs_and_boxes(tmp_path: Path):
    content = {
        "images": [{"id": 7, "file_name": "sub/day1.tif", "height": 60, "width": 80}],
        "categories": [{"id": 3, "name": "RBC"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "segmentation": [[10, 20, 13, 20, 13, 22, 10, 22]]},
            # Packed by pycocotools: a 2 x 3 box at y 1, x 2 of a 4 x 6 image.
            {
                "image_id": 7,
                "category_id": 3,
                "segmentation": {"size": [4, 6], "counts": "9220003"},
            },
            {"image_id": 7, "category_id": 3, "bbox": [3, 2, 17, 10]},
        ],
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    one, two, three = read_coco(path)
    assert one.mask.sum() == 6 and one.origin == (20, 10) and one.image == "sub/day1.tif"
    assert two.mask.shape == (2, 3) and two.origin == (1, 2)
    assert (three.y, three.x) == (6.5, 11)
    assert list(of_images([one], {"id1": "day1.tif"})) == ["id1"]
    path.write_text(json.dumps({"annotations": [{"category_id": 1}]}), encoding="utf-8")
    with pytest.raises(DataError, match="an entry cannot be understood"):
        read_coco(path)


def test_rows_find_their_image_or_it_is_said_which_are_missing():
    names = {"i1": "day1.ome.tif", "i2": "b.png"}
    rows = [Found(image="day1"), Found(image="C:\\data\\b.png"), Found(image="i1")]
    assert {k: len(v) for k, v in of_images(rows, names).items()} == {"i1": 2, "i2": 1}
    assert list(of_images([Found()], {"i": "x"})) == ["i"]
    with pytest.raises(DataError, match="IMPORT-IMAGE") as caught:
        of_images([Found(), Found(image="z.tif")], names)
    assert (
        "it names (no name) (1 rows), z.tif (1 rows); the project has day1.ome.tif, b.png"
        in str(caught.value)
    )
