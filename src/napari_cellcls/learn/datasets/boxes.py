"""Photographs with a box around every cell (Pascal VOC), as the BCCD blood cells come.

Every box becomes a crop; all crops of one photograph are one group.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from napari_cellcls.learn.datasets import known
from napari_cellcls.learn.datasets.cellset import Fault, listed
from napari_cellcls.learn.datasets.listing import Entry, Listing, pictures

_ANNOTATIONS = ("annotations", "Annotations")
_IMAGES = ("images", "JPEGImages")
_MAX_BYTES = 1 << 22
_SMALLEST_PX = 2.0
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_folders(root: Path) -> tuple[Path, Path] | None:
    """Return the folders of annotations and of images, or None when this is another layout."""
    pair = [
        next((root / n for n in names if (root / n).is_dir()), None)
        for names in (_ANNOTATIONS, _IMAGES)
    ]
    if pair[0] is None or pair[1] is None or not any(pair[0].glob("*.xml")):
        return None
    return pair[0], pair[1]


def list_boxes(root: Path, annotations: Path, images: Path) -> Listing:
    """List every box of a folder of annotations."""
    photographs = {p.stem: p for p in pictures(images)}
    entries: list[Entry] = []
    faults: list[Fault] = []
    thin: list[str] = []
    for path in sorted(annotations.glob("*.xml")):
        try:
            found = _boxes(path)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            faults.append(Fault("DATA-UNREADABLE", path.name, str(error)[:120]))
            continue
        if path.stem not in photographs:
            faults.append(Fault("DATA-UNREADABLE", path.name, "there is no image of this name"))
            continue
        for number, (label, box, border) in enumerate(found):
            name = f"{path.stem}#{number}"
            if min(box[2] - box[0], box[3] - box[1]) < _SMALLEST_PX:
                thin.append(name)
                continue
            extra = (("border", "yes" if border else "no"),)
            photograph = photographs[path.stem]
            entries.append(Entry(name, (label,), path.stem, (photograph,), box=box, extra=extra))
    found_classes = {e.labels[0] for e in entries}
    blood = found_classes <= set(known.BLOOD_CLASSES)
    ordered = known.BLOOD_CLASSES if blood else tuple(sorted(found_classes))
    left_out = f"{len(thin)} boxes thinner than 2 pixels were left out: {listed(thin)}."
    return Listing(
        "photographs with boxes",
        root,
        tuple(entries),
        tuple(c for c in ordered if c in found_classes),
        group_kind="image",
        notes=(left_out,) if thin else (),
        faults=tuple(faults),
    )


def _boxes(path: Path) -> list[tuple[str, tuple[float, float, float, float], bool]]:
    """Return label, box and whether it touches the border, of every object in a file."""
    content = path.read_bytes()
    if len(content) > _MAX_BYTES:
        raise ValueError(f"the file has {len(content):,} bytes, too many for an annotation")
    # Entities can blow a small file up to gigabytes; annotations have no use for them.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("the file declares entities")
    tree = ElementTree.fromstring(content)
    width, height = (float(tree.findtext(f"size/{k}") or 0) for k in ("width", "height"))
    found = []
    for item in tree.iter("object"):
        label = (item.findtext("name") or "").strip()
        corners = [item.findtext(f"bndbox/{key}") for key in _CORNERS]
        if not label or None in corners:
            raise ValueError("an object has no name or no box")
        # The corners of VOC are the first and the last pixel, counted from 1.
        x0, y0, x1, y1 = (float(c or 0) for c in corners)
        box = (x0 - 1, y0 - 1, x1, y1)
        border = x0 <= 1 or y0 <= 1 or x1 >= width or y1 >= height
        found.append((label, box, border))
    return found
