"""The whole pipeline offline, in two minutes: a generated corpus, a small BERT, and what pre-training is worth."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from minift.batches.collate import DataCollatorWithPadding
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.data.load import load_dataset
from minift.demo.corpus import train_vocabulary, write_corpus, write_model
from minift.demo.grammar import review
from minift.files import read_json
from minift.report.charts import sparkline
from minift.tensors import import_tensorflow
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

MASKED = "Dull, [MASK] plot and clumsy, weak ending."
LABELS = 16  # reviews that somebody has labelled; thousands are there without a label
SEEDS = 3  # trainings of each kind, whose mean is told: sixteen reviews are soon good or bad luck


def demo(
    output_dir: str = "minift-demo", seed: int = 0, framework: Literal["torch", "tf"] = "torch"
) -> dict[str, float]:
    """Run every stage on generated data, printing what each stage does and which file does it.

    Returns the accuracy on the validation split after fine-tuning on `LABELS` labels from random and from pre-trained
    weights, the mean over `SEEDS` trainings. The arguments are also the flags of `minift demo`.

    Args:
        output_dir: folder for the corpus and the models
        seed: seed of the corpus and of the training
        framework: torch, or TensorFlow
    """
    if framework == "tf":
        import_tensorflow()  # or an error that says how to install it
    run = import_module("minift.demo.in_keras" if framework == "tf" else "minift.demo.in_torch")
    folder = Path(output_dir)
    start, adapted = folder / "start", folder / "pretrained"
    print("minift demo: nothing is downloaded, and the corpus is generated: its scores say nothing about real text.")

    stage(write_corpus, "writes sentences of a grammar as Parquet files, laid out as a Hub repository")
    corpus = write_corpus(folder / "corpus", seed)
    stage(train_vocabulary, "trains a WordPiece vocabulary on them")
    write_model(start, corpus)

    stage(load_dataset, "reads the files into memory-mapped Arrow tables")
    data = load_dataset(corpus, "reviews")
    print("  " + ", ".join(f"{name}: {rows:,} rows" for name, rows in data.num_rows.items()))
    print(f"  {data['train'][0]}")

    stage(AutoTokenizer, "turns text into token ids")
    tokenizer = AutoTokenizer.from_pretrained(start)
    encoded = tokenizer(data["train"][:4]["text"])
    print(f"  {tokenizer.convert_ids_to_tokens(encoded['input_ids'][0])}")
    print(f"  {encoded['input_ids'][0]}")

    stage(DataCollatorWithPadding, "pads a batch to its own longest row, not to that of the data set")
    batch = DataCollatorWithPadding(tokenizer, return_tensors="np")(encoded)
    print(f"  lengths {[len(ids) for ids in encoded['input_ids']]} -> {tuple(batch['input_ids'].shape)}")

    stage(run.ENCODER, "is a BERT of two layers, with random weights")
    print(f"  {run.make_model(start, seed):,} parameters")
    show_fill(run.fill_mask(start, MASKED, top_k=5))

    mask = file_of(DataCollatorForLanguageModeling)
    stage(run.pretrain, f"pre-trains it on unlabelled reviews with words hidden ({mask})")
    args = arguments(adapted, seed, batch_size=32, num_train_epochs=9, learning_rate=1e-3, eval_strategy="epoch")
    if framework == "torch":  # Keras logs by epoch
        args.logging_steps = 0.02
    rows = dict(config="reviews", split="unsupervised", line_by_line=True, chunk_size=24, test_size=200)
    run.pretrain(start, corpus, args, **rows)
    show_fill(run.fill_mask(adapted, MASKED, top_k=5))

    stage(run.train, f"trains classifiers on {LABELS} labelled reviews: AdamW, a falling rate")
    texts, labels = list(data["validation"]["text"]), list(data["validation"]["label"])
    names = data["validation"].features["label"].names
    accuracy: dict[str, float] = {}
    for name, checkpoint in {"random": start, "pre-trained": adapted}.items():
        scores = []
        for number in range(seed, seed + SEEDS):
            out = folder / f"from-{name}-{number}"
            args = arguments(out, number, batch_size=8, num_train_epochs=30, learning_rate=1e-3)
            with quietly():
                run.train(checkpoint, corpus, args, config="reviews", max_train_samples=LABELS)
                answers = run.classify(out, texts)
            right = [answer["label"] == names[label] for answer, label in zip(answers, labels, strict=True)]
            scores.append(sum(right) / len(right))
        accuracy[name] = sum(scores) / SEEDS
        told = ", ".join(f"{score:.3f}" for score in scores)
        print(f"  from {name + ' weights':<20} accuracy {accuracy[name]:.3f}, mean of {told}", flush=True)
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    worth = accuracy["pre-trained"] - accuracy["random"]
    print(f"  always the more frequent class: {majority:.3f}; what pre-training was worth: {worth:+.3f}")

    best = folder / f"from-pre-trained-{seed}"
    stage(run.ANSWERS, f"loads {best}, and labels new reviews")
    rng = random.Random("new")
    sentences = [review(rng)[0] for _ in range(4)]
    for sentence, answer in zip(sentences, run.classify(best, sentences), strict=True):
        print(f"  {answer['label']:<8} {answer['score']:.3f}  {sentence}")
    log = read_json(adapted / "trainer_state.json")["log_history"]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    print(f"\n  loss of the pre-training: {losses[0]:.2f} {sparkline(losses)} {losses[-1]:.2f}")
    if framework == "torch":
        print(f"  as a page: {adapted / 'report.html'}")
    return accuracy


@contextmanager
def quietly() -> Iterator[None]:
    """Log warnings only in this block."""
    log = logging.getLogger("minift")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def stage(what: Any, does: str) -> None:
    """Announce a stage: the file of the function or class that does it, and what it does."""
    print(f"\n{file_of(what)} {does}", flush=True)


def file_of(what: Any) -> str:
    """Return the file of a function or class of minift."""
    return f"{what.__module__.replace('.', '/')}.py"


def arguments(output_dir: Path, seed: int, batch_size: int, **options: Any) -> TrainingArguments:
    """Return the training arguments that all trainings of the demo share, with `options` added."""
    batches = dict(per_device_train_batch_size=batch_size, per_device_eval_batch_size=64)
    once_more = dict(save_strategy="no", overwrite_output_dir=True)  # the demo may be run again
    return TrainingArguments(str(output_dir), seed=seed, warmup_steps=0.1, **batches, **once_more, **options)


def show_fill(answers: list[dict]) -> None:
    """Print which words a model suggests for the hidden one."""
    guesses = ", ".join(f"{answer['token_str']} {answer['score']:.2f}" for answer in answers)
    print(f"  {MASKED}  {guesses}")
