"""The evaluation of a model as one self-contained HTML page with charts and pictures."""

from napari_cellcls.learn.report.document import html

__all__ = ["html"]
