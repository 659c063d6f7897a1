"""Where the time of a training step goes, and what share of the machine's rate of matrix products it makes use of.

python -m benchmarks.profile [--quick] [--json FILE]
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from benchmarks.harness import show
from benchmarks.options import add_options

# How names of torch's operators begin -> what they do for a step. An operator counts for the outermost one around it
# that is named here: whatever the optimizer calls for the optimizer, a product within attention for attention. (But the
# backward pass of torch's own attention with dropout is single operators, and counts as those.)
GROUPS = {
    "matrix products": ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "aten::linear", "mkldnn", "onednn"),
    "attention": ("aten::scaled_dot_product", "aten::_scaled_dot_product", "aten::_flash_attention", "TextByText"),
    "dropout": ("aten::bernoulli", "aten::native_dropout", "aten::random_", "aten::dropout"),
    "LayerNorm": ("aten::native_layer_norm", "aten::layer_norm"),
    "activation": ("aten::gelu", "aten::tanh"),
    "optimizer": ("Optimizer.step",),
    "clipping": ("aten::_foreach", "aten::linalg_vector_norm", "aten::clamp"),
    "casts and copies": ("aten::copy_", "aten::_to_copy", "aten::clone", "aten::contiguous", "aten::cat"),
    "embeddings and packing": ("aten::embedding", "aten::index", "aten::_index", "aten::gather", "aten::nonzero"),
    "elementwise": ("aten::mul", "aten::add", "aten::sum", "aten::div", "aten::sub"),
    "zeroing memory": ("aten::zero", "aten::fill_", "aten::empty"),
}
TURNS = 3
OUTSIDE, OTHER = "Python, data, waiting", "other operators"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="MiniLM and small batches alone")
    add_options(parser)
    options = parser.parse_args()

    from benchmarks.__main__ import prepare_environment
    from benchmarks.machine import header, rates
    from minift.files import write_json

    prepare_environment(options.threads)
    from benchmarks.apart import Apart

    command = "python -m benchmarks.profile" + (" --quick" if options.quick else "")
    document = {"command": command, "machine": header(options.threads), "rates": rates("cpu"), "steps": []}
    for name, job, paths in jobs(options.quick):
        for path, arguments in paths.items():
            made_of = (name, path, job, arguments, document["rates"])
            with Apart(options.threads, partial, profile, *made_of) as apart:
                document["steps"].append(apart())
            print(json.dumps(document["steps"][-1]), flush=True)
            if options.json:
                write_json(options.json, document)
    print(table(document))


def jobs(quick: bool) -> list[tuple[str, Any, dict[str, dict[str, Any]]]]:
    """MRPC and masked language modelling, and classification with BERT-base's sizes."""
    from benchmarks import workloads
    from benchmarks.stages.classification import classify
    from benchmarks.stages.masked import masked
    from benchmarks.training import FAST, FAST_MASKED

    def paths(fast: dict[str, Any]) -> dict[str, dict[str, Any]]:
        bf16 = {"bf16": True}
        return {"plain, fp32": {}, "plain, bf16": bf16, "fast, fp32": fast, "fast, bf16": fast | bf16}

    pairs = workloads.tokenised_pairs().shuffle(seed=0)
    found = [("MRPC, MiniLM, batch 8", classify(pairs, 8), paths(FAST))]
    if quick:
        return [*found, ("MLM, MiniLM, batch 4 × 128", masked(workloads.minilm(), 4), paths(FAST_MASKED))]
    base = classify(pairs, 8, path=workloads.checkpoint("bert"))
    found.append(
        ("MLM, DistilBERT, batch 16 × 128", masked(workloads.checkpoint("distilbert"), 16), paths(FAST_MASKED))
    )
    return [*found, ("MRPC, BERT-base, batch 8", base, paths(FAST))]


def profile(name: str, path: str, job: Any, arguments: dict[str, Any], rates: dict[str, float]) -> dict[str, Any]:
    """The seconds of a step by group of operators, and its model FLOPs utilisation.

    The seconds and the utilisation come from the median of turns that are not profiled, all over the same rows; the
    shares from one that is.
    """
    import time

    import torch

    import minift
    from benchmarks.training import SKIPPED, Training, make_model, train

    steps = SKIPPED + 4
    job = replace(job, rows=job.turn(0, steps))
    turn = Training(job, "minift", arguments, steps)
    turn()
    seconds = median(turn().seconds for _ in range(TURNS))
    lengths = job.lengths()
    model = make_model(job, minift)
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    began, wall = 0.0, 0.0  # of the profiled steps

    def stamp(step: int) -> None:
        nonlocal began, wall
        if step == SKIPPED:
            profiler.__enter__()
            began = time.perf_counter()
        elif step == steps:
            wall = time.perf_counter() - began
            profiler.__exit__(None, None, None)

    train(job, minift, model, job.rows, arguments, steps, stamp)
    flops = job.flops(model.config, lengths) / steps
    rate = rates["bfloat16" if arguments.get("bf16") else "float32"]
    shares = by_group(profiler.events(), wall)
    return {
        "job": name,
        "path": path,
        "seconds": seconds,
        "flop": flops,
        "mfu": flops / seconds / rate,
        "shares": shares,
    }


def by_group(events: Any, wall: float) -> dict[str, float]:
    """The share of `wall` seconds that each group of operators took itself, the largest first."""
    totals = dict.fromkeys([*GROUPS, OTHER], 0.0)
    for event in events:
        totals[group_of(event)] += event.self_cpu_time_total / 1e6
    inside = sum(totals.values())
    totals[OUTSIDE] = max(0.0, wall - inside)
    whole = sum(totals.values())
    return {group: total / whole for group, total in sorted(totals.items(), key=lambda item: -item[1]) if total}


def group_of(event: Any) -> str:
    found = OTHER
    while event is not None:
        found = next((group for group, names in GROUPS.items() if event.name.startswith(names)), found)
        event = event.cpu_parent
    return found


def table(document: dict[str, Any]) -> str:
    """A line a step: seconds, utilisation, and the groups that take at least a fiftieth."""
    rates = document["rates"]
    lines = [
        f"`{document['command']}`: matrix products at {rates['float32'] / 1e9:.0f} GFLOP/s (fp32) and "
        f"{rates['bfloat16'] / 1e9:.0f} GFLOP/s (bf16) are 100 %.",
        "",
        "| step | path | seconds | utilisation | where the time goes |",
        "|---|---|---:|---:|---|",
    ]
    for step in document["steps"]:
        largest = sorted(step["shares"].items(), key=lambda item: -item[1])
        shares = ", ".join(f"{group} {share:.0%}" for group, share in largest if share >= 0.02)
        lines.append(f"| {step['job']} | {step['path']} | {show(step['seconds'])} | {step['mfu']:.0%} | {shares} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
