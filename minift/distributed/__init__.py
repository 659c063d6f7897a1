"""Several processes of one run: how they find each other, exchange tensors, and average their gradients."""
