"""Classify cells in microscopy images inside napari, and learn from corrections.

Importing the package costs nothing: it holds the version and no code.
"""

__version__ = "0.1.0"
