"""What the ranks of the distributed tests run, and how they are started."""
