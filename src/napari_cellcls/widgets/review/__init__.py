"""The dock *Review cells*: gallery, decisions, classes and project."""
