"""Training steps a second on MRPC, batch 8, MiniLM: minift in Keras 3 and in torch, transformers 4.57 with tf-keras.

    python -m benchmarks.tensorflow_fit [--environment FOLDER] [--batches 40] [--repeats 5] [--json FILE]

transformers 4.57 is the last release with TensorFlow. It gets a virtual environment of its own in FOLDER, which the
script makes there, with pip, if it is not there already (a temporary folder by default; about 2 GB).
`--environment none` leaves that side out.

Each side is a process that reads the same checkpoint and the same padded batches, and runs an epoch over them when it
is told to. The logits of all batches are compared before anything is timed; then the sides take turns. The result is
the ratio of the medians.
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
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import MINILM, MRPC, require

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["transformers==4.57.*", "tf-keras==2.21.*", "tensorflow==2.21.*"]
RATE = 5e-5
TARGET = 1.1
Epoch = Callable[[], None]


# -- what both need


def write_job(folder: Path, batches: int) -> None:
    """A checkpoint with a classifier's head, and the first `batches` of MRPC, padded."""
    import minift

    tokenizer = minift.AutoTokenizer.from_pretrained(MINILM)
    rows = minift.load_dataset(MRPC, "mrpc", cache_dir=folder / "cache")["train"]
    rows = rows.map(lambda r: tokenizer(r["sentence1"], r["sentence2"], truncation=True), batched=True)
    collate = minift.DataCollatorWithPadding(tokenizer, return_tensors="np")
    rows = rows.select_columns(["input_ids", "token_type_ids", "attention_mask", "label"])
    arrays = {
        f"{number}/{name}": array
        for number in range(batches)
        for name, array in collate(rows[number * 8 : number * 8 + 8]).items()
    }
    np.savez(folder / "batches.npz", **arrays)
    minift.set_seed(0)
    model = minift.AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=2)
    model.save_pretrained(folder / "model")


def read_batches(folder: Path) -> list[dict[str, np.ndarray]]:
    stored, batches = np.load(folder / "batches.npz"), {}
    for key in stored:
        number, name = key.split("/")
        batches.setdefault(int(number), {})[name] = stored[key]
    return [batches[number] for number in sorted(batches)]


def make_environment(folder: Path) -> Path:
    """The Python of a virtual environment with transformers 4.57; pip installs it the first time."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(PACKAGES)} into {folder}", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


# -- the sides: each returns the logits of all batches, and a function that trains for an epoch


def minift_tf(folder: Path) -> tuple[list[np.ndarray], Epoch]:
    import keras
    import tensorflow as tf

    import minift

    model = minift.TFAutoModelForSequenceClassification.from_pretrained(folder / "model")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss=loss)
    return _keras_side(model, tf, folder)


def transformers_tf(folder: Path) -> tuple[list[np.ndarray], Epoch]:
    import tensorflow as tf
    import tf_keras
    import transformers
    from safetensors.numpy import load_file
    from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

    # not from_pretrained: it iterates over an open safetensors file, which today's safetensors does not let it do
    config = transformers.AutoConfig.from_pretrained(folder / "model")
    model = transformers.TFAutoModelForSequenceClassification.from_config(config)
    load_pytorch_state_dict_in_tf2_model(model, load_file(folder / "model" / "model.safetensors"))
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf_keras.optimizers.Adam(RATE), loss=loss)
    return _keras_side(model, tf, folder)


def _keras_side(model: Any, tf: Any, folder: Path) -> tuple[list[np.ndarray], Epoch]:
    batches = read_batches(folder)
    names = [name for name in batches[0] if name != "labels"]
    signature = {name: tf.TensorSpec((None, None), tf.int64) for name in names}, tf.TensorSpec((None,), tf.int64)
    elements = [({name: batch[name] for name in names}, batch["labels"]) for batch in batches]
    dataset = tf.data.Dataset.from_generator(lambda: iter(elements), output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).cache()
    forward = tf.function(lambda inputs: model(inputs, training=False)["logits"], reduce_retracing=True)
    logits = [forward(inputs).numpy() for inputs, _ in dataset]
    return logits, lambda: model.fit(dataset, epochs=1, verbose=0)


def minift_torch(folder: Path) -> tuple[list[np.ndarray], Epoch]:
    import torch

    import minift

    model = minift.AutoModelForSequenceClassification.from_pretrained(folder / "model")
    optimizer = minift.AdamW(model.parameters(), lr=RATE)
    batches = [{name: torch.from_numpy(array) for name, array in batch.items()} for batch in read_batches(folder)]
    with torch.no_grad():
        logits = [model(**batch).logits.numpy() for batch in batches]

    def epoch() -> None:
        model.train()
        for batch in batches:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return logits, epoch


SIDES = {"minift tf": minift_tf, "minift torch": minift_torch, "transformers tf": transformers_tf}


def serve(side: str, folder: Path) -> None:
    """A side's process: write the logits, then answer each line of the input with the seconds of an epoch."""
    logits, epoch = SIDES[side](folder)
    np.save(folder / f"{side}.npy", np.stack(logits))
    epoch()  # traces, allocates
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        epoch()
        print(time.perf_counter() - start, flush=True)


