"""The whole pipeline offline, in two minutes: a generated corpus, a small BERT, a trained classifier."""

from pathlib import Path

from minift.corpus import write_corpus, write_model
from minift.data.collate import DataCollatorWithPadding
from minift.data.load import load_dataset
from minift.data.tokenizer import AutoTokenizer
from minift.finetune import finetune
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.pipelines import pipeline
from minift.train.arguments import TrainingArguments
from minift.train.seed import set_seed

SENTENCES = [
    "The plot is clever and the cast is charming.",
    "The plot is not clever.",
    "Nobody could call the ending boring.",
    "The music was moving, but the script is weak.",
]


def demo(output_dir: str | Path, seed: int = 0) -> float:
    """Run every stage on data that it makes itself, printing what each does and where its code is.

    Args:
        output_dir: folder for the corpus, the untrained and the trained model.
        seed: of the corpus and of the training.

    Returns:
        The accuracy on the validation split.
    """
    folder = Path(output_dir)
    print("minift demo: nothing is downloaded, and the corpus is generated: its scores say nothing about real text.")

    stage("corpus.py", "writes sentences of a grammar as Parquet files, laid out as a Hub repository")
    corpus = write_corpus(folder / "corpus", seed)
    stage("corpus.py", "trains a WordPiece vocabulary on them")
    start = write_model(folder / "start", corpus)

    stage("data/load.py", "reads the files into memory-mapped Arrow tables")
    data = load_dataset(corpus, "reviews")
    print(data)
    print(f"  {data['train'][0]}")

    stage("data/tokenizer.py", "turns text into token ids")
    tokenizer = AutoTokenizer.from_pretrained(start)
    encoded = tokenizer(data["train"][:4]["text"])
    print(f"  {tokenizer.convert_ids_to_tokens(encoded['input_ids'][0])}")
    print(f"  {encoded['input_ids'][0]}")

    stage("data/collate.py", "pads a batch to its own longest row, not to that of the data set")
    batch = DataCollatorWithPadding(tokenizer)(encoded)
    print(f"  lengths {[len(ids) for ids in encoded['input_ids']]} -> {tuple(batch['input_ids'].shape)}")

    stage("model/bert.py", "is a BERT of two layers, with random weights")
    set_seed(seed)
    model = BertModel(BertConfig.from_pretrained(start))
    model.save_pretrained(start)
    print(f"  {model.num_parameters():,} parameters")

    stage("train/trainer.py", "trains it with AdamW and a linearly falling rate, and evaluates it after every epoch")
    args = TrainingArguments(
        str(folder / "classifier"),
        num_train_epochs=5,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        learning_rate=5e-4,
        warmup_steps=0.1,
        logging_steps=100,
        eval_strategy="epoch",
        save_strategy="no",
        seed=seed,
    )
    trainer, _ = finetune(start, corpus, args, config="reviews")
    metrics = trainer.evaluate()
    labels = list(data["validation"]["label"])
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    print(
        f"  accuracy {metrics['eval_accuracy']:.3f}, F1 {metrics['eval_f1']:.3f}; the majority class has {majority:.3f}"
    )

    stage("pipelines.py", f"loads the model saved in {folder / 'classifier'} and labels new sentences")
    classify = pipeline("text-classification", model=folder / "classifier")
    for sentence, answer in zip(SENTENCES, classify(SENTENCES), strict=True):
        print(f"  {answer['label']:<8} {answer['score']:.3f}  {sentence}")
    return metrics["eval_accuracy"]


def stage(module: str, does: str) -> None:
    """Announce a stage by its module and what it does."""
    print(f"\nminift/{module} {does}", flush=True)
