"""Tests of the benchmarks: their arithmetic and their honesty, never a time."""
