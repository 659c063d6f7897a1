"""A side in a process of its own: it stays there from call to call, and its errors come back."""

import os
import tempfile
from pathlib import Path

import pytest

from benchmarks.apart import Apart
from benchmarks.harness import Refused
from benchmarks.workloads import folder


class Counter:
    def __init__(self, start):
        self.count = start

    def __call__(self):
        self.count += 1
        return self.count, os.getpid()

    def temporary(self):
        return tempfile.mkdtemp(), folder()

    def refuse(self, why):
        raise Refused(why)


def test_what_was_made_stays_in_a_process_of_its_own():
    with Apart(1, Counter, 10) as first, Apart(1, Counter, 20) as second:
        (one, process), (two, same) = first(), first()
        assert (one, two) == (11, 12)
        assert process == same != os.getpid()
        assert second()[0] == 21
        for made in map(Path, first.ask("temporary")):
            assert made.parent == folder()  # which is removed when this process ends
        with pytest.raises(Refused, match="no reason"):
            first.ask("refuse", "no reason")
        assert first()[0] == 13
