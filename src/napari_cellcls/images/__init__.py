"""From a path or an array to an :class:`~napari_cellcls.images.image.Image`: the first room."""
