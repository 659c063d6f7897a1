"""Two ranks of minift beside two ranks of transformers: steps per second, and where the time goes.

    python -m benchmarks.distributed [--json FILE] [--steps 12] [--batch_size 8]

It starts itself by torchrun on two ranks of one thread each. In these processes, transformers' Trainer (accelerate and
DistributedDataParallel) and minift with each of its three ways to average train MiniLM on MRPC in turn, round after
round, so that what else the machine does hits all of them alike. One rank alone gives the scaling. The result is the
ratio of medians; the times are this machine's.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import MINILM, MRPC, require
from benchmarks.machine import peak_resident
from benchmarks.options import count, file_to_write
from minift.files import write_json

KINDS = ("transformers", "naive", "bucketed", "overlapped", "sharded")
ROUNDS = 5
SKIPPED = 2  # first steps of a run, which do not count


def step_time(compute: float, sent: float, ranks: int, bandwidth: float, latency: float, buckets: int) -> float:
    """Seconds of a step on N ranks, each on a batch of its own: a model with nothing overlapped.

    A ring sends 2 (N - 1) / N times the bytes of the gradients from every rank, in 2 (N - 1) turns for each bucket.

    Args:
        compute: seconds of one rank's forward pass, backward pass and update of one batch; it grows with the batch.
        sent: bytes of the buckets, 4 for each parameter in fp32, whatever the batch. The few rows of embedding tables
            that travel beside them are left out.
        ranks: N.
        bandwidth: bytes a second between two ranks.
        latency: seconds before the first byte of a turn arrives.
        buckets: exchanges in a step.
    """
    if ranks == 1:
        return compute
    turns = 2 * (ranks - 1)
    return compute + turns / ranks * sent / bandwidth + turns * buckets * latency


def trainer_of(run: str, folder: str, steps: int) -> Any:
    """A Trainer of the library or of minift on the real data, and the callback that times its steps."""
    import torch

    import minift

    kind, batch_size = run.split()
    batch_size = int(batch_size)
    if kind == "transformers":
        import transformers as library
    else:
        library = minift
    tokenizer = library.AutoTokenizer.from_pretrained(MINILM)
    enough = range(4 * batch_size * (steps + 3))  # for four ranks
    texts = minift.load_dataset(MRPC, "mrpc", split="train").select(enough)
    rows = [{**tokenizer(row["sentence1"], row["sentence2"], truncation=True), "label": row["label"]} for row in texts]

    class Clock(library.TrainerCallback):
        """The seconds of every step."""

        def __init__(self):
            self.times, self.begin = [], 0.0

        def on_step_begin(self, args, state, control, **objects):
            self.begin = time.perf_counter()

        def on_step_end(self, args, state, control, **objects):
            self.times.append(time.perf_counter() - self.begin)

    torch.manual_seed(1)
    model = library.AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=2)
    options = {"average_tokens_across_devices": False, "use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
    if kind not in ("transformers", "sharded"):
        options["ddp_averaging"] = kind
    # One kernel on both sides, transformers' default, so that it is the averaging that is compared
    options |= {"shard_optimizer": True} if kind == "sharded" else {"optim": "adamw_torch_fused"}
    args = library.TrainingArguments(
        folder,
        per_device_train_batch_size=batch_size,
        max_steps=steps,
        report_to="none",
        logging_strategy="no",
        **options,
    )
    clock = Clock()
    return library.Trainer(model, args, library.DataCollatorWithPadding(tokenizer), rows, callbacks=[clock]), clock


def exchange_times(in_buckets: int) -> dict[str, float]:
    """Seconds to sum a tensor of so many fp32 elements, and one of a single element, over the ranks."""
    import torch

    from minift.distributed.exchange import all_reduce

    found = {}
    for name, elements in (("latency", 1), ("all buckets", in_buckets)):
        tensor, times = torch.zeros(elements), []
        for _ in range(12):
            begin = time.perf_counter()
            all_reduce(tensor)
            times.append(time.perf_counter() - begin)
        found[name] = statistics.median(times[2:])
    return found


def measure(options: argparse.Namespace) -> None:
    """What each rank does; rank 0 writes the times of every round, and its peak of resident memory."""
    import torch

    from minift.distributed.buckets import Bucket
    from minift.distributed.world import world

    torch.set_num_threads(1)
    place = world()
    times: dict[str, list[float]] = {run: [] for run in options.runs}
    found: dict[str, Any] = {"times": times}
    with tempfile.TemporaryDirectory() as folder:
        made = {run: trainer_of(run, folder, options.steps) for run in options.runs}
        for round_ in range(ROUNDS):
            turn = round_ % len(options.runs)
            for run in options.runs[turn:] + options.runs[:turn]:
                trainer, clock = made[run]
                clock.times.clear()
                trainer.train()
                times[run].append(statistics.median(clock.times[SKIPPED:]))
                if run.startswith("bucketed"):
                    sizes = [len(bucket.flat) for bucket in trainer.run.averaging.buckets if isinstance(bucket, Bucket)]
                    found["buckets"], found["elements"] = len(sizes), sum(sizes)
    found["peak_bytes"] = peak_resident()
    if "elements" in found:
        found |= exchange_times(found["elements"])
    if place.is_main:
        Path(options.measure).write_text(json.dumps(found))


def start(ranks: int, runs: list[str], steps: int, folder: str | Path) -> dict[str, Any]:
    """Measure these runs, each a kind and a batch size such as "bucketed 8", in turns on so many ranks, in processes of
    their own.

    Raises:
        RuntimeError: one of the processes failed.
    """
    file = Path(folder, f"{ranks}.json")
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={ranks}", "--standalone"] if ranks > 1 else []
    arguments = ["--measure", str(file), "--steps", str(steps), "--runs", *runs]
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, *launcher, "-m", "benchmarks.distributed", *arguments]
    done = subprocess.run(command, env=os.environ | quiet, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{ranks} ranks ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(file.read_text())


def summarise(two: dict[str, Any], one: dict[str, Any], batch: int) -> dict[str, Any]:
    """The ratios, and the step times that the model gives beside those that were measured."""
    middle = {name: statistics.median(values) for name, values in (two["times"]).items()}
    alone = {name.split()[1]: statistics.median(values) for name, values in one["times"].items()}
    sent = 4 * two["elements"]
    bandwidth = sent / (two["all buckets"] - 2 * two["latency"])  # with two ranks, each sends the buckets once
    result: dict[str, Any] = {"seconds": middle | {f"one rank {size}": value for size, value in alone.items()}}
    result["rounds"] = two["times"]
    result["spread"] = {name: max(values) / min(values) for name, values in two["times"].items()}
    peer = middle[f"transformers {batch}"]
    result["ratio to transformers"] = {kind: peer / middle[f"{kind} {batch}"] for kind in KINDS[1:]}
    result["scaling from one rank to two"] = 2 * alone[str(batch)] / middle[f"overlapped {batch}"]
    result["share of communication"] = 1 - alone[str(batch)] / middle[f"bucketed {batch}"]
    result["bytes of the buckets"] = sent
    result["bandwidth"], result["latency"] = bandwidth, two["latency"]
    result["model"] = {
        f"two ranks, batch {size}": {
            "predicted": step_time(alone[str(size)], sent, 2, bandwidth, two["latency"], two["buckets"]),
            "measured": middle[f"bucketed {size}"],
        }
        for size in (batch, batch // 2)
    }
    return result


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help="also write the result to this file")
    parser.add_argument("--steps", type=count, default=6, help="steps of each run; the first two do not count")
    parser.add_argument("--batch_size", type=count, default=8, help="rows on each rank; half of it is measured, too")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # this and the next are for the processes that it starts
    parser.add_argument("--runs", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.measure:
        measure(options)
        return 0
    if options.steps <= SKIPPED or options.batch_size < 2:
        parser.error(f"needs more than {SKIPPED} steps, and at least 2 rows in a batch")
    require(MINILM, MRPC)
    import accelerate
    import torch
    import transformers

    batch, half = options.batch_size, options.batch_size // 2
    with tempfile.TemporaryDirectory() as folder:
        two = start(2, [*(f"{kind} {batch}" for kind in KINDS), f"bucketed {half}"], options.steps, folder)
        one = start(1, [f"overlapped {batch}", f"overlapped {half}"], options.steps, folder)
    result = summarise(two, one, options.batch_size)
    versions = {module.__name__: module.__version__ for module in (torch, transformers, accelerate)}
    result["machine"] = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), **versions}
    print(json.dumps(result, indent=2))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