class Side:
    """A side's process, seen from the one that measures."""

    def __init__(self, name: str, python: Path, folder: Path, threads: int):
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(threads),
            "TF_NUM_INTRAOP_THREADS": str(threads),
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        if name == "transformers tf":
            environment |= {"TF_USE_LEGACY_KERAS": "1", "USE_TORCH": "0"}
        command = [python, "-m", "benchmarks.tensorflow_fit", "--serve", name, str(folder)]
        pipe = subprocess.PIPE
        self.errors = open(folder / f"{name}.log", "w+")  # noqa: SIM115 - read when the process fails
        self.process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=self.errors, text=True
        )
        self.name = name

    def wait_for(self, *, number: bool = True) -> float:
        """The next line that the process prints: "ready", or the seconds of an epoch."""
        for line in self.process.stdout:
            if not number and line.strip() == "ready":
                return 0.0
            if number:
                return float(line)
        self.errors.seek(0)
        raise RuntimeError(f"the process of {self.name!r} ended:\n{self.errors.read()[-3000:]}")

    def run_epoch(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.wait_for()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def main(argv: Sequence[str] | None = None) -> dict[str, Any] | None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", help="folder of the environment with transformers 4.57, or none")
    parser.add_argument("--batches", type=int, default=40, help="batches in an epoch [40]")
    parser.add_argument("--repeats", type=int, default=5, help="epochs that are timed, of each side [5]")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side [1]")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        return serve(options.serve[0], Path(options.serve[1]))
    require(MINILM, MRPC)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_job(folder, options.batches)
        pythons = {"minift tf": Path(sys.executable), "minift torch": Path(sys.executable)}
        if options.environment != "none":
            pythons["transformers tf"] = make_environment(Path(options.environment or folder / "environment"))
        sides = []
        try:
            for name, python in pythons.items():
                sides.append(Side(name, python, folder, options.threads))
                sides[-1].wait_for(number=False)
            logits = {side.name: np.load(folder / f"{side.name}.npy") for side in sides}
            for name, values in logits.items():
                np.testing.assert_allclose(values, logits["minift torch"], atol=1e-4, err_msg=name)
            seconds: dict[str, list[float]] = {side.name: [] for side in sides}
            for _ in range(options.repeats):
                for side in sides:
                    seconds[side.name].append(side.run_epoch())
        finally:
            for side in sides:
                side.close()
    return report(seconds, options)


def report(seconds: dict[str, list[float]], options: argparse.Namespace) -> dict[str, Any]:
    """Print steps a second of each side, and minift's in Keras beside the others."""
    speeds = {name: [options.batches / value for value in values] for name, values in seconds.items()}
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {name: medians["minift tf"] / median for name, median in medians.items() if name != "minift tf"}
    print(f"{options.batches} batches of 8, equal logits, threads: {options.threads}, {platform.machine()}")
    for name, values in speeds.items():
        print(f"{name:>16}: {medians[name]:.2f} steps a second (from {min(values):.2f} to {max(values):.2f})")
    for name, ratio in ratios.items():
        target = f"; the target is {TARGET}" if name == "transformers tf" else ""
        print(f"minift tf runs {ratio:.2f} times the steps of {name}{target}")
    result = {"steps_per_second": speeds, "ratios": ratios, "target": TARGET, "packages": PACKAGES}
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    main()
