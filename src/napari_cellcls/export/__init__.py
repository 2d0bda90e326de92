"""Writing results for people and other programs: tables, label images, overlays, summaries."""
