"""The loop that ties data, model and optimizer together."""
