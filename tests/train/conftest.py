"""Tiny models train fastest, and to the same bits on every machine, on one thread."""

import pytest


@pytest.fixture(autouse=True)
def _on_one_thread(one_thread):
    """For every test of this folder."""
