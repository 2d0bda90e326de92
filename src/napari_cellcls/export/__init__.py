"""Writing results for people and other programs: tables, label images, overlays, summaries.

Every file is written whole or not at all, and a disk that refuses answers with a coded
:class:`~napari_cellcls.export.errors.ExportError`.
"""
