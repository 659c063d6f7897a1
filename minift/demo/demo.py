"""The whole pipeline offline, in two minutes: a generated corpus, a small BERT, pre-training, a trained classifier."""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from minift.batches.chunk import chunk_dataset
from minift.batches.collate import DataCollatorWithPadding
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.data.load import load_dataset
from minift.demo.corpus import train_vocabulary, write_corpus, write_model
from minift.files import read_json
from minift.tensors import import_tensorflow
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

SENTENCES = [
    "The plot is clever and the cast is charming.",
    "The plot is not clever.",
    "Nobody could call the ending boring.",
    "The music was moving, but the script is weak.",
]
MASKED = "The [MASK] is not boring."


def demo(
    output_dir: str = "minift-demo", seed: int = 0, framework: Literal["torch", "tf"] = "torch"
) -> dict[str, float]:
    """Run every stage on generated data, printing what each stage does and which file does it.

    Returns the accuracy on the validation split, after fine-tuning from random and from pre-trained weights. The
    arguments are also the flags of `minift demo`.

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

    chunk, mask = file_of(chunk_dataset), file_of(DataCollatorForLanguageModeling)
    stage(run.pretrain, f"pre-trains it on unlabelled reviews, cut into blocks ({chunk}) with words hidden ({mask})")
    args = arguments(adapted, seed, batch_size=32, num_train_epochs=8, learning_rate=1e-3)
    run.pretrain(start, corpus, args, config="reviews", split="unsupervised", chunk_size=20, test_size=200)
    show_fill(run.fill_mask(adapted, MASKED, top_k=5))

    accuracy = {}
    for name, checkpoint in {"random": start, "pre-trained": adapted}.items():
        stage(run.train, f"trains a classifier from {name} weights: AdamW, a falling rate, evaluation by epoch")
        out = folder / f"from-{name}"
        args = arguments(out, seed, batch_size=16, num_train_epochs=3, learning_rate=3e-4)
        run.train(checkpoint, corpus, args, config="reviews")
        log = read_json(out / "trainer_state.json")["log_history"]
        metrics = [entry for entry in log if "eval_accuracy" in entry][-1]
        accuracy[name] = metrics["eval_accuracy"]
        print(f"  from {name} weights: accuracy {metrics['eval_accuracy']:.3f}, F1 {metrics['eval_f1']:.3f}")
    labels = list(data["validation"]["label"])
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    worth = accuracy["pre-trained"] - accuracy["random"]
    print(f"  always the more frequent class: accuracy {majority:.3f}; what pre-training was worth: {worth:+.3f}")

    better = folder / f"from-{max(accuracy, key=accuracy.get)}"
    stage(run.ANSWERS, f"loads the better one, saved in {better}, and labels new sentences")
    for sentence, answer in zip(SENTENCES, run.classify(better, SENTENCES), strict=True):
        print(f"  {answer['label']:<8} {answer['score']:.3f}  {sentence}")
    return accuracy


def stage(what: Any, does: str) -> None:
    """Announce a stage: the file of the function or class that does it, and what it does."""
    print(f"\n{file_of(what)} {does}", flush=True)


def file_of(what: Any) -> str:
    """Return the file of a function or class of minift."""
    return f"{what.__module__.replace('.', '/')}.py"


def arguments(output_dir: Path, seed: int, batch_size: int, **options: float) -> TrainingArguments:
    """Return the training arguments that all trainings of the demo share, with `options` added."""
    batches = dict(per_device_train_batch_size=batch_size, per_device_eval_batch_size=64)
    by_epoch = dict(logging_strategy="epoch", eval_strategy="epoch", save_strategy="no")
    return TrainingArguments(str(output_dir), seed=seed, warmup_steps=0.1, **batches, **by_epoch, **options)


def show_fill(answers: list[dict]) -> None:
    """Print which words a model suggests for the hidden one."""
    guesses = ", ".join(f"{answer['token_str']} {answer['score']:.2f}" for answer in answers)
    print(f"  {MASKED}  {guesses}")
