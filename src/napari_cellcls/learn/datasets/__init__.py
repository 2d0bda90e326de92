"""Labeled single-cell images from the layouts in which people have them, decoded once.

:func:`open_dataset` finds the layout by itself: malaria and HeLa class folders, class folders in
general, the HPA table with four files per image, photographs with boxes, and parquet files.
This room does not split or train.
"""

from napari_cellcls.learn.datasets.cellset import CellSet, Channels, Fault, InputSpec
from napari_cellcls.learn.datasets.known import (
    BLOOD_CLASSES,
    HELA_CLASSES,
    HPA_CLASSES,
    MALARIA_CLASSES,
    patient_of,
)
from napari_cellcls.learn.datasets.listing import Entry, Listing, list_dataset
from napari_cellcls.learn.datasets.opened import open_dataset

__all__ = [
    "BLOOD_CLASSES",
    "HELA_CLASSES",
    "HPA_CLASSES",
    "MALARIA_CLASSES",
    "CellSet",
    "Channels",
    "Entry",
    "Fault",
    "InputSpec",
    "Listing",
    "list_dataset",
    "open_dataset",
    "patient_of",
]
