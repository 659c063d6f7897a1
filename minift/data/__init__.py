"""Files to rows: what `datasets` does. Nothing here imports torch when it is loaded."""
