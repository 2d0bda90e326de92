"""The project folder: images by content, classes, the journal, and who has it open."""
