"""`main_process_first`: one process maps a data set, and the others use its result."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from minift.data.processes import share_files
from minift.distributed.exchange import barrier, gather_objects
from minift.distributed.world import world


@contextmanager
def main_process_first(local: bool = True) -> Iterator[None]:
    """Run the `with` block in the first process (of each machine, if `local`), then in the others (*collective*).

    What `Dataset.map` makes in the block goes to a folder that lasts until all processes have left the block. The other
    processes must call `map` in the same order. They find the results in the folder and map them into memory.
    """
    place = world()
    if place.size == 1:
        yield
        return
    goes_first = (place.local_rank if local else place.rank) == 0
    with tempfile.TemporaryDirectory(prefix="minift-shared-", ignore_cleanup_errors=True) as folder:
        if goes_first:
            with share_files(folder, writes=True):
                yield
        folders = gather_objects(folder)  # returns when the processes that go first have left the block
        first = place.rank - place.local_rank if local else 0
        if not goes_first:
            with share_files(folders[first], writes=False):
                yield
        barrier()
