"""The whole pipeline offline, in two minutes: a generated corpus, a small BERT, pre-training, a trained classifier."""

from importlib import import_module
from pathlib import Path

from minift.batches.collate import DataCollatorWithPadding
from minift.data.load import load_dataset
from minift.demo.corpus import write_corpus, write_model
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments

SENTENCES = [
    "The plot is clever and the cast is charming.",
    "The plot is not clever.",
    "Nobody could call the ending boring.",
    "The music was moving, but the script is weak.",
]
MASKED = "The [MASK] is not boring."


def demo(output_dir: str | Path, seed: int = 0, framework: str = "torch") -> dict[str, float]:
    """Run every stage on data that it makes itself, printing what each does and where its code is.

    Args:
        output_dir: folder for the corpus and the models.
        seed: of the corpus and of the training.
        framework: "torch" or "tf".

    Returns:
        The accuracy on the validation split, after fine-tuning from random and from pre-trained weights.
    """
    run = import_module("minift.demo.in_keras" if framework == "tf" else "minift.demo.in_torch")
    folder = Path(output_dir)
    start, adapted = folder / "start", folder / "pretrained"
    print("minift demo: nothing is downloaded, and the corpus is generated: its scores say nothing about real text.")

    stage("corpus.py", "writes sentences of a grammar as Parquet files, laid out as a Hub repository")
    corpus = write_corpus(folder / "corpus", seed)
    stage("corpus.py", "trains a WordPiece vocabulary on them")
    write_model(start, corpus)

    stage("data/load.py", "reads the files into memory-mapped Arrow tables")
    data = load_dataset(corpus, "reviews")
    print("  " + ", ".join(f"{name}: {rows:,} rows" for name, rows in data.num_rows.items()))
    print(f"  {data['train'][0]}")

    stage("data/tokenizer.py", "turns text into token ids")
    tokenizer = AutoTokenizer.from_pretrained(start)
    encoded = tokenizer(data["train"][:4]["text"])
    print(f"  {tokenizer.convert_ids_to_tokens(encoded['input_ids'][0])}")
    print(f"  {encoded['input_ids'][0]}")

    stage("data/collate.py", "pads a batch to its own longest row, not to that of the data set")
    batch = DataCollatorWithPadding(tokenizer, return_tensors="np")(encoded)
    print(f"  lengths {[len(ids) for ids in encoded['input_ids']]} -> {tuple(batch['input_ids'].shape)}")

    stage(run.MODEL, "is a BERT of two layers, with random weights")
    print(f"  {run.make_model(start, seed):,} parameters")
    show_fill(run.fill_mask(start, MASKED, top_k=5))

    stage(
        run.PRETRAINING,
        "pre-trains it on unlabelled reviews, cut into blocks (data/chunk.py) with words hidden (data/mask.py)",
    )
    args = arguments(adapted, seed, num_train_epochs=8, learning_rate=1e-3, per_device_train_batch_size=32)
    run.pretrain(start, corpus, args, config="reviews", split="unsupervised", chunk_size=20, test_size=200)
    show_fill(run.fill_mask(adapted, MASKED, top_k=5))

    accuracy = {}
    for name, checkpoint in {"random": start, "pre-trained": adapted}.items():
        stage(run.TRAINING, f"trains a classifier from {name} weights: AdamW, a falling rate, evaluation by epoch")
        args = arguments(
            folder / f"from-{name}", seed, num_train_epochs=3, learning_rate=3e-4, per_device_train_batch_size=16
        )
        metrics = run.train(checkpoint, corpus, args, config="reviews")
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


def stage(module: str, does: str) -> None:
    """Announce a stage by its module and what it does."""
    print(f"\nminift/{module} {does}", flush=True)


def arguments(output_dir: Path, seed: int, **options: float) -> TrainingArguments:
    """What the demo's trainings have in common."""
    return TrainingArguments(
        str(output_dir),
        per_device_eval_batch_size=64,
        warmup_steps=0.1,
        logging_strategy="epoch",
        eval_strategy="epoch",
        save_strategy="no",
        seed=seed,
        **options,
    )


def show_fill(answers: list[dict]) -> None:
    """Print what a model puts in the place of the hidden word."""
    guesses = ", ".join(f"{answer['token_str']} {answer['score']:.2f}" for answer in answers)
    print(f"  {MASKED}  {guesses}")
