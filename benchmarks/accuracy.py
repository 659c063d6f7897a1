"""Whether speed costs accuracy: MRPC fine-tuned over several seeds, on the plain path and on the fast one.

python -m benchmarks.accuracy --json accuracy.json        a run that was stopped goes on after its last finished seed
"""

import argparse
import contextlib
import io
import tempfile
from statistics import mean, stdev

from benchmarks import MINILM, MRPC, require
from benchmarks.options import add_options

PATHS = ("plain", "fast, bf16")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--epochs", type=float, default=3.0)
    add_options(parser)
    options = parser.parse_args()
    if options.json is None:
        parser.error("--json FILE is needed: the results are kept there from seed to seed")
    require(MINILM, MRPC)

    from benchmarks.__main__ import prepare_environment
    from minift.files import read_json, write_json

    prepare_environment(options.threads)
    done = read_json(options.json) if options.json.exists() else []
    if not isinstance(done, list) or not all(isinstance(run, dict) and "seed" in run for run in done):
        parser.error(f"{options.json} holds something else than the results of this command")
    for seed in options.seeds:
        for path in PATHS:
            if not any(run["path"] == path and run["seed"] == seed and run["epochs"] == options.epochs for run in done):
                done.append(
                    {"path": path, "seed": seed, "epochs": options.epochs, **fine_tune(path, seed, options.epochs)}
                )
                write_json(options.json, done)
                print(done[-1], flush=True)
    print(table([run for run in done if run["epochs"] == options.epochs]))


def fine_tune(path: str, seed: int, epochs: float) -> dict[str, float]:
    """MRPC with the course's settings (batch 8, 5e-5); accuracy and F1 on the validation split."""
    from benchmarks.training import FAST
    from minift.tasks.classify import finetune
    from minift.train.arguments import TrainingArguments

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        args = TrainingArguments(
            folder,
            num_train_epochs=epochs,
            seed=seed,
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            **({} if path == "plain" else FAST | {"bf16": True}),
        )
        trainer, _ = finetune(MINILM, MRPC, args, config="mrpc")
        found = trainer.evaluate()
    return {"accuracy": found["eval_accuracy"], "f1": found["eval_f1"]}


def table(runs: list[dict]) -> str:
    """Mean and standard deviation of each path over its seeds, as Markdown."""
    lines = ["| path | seeds | accuracy | F1 |", "|---|---:|---:|---:|"]
    for path in PATHS:
        found = [run for run in runs if run["path"] == path]
        if found:
            accuracy, f1 = (spread([run[name] for run in found]) for name in ("accuracy", "f1"))
            lines.append(f"| {path} | {len(found)} | {accuracy} | {f1} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{mean(values):.4f} ± {stdev(values) if len(values) > 1 else 0:.4f}"


if __name__ == "__main__":
    main()
