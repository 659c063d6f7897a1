"""Measure stages, print a table as they go, and end with one JSON document.

python -m benchmarks --quick                          every stage, with few rows and rounds
python -m benchmarks --stage collate mask             two of them
python -m benchmarks --json bench.json                everything; then python -m benchmarks.report bench.json
"""

import argparse
import json
import os
import sys
import time
import traceback
from importlib import import_module

from benchmarks.options import add_options

STAGES = (
    *("imports", "load", "data", "tokenise", "chunk", "collate", "mask", "metrics", "optimizer", "forward"),
    *("classification", "masked", "evaluation", "gpu", "distributed", "tensorflow_batches", "tensorflow_fit"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES, metavar="NAME", help=", ".join(STAGES))
    parser.add_argument("--quick", action="store_true", help="fewer rows, steps and rounds")
    add_options(parser)
    options = parser.parse_args()
    prepare_environment(options.threads)

    from benchmarks import workloads
    from benchmarks.harness import Case, measure
    from benchmarks.machine import header, rates
    from benchmarks.settings import Settings
    from minift.files import write_json

    settings = Settings(options.quick, options.threads)
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    document = {"command": command, "data": workloads.SOURCE, "machine": header(options.threads), "rates": rates("cpu")}
    document |= {"rows": [], "notes": [], "curves": []}
    print(json.dumps(document, indent=2), flush=True)
    failed = 0
    for stage in options.stage:
        start = time.perf_counter()
        print(f"{stage}", flush=True)
        try:
            for item in import_module(f"benchmarks.stages.{stage}").cases(settings):
                rows = measure(stage, item, settings.repeats) if isinstance(item, Case) else [item]
                for row in rows:
                    add(document, stage, row)
        except Exception as error:  # one stage's failure costs the others nothing; the document says so
            failed += 1
            traceback.print_exc()
            add(document, stage, f"failed: {type(error).__name__}: {error}")
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
        if options.json:
            write_json(options.json, document)
    print(json.dumps(document))
    return 1 if failed else 0


def add(document: dict, stage: str, item: object) -> None:
    """Put a row, a loss curve or a remark into the document, and print it."""
    if isinstance(item, str):
        document["notes"].append({"stage": stage, "note": item})
        print(f"  {item}", flush=True)
    elif isinstance(item, dict):
        document["curves"].append({"stage": stage, **item})
    else:
        document["rows"].append(item.to_dict())
        print(item.line(), flush=True)


def prepare_environment(threads: int) -> None:
    """Threads of every library, before any of them is loaded; no progress bars, no warnings, nothing from the net."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    quiet |= {"TOKENIZERS_PARALLELISM": "true", "TF_CPP_MIN_LOG_LEVEL": "3", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
    os.environ.update(quiet)
    import logging
    import warnings

    import torch

    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("minift").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
