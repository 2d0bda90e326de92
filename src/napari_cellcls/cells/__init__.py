"""From an :class:`~napari_cellcls.images.image.Image` to cells: finding, measuring, cutting out."""
