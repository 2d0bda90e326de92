"""The Qt and napari edge: panels emit, controllers decide, layers.py draws the session."""
