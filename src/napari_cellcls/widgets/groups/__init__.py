"""The dialog *Groups of images*: patient, slide, plate of each image."""
