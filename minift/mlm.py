"""Adapt a checkpoint to a corpus by masked language modelling: from two names to a saved model and its perplexity."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minift.data.chunk import chunk_dataset
from minift.data.collate import default_data_collator
from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.features import Features
from minift.data.load import load_dataset
from minift.data.mask import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask, freeze_masks
from minift.data.tokenizer import AutoTokenizer, Tokenizer
from minift.metrics import perplexity
from minift.model.auto import AutoModelForMaskedLM
from minift.model.checks import check_vocabulary
from minift.train.arguments import TrainingArguments
from minift.train.distributed import main_process_first, world
from minift.train.loader import Loader
from minift.train.report import EpochTable
from minift.train.seed import set_seed
from minift.train.setup import make_loader
from minift.train.trainer import Trainer, TrainOutput

MAP_ROWS = 1000  # documents that are chunked together, as in the course: it settles how many blocks there are


def mlm(
    model: str | Path,
    dataset: str | Path,
    args: TrainingArguments,
    config: str | None = None,
    text_column: str | None = None,
    split: str = "train",
    chunk_size: int = 128,
    mlm_probability: float = 0.15,
    whole_word_mask: bool = False,
    train_size: int | None = None,
    test_size: int | None = None,
    freeze_eval_masks: bool = False,
) -> tuple["MaskedLMTrainer", TrainOutput]:
    """Load, tokenise, cut into blocks, train, print the perplexity before, by epoch and after, and save.

    Args:
        model, dataset: a folder or a Hub name each.
        args: the training arguments; its `seed` also picks the blocks and freezes the masks.
        config: the data set's configuration.
        text_column: the column to read; None finds it.
        split: the split to train on.
        chunk_size: T, the tokens in a block.
        mlm_probability: the share of tokens, or of words, to predict.
        whole_word_mask: hide whole words, not single tokens.
        train_size, test_size: blocks of `split` to train and to evaluate on, drawn at random (`test_size` is a tenth
            of `train_size` by default); with neither, all of it, and the validation or test split.
        freeze_eval_masks: mask the evaluation blocks once, so that every evaluation sees the same.

    Returns:
        The trainer, with the trained model, and the summary of the training.

    Raises:
        ValueError: blocks that the model cannot read or the corpus cannot fill, no mask token, no column of texts, or
            nothing to evaluate on; the message names the argument.
        KeyError: there is no such split.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    set_seed(args.seed)
    model = AutoModelForMaskedLM.from_pretrained(model)
    longest = model.config.max_position_embeddings
    if not 1 <= chunk_size <= longest:
        raise ValueError(f"chunk_size={chunk_size}: the model reads 1 to {longest} tokens (max_position_embeddings)")
    check_vocabulary(len(tokenizer), model.config)
    masking = DataCollatorForWholeWordMask if whole_word_mask else DataCollatorForLanguageModeling
    collator = masking(tokenizer, mlm_probability=mlm_probability)

    hold_out = train_size is not None or test_size is not None
    with main_process_first():  # the others map what it has made into memory
        data = load_dataset(dataset, config)
        text_column = find_text_column(data[split].features, text_column)
        splits = [split] if hold_out else [split, find_eval_split(data, split)]
        blocks = {}
        for name in splits:
            tokenised = tokenize(data[name], tokenizer, text_column, word_ids=whole_word_mask)
            blocks[name] = chunk_dataset(tokenised, chunk_size, batch_size=MAP_ROWS)
    for name, rows in data.items():
        count = f"{len(blocks[name]):,} blocks of {chunk_size} tokens" if name in blocks else "not used"
        say(f"{name}: {len(rows):,} rows, {count}")
    if hold_out:
        if test_size is None:
            test_size = max(1, train_size // 10)
        held_out = blocks[split].train_test_split(train_size=train_size, test_size=test_size, seed=args.seed)
        train, evaluation = held_out["train"], held_out["test"]
    else:
        train, evaluation = (blocks[name] for name in splits)
    say(f"training on {len(train):,} blocks, evaluating on {len(evaluation):,}")
    if freeze_eval_masks:
        with main_process_first():
            evaluation = freeze_masks(evaluation, masking(tokenizer, mlm_probability=mlm_probability, seed=args.seed))

    if whole_word_mask:
        args = replace(args, remove_unused_columns=False)  # the collator needs word_ids; it takes them out itself
    trainer = MaskedLMTrainer(
        model,
        args,
        data_collator=collator,
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        callbacks=[EpochTable],
        frozen_masks=freeze_eval_masks,
    )
    print_perplexity("before training", trainer.evaluate())
    output = trainer.train(args.resume_from_checkpoint)
    print_perplexity("after training", trainer.evaluate())
    trainer.save_model()
    trainer.save_state()
    return trainer, output


class MaskedLMTrainer(Trainer):
    """A `Trainer` that reports perplexities beside the losses of an evaluation.

    ``eval_perplexity`` is the course's, e to the power of the loss averaged over batches; ``eval_weighted_perplexity``
    that of the loss averaged over tokens. Both are infinite where the power overflows.

    Args:
        frozen_masks: evaluation sets come from `freeze_masks`: their rows are stacked, and not masked again.
    """

    def __init__(self, *args: Any, frozen_masks: bool = False, **options: Any):
        self.frozen_masks = frozen_masks
        super().__init__(*args, **options)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        losses = [name for name in logs if name.endswith("_loss") and name != "train_loss"]
        logs.update({f"{name.removesuffix('loss')}perplexity": perplexity(logs[name]) for name in losses})
        super().log(logs, start_time)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Loader:
        if not self.frozen_masks:
            return super().get_eval_dataloader(eval_dataset)
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        return make_loader(dataset, default_data_collator, self.model, self.args, "evaluation", training=False)


def find_text_column(features: Features, text_column: str | None = None) -> str:
    """The column named by `text_column`, else the one called text, else the only one of strings.

    Raises:
        ValueError: there is no such column, or it does not hold strings, or there are several to choose from.
    """
    texts = ("string", "large_string")
    strings = [name for name, feature in features.items() if getattr(feature, "dtype", None) in texts]
    if text_column is None:
        text_column = "text" if "text" in strings or len(strings) != 1 else strings[0]
    if text_column not in strings:
        raise ValueError(f"text_column={text_column!r} is not a column of texts; these are: {', '.join(strings)}")
    return text_column


def find_eval_split(data: DatasetDict, split: str) -> str:
    """The split to evaluate on after training on `split`: validation if there is one, else test."""
    for name in ("validation", "test"):
        if name in data and name != split:
            return name
    raise ValueError(
        f"there is no validation or test split beside {split!r} (the data set has {', '.join(data)}): "
        "hold blocks out with train_size and test_size"
    )


def tokenize(dataset: Dataset, tokenizer: Tokenizer, text_column: str, word_ids: bool = False) -> Dataset:
    """Whole texts as token ids, in the place of all columns: nothing is cut off, since blocks are cut later.

    Args:
        word_ids: add the column ``word_ids``, the number of each token's word in its text, which whole-word masking
            needs and which costs a third of the time.
    """

    def encode(rows: dict[str, list]) -> Any:
        encoded = tokenizer(rows[text_column], verbose=False)  # texts longer than the model are as they should be
        if word_ids:
            encoded["word_ids"] = [encoded.word_ids(i) for i in range(len(encoded["input_ids"]))]
        return encoded

    return dataset.map(encode, batched=True, remove_columns=dataset.column_names, desc="Tokenize")


def say(text: str) -> None:
    """Print a line, from the first process only."""
    if world().is_main:
        print(text)


def print_perplexity(when: str, metrics: dict[str, float]) -> None:
    """One line: the perplexity as the course computes it, and the one per token."""
    say(
        f"perplexity {when}: {metrics['eval_perplexity']:.2f} "
        f"({metrics['eval_weighted_perplexity']:.2f} weighted by tokens)"
    )
