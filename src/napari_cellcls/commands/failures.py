"""Failures the terminal itself can say something about: faults of ours, and models without classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cellcls.vocabulary import ModelError, TaskError

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage


USAGE_CODES = frozenset(
    {
        "MODEL-UNKNOWN", "MODEL-MISSING", "CHANNEL-UNKNOWN", "CHANNEL-SYNTAX", "ENGINE-UNKNOWN",
        "CELLS-NOLABELFILE", "IMG-INDEX", "EXPORT-NAME", "DATA-MISSING", "RECIPE-MISSING",
        "FOLDS-MISSING", "PROJECT-MISSING", "PROJECT-EXISTS", "PROJECT-DATABASE",
        "IMPORT-MISSING", "IMPORT-IMAGE", "IMPORT-NOPREDICTIONS", "PROJECT-IMAGE", "PROJECT-GROUP-NAME",
        "PROJECT-GROUP-RULE", "PROJECT-GROUP-TABLE", "PROJECT-GROUP-IMAGE", "PROJECT-GROUP-TWICE",
    }
)  # fmt: skip
"""Codes that say the command line names something that does not exist: exit code 2."""


def unexpected(error: Exception, path: str) -> TaskError:
    """Return the coded error for a failure that none of our checks foresaw."""
    if isinstance(error, MemoryError):
        return TaskError(
            "There is not enough memory for this image.",
            code="TASK-MEMORY",
            path=path,
            why=str(error) or "the system refused to give more.",
            remedy="Close other programs, lower --batch-size, or cut the image into parts.",
        )
    return TaskError(
        "Something unforeseen went wrong with this image.",
        code="TASK-UNEXPECTED",
        path=path,
        why=f"{type(error).__name__}: {error}".strip(),
        remedy="Please report it with the log file; the other images are not affected.",
    )


def no_classes(package: ModelPackage) -> ModelError:
    """Return the refusal of a backbone that was asked for classes."""
    return ModelError(
        f"The model {package.manifest.label} has no classes yet.",
        code="MODEL-NO-CLASSES",
        why="it is a backbone: it describes cells but was not taught any classes.",
        remedy="Choose another model, or give --embeddings to write its description of each cell.",
    )
