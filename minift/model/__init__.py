"""Token ids to logits and loss."""
