"""`minift run`: run a script with minift in place of transformers, datasets, evaluate and accelerate."""

import os
import runpy
import sys
from collections.abc import Sequence

from minift.libraries.stand_ins import stand_ins


def run(script: str, argv: Sequence[str] = ()) -> int:
    """Run the file `script` as ``python SCRIPT ARGS`` would, with minift in place of the libraries.

    Returns 0, or 1 after an exception, whose traceback begins in the script. `SystemExit` passes through.
    """
    if not os.path.isfile(script):
        raise FileNotFoundError(f"{script}: no such script")
    if "WORLD_SIZE" in os.environ:  # one of several processes: a failure ends the others, too
        from minift.distributed.process import report_uncaught

        sys.excepthook = report_uncaught
    argv_before, path_before = sys.argv, sys.path[:]
    sys.argv = [script, *argv]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        with stand_ins():
            runpy.run_path(script, run_name="__main__")
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    finally:
        sys.argv, sys.path[:] = argv_before, path_before
    return 0
