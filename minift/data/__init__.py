"""Files to token ids to batches: none of these modules imports torch or a model when it is loaded."""
