"""Where the sample images are: inside the installed package, or at the root of a source checkout."""

from __future__ import annotations

from pathlib import Path

from napari_cellcls.vocabulary import ImageError

SAMPLES = {"thin-smear": "thin_smear", "rgby-field": "rgby_field"}
"""Sample key -> stem of its files (``<stem>.ome.tif``, ``<stem>_labels.tif``, ``<stem>_truth.csv``)."""


def sample_folder() -> Path:
    """Return the folder of the sample images.

    Raises
    ------
    ImageError
        ``SAMPLE-MISSING`` when the installation lacks them.
    """
    package = Path(__file__).parent
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        if (folder / "README.md").is_file():
            return folder
    raise ImageError(
        "The sample images are not installed.",
        code="SAMPLE-MISSING",
        path=package / "sample_data",
        why="neither the installed package nor a source checkout holds the folder sample_data",
        remedy="Install again: pip install --force-reinstall napari-cellcls",
    )


def sample_image(key: str) -> Path:
    """Return the image file of sample ``key`` (``thin-smear`` or ``rgby-field``)."""
    return sample_folder() / f"{SAMPLES[key]}.ome.tif"
