"""The course's masked language modelling run on real data, by minift or by transformers, on the same blocks.

Run it once a side and compare what is printed at the end: blocks, first weights, masks, dropout and arithmetic are the
same, so the losses are the same numbers as long as both sides use the same number of threads.

    python -m benchmarks.mlm_parity --side minift
    python -m benchmarks.mlm_parity --side transformers
"""

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import IMDB, MINILM, require

SEED = 42


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", required=True, choices=("minift", "transformers"))
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--max_steps", type=int, default=-1, help="stop after this many steps; -1: after the epochs")
    parser.add_argument("--train_size", type=int, default=10_000, help="blocks to train on")
    parser.add_argument("--test_size", type=int, default=1000, help="blocks to evaluate on")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--logging_steps", type=int, help="steps between two losses; by default an epoch's")
    parser.add_argument("--threads", type=int, help="threads of torch; by default as torch has it")
    parser.add_argument("--data", default=Path(tempfile.gettempdir(), "minift-mlm-parity"), type=Path)
    options = parser.parse_args()
    require(IMDB, MINILM)
    if options.threads:
        torch.set_num_threads(options.threads)
    blocks = prepare(options.data / f"{options.train_size}-{options.test_size}", options.train_size, options.test_size)
    start = time.perf_counter()
    before, log = train(blocks, options)
    print(f"{options.side}, torch {torch.__version__}, {torch.get_num_threads()} threads: {seconds(start)}")
    show({"step": 0, "eval_loss": before})
    for entry in log:
        show(entry)


def prepare(folder: Path, train_size: int, test_size: int) -> Path:
    """Blocks of IMDb's training reviews, made by minift at the first run and kept in `folder` for both sides."""
    from minift.batches.chunk import chunk_dataset
    from minift.data.load import load_dataset
    from minift.tasks.blocks import MAP_ROWS, tokenize
    from minift.tokenizer.classes import AutoTokenizer

    if not folder.is_dir():
        start = time.perf_counter()
        tokenised = tokenize(load_dataset(IMDB)["train"], AutoTokenizer.from_pretrained(MINILM), "text")
        blocks = chunk_dataset(tokenised, batch_size=MAP_ROWS)
        blocks.train_test_split(train_size=train_size, test_size=test_size, seed=SEED).save_to_disk(folder)
        print(f"{len(blocks):,} blocks made in {seconds(start)}; {train_size:,} and {test_size:,} kept in {folder}")
    return folder


def train(blocks: Path, options: argparse.Namespace) -> tuple[float, list[dict[str, Any]]]:
    """The loss before training and the log of the run; the two sides differ in what they import."""
    more = {}
    if options.side == "minift":
        from minift.batches.mask import DataCollatorForLanguageModeling
        from minift.data.load import load_from_disk
        from minift.model.auto import AutoModelForMaskedLM
        from minift.tokenizer.classes import AutoTokenizer
        from minift.train.arguments import TrainingArguments
        from minift.train.trainer import Trainer
    else:
        from datasets import load_from_disk
        from transformers import (
            AutoModelForMaskedLM,
            AutoTokenizer,
            DataCollatorForLanguageModeling,
            Trainer,
            TrainingArguments,
        )

        # the plain formula, which is minift's; torch's fused kernel rounds differently in the last bit
        adamw = {"lr": 2e-5, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False}
        more = {"optimizer_cls_and_kwargs": (torch.optim.AdamW, adamw)}

    data, tokenizer = load_from_disk(str(blocks)), AutoTokenizer.from_pretrained(MINILM)
    torch.manual_seed(SEED)
    model = AutoModelForMaskedLM.from_pretrained(MINILM)  # the head is new: drawn here
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            num_train_epochs=options.epochs,
            max_steps=options.max_steps,
            per_device_train_batch_size=options.batch,
            per_device_eval_batch_size=options.batch,
            learning_rate=2e-5,
            weight_decay=0.01,
            seed=SEED,
            eval_strategy="epoch",
            logging_steps=options.logging_steps or max(1, options.train_size // options.batch),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model,
            args,
            DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
            data["train"],
            data["test"],
            processing_class=tokenizer,
            **more,
        )
        before = trainer.evaluate()["eval_loss"]
        trainer.train()
        return before, trainer.state.log_history


def show(entry: dict[str, Any]) -> None:
    """A line of the log, every digit of its losses."""
    parts = [f"{name} {entry[name]!r}" for name in ("loss", "grad_norm", "eval_loss") if name in entry]
    if "eval_loss" in entry:
        parts.append(f"perplexity {math.exp(entry['eval_loss']):.4f}")
    if parts:
        print(f"step {entry['step']}: {', '.join(parts)}")


def seconds(start: float) -> str:
    return f"{time.perf_counter() - start:.1f} s"


if __name__ == "__main__":
    main()
