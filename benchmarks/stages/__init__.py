"""One script a stage; each gives the cases that `python -m benchmarks` measures."""
