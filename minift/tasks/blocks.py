"""A corpus as blocks of tokens, and the masks in them: what masked language modelling is trained and evaluated on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minift.batches.chunk import Chunker, chunk_dataset
from minift.batches.mask import DataCollatorForLanguageModeling, freeze_masks
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.data.features import Features
from minift.data.stream import IterableDataset
from minift.model.checks import check_vocabulary
from minift.model.config import AutoConfig
from minift.tasks.columns import is_text
from minift.tasks.source import describe_splits, open_source
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell

MAP_ROWS = 1000  # documents that are chunked together, as in the course; the number of blocks depends on it


@dataclass
class Blocks:
    tokenizer: Tokenizer
    train: Dataset | IterableDataset  # rows of T tokens
    evaluation: Dataset
    masking: Callable[..., Any]  # masking(seed=…) makes a collator that pads a batch and hides tokens in it
    frozen: bool  # the masks of `evaluation` are part of it


def load_blocks(
    kind: str,
    /,
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    config: str | None = None,
    text_column: str | None = None,
    split: str = "train",
    train_file: list[str] | None = None,
    validation_file: list[str] | None = None,
    encoding: str | None = None,
    holdout: float = 0.1,
    chunk_size: int = 128,
    mlm_probability: float = 0.15,
    whole_word_mask: bool = False,
    train_size: int | None = None,
    test_size: int | None = None,
    freeze_eval_masks: bool = False,
    line_by_line: bool = False,
    streaming: bool = False,
) -> Blocks:
    """Load a data set, tokenise it and cut it into blocks; print how many there are.

    The generator of `kind`, "pt" or "np", draws the masks. The other arguments are also the flags of `minift mlm`. A
    ValueError names an argument that does not fit the model or the corpus; a KeyError, a split that does not exist.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: data files, a folder (of .txt files, for example), or a Hub name
        args: the training arguments, whose `seed` draws the blocks and freezes the masks
        config: configuration of a data set on the Hub; FILE.yaml or FILE.json: options, a name each
        text_column: the column to read; None finds it
        split: the split to train on
        train_file: files to train on
        validation_file: files to evaluate on
        encoding: of files of text, such as latin-1; None is UTF-8
        holdout: share of the blocks to evaluate on, taken from those to train on if there is no other split
        chunk_size: T, the tokens in a block
        mlm_probability: share of tokens, or of words, to predict
        whole_word_mask: hide whole words, not single tokens
        train_size: blocks of the split to train on, drawn at random; None takes all
        test_size: blocks of the split to evaluate on, drawn at random; None takes a tenth of train_size, or without
            train_size the whole validation or test split
        freeze_eval_masks: mask the evaluation blocks once, by the seed, so that every evaluation sees the same
        line_by_line: keep each text by itself, cut to chunk_size tokens, instead of joining texts into blocks
        streaming: read the corpus while training, for max_steps: it may be larger than the disk. The first test_size
            blocks (None: 1,000) of another split, or of the same one, are evaluated on
    """
    tokenizer, model_config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    longest = model_config.max_position_embeddings
    if not 1 <= chunk_size <= longest:
        raise ValueError(f"chunk_size={chunk_size}: the model reads 1 to {longest} tokens (max_position_embeddings)")
    check_vocabulary(len(tokenizer), model_config)
    if line_by_line and (whole_word_mask or freeze_eval_masks):
        raise ValueError("line_by_line goes neither with whole_word_mask nor with freeze_eval_masks")
    collator = DataCollatorForWholeWordMask if whole_word_mask else DataCollatorForLanguageModeling
    masking = partial(collator, tokenizer, mlm_probability=mlm_probability, return_tensors=kind)
    frozen_masks = masking(seed=args.seed)

    if not 0 < holdout < 1:
        raise ValueError(f"holdout={holdout} must be a share between 0 and 1")
    if streaming and kind != "pt":
        raise ValueError("streaming is not for TensorFlow: Keras's fit counts the batches of an epoch")
    if streaming and (args.max_steps <= 0 or train_size is not None):
        raise ValueError("streaming needs max_steps, which says when the training ends; it goes without train_size")
    with stage("data") as lines:
        data = open_source(dataset, config, train_file, validation_file, encoding=encoding, streaming=streaming)
        lines.append(describe_splits(dataset, data))
    text_column = find_text_column(data[split].features, text_column)
    others = [name for name in ("validation", "test") if name in data and name != split]
    longest_row = chunk_size if line_by_line else None
    if streaming:

        def read(name: str) -> IterableDataset:
            rows = tokenize(data[name], tokenizer, text_column, whole_word_mask, longest_row)
            return rows if line_by_line else rows.map(Chunker(chunk_size), batched=True, batch_size=MAP_ROWS)

        train, evaluation = _first_of_stream(read, [split, *others], test_size or 1000, args.seed)
        if freeze_eval_masks:
            evaluation = freeze_masks(evaluation, frozen_masks)
        return Blocks(tokenizer, train, evaluation, masking, freeze_eval_masks)
    takes_part = train_size is not None or test_size is not None or not others
    eval_split = split if takes_part else others[0]
    blocks = {}
    for name in dict.fromkeys((split, eval_split)):
        with stage("blocks") as lines:
            tokenised = tokenize(data[name], tokenizer, text_column, whole_word_mask, longest_row)
            size = f"of {chunk_size} tokens"
            if line_by_line:
                blocks[name], size = tokenised, f"texts of up to {chunk_size} tokens"
            else:
                blocks[name] = chunk_dataset(tokenised, chunk_size, batch_size=MAP_ROWS)
            lines.append(f"{name}: {len(blocks[name]):,} {size}, from the column {text_column}")
    train, evaluation = blocks[split], blocks[eval_split]
    if takes_part:
        if test_size is None:
            test_size = max(1, train_size // 10) if train_size is not None else max(1, round(holdout * len(train)))
        parts = train.train_test_split(test_size, train_size, seed=args.seed)
        train, evaluation = parts["train"], parts["test"]
    tell("", f"{len(train):,} blocks to train on, {len(evaluation):,} to evaluate on")
    if freeze_eval_masks:
        evaluation = freeze_masks(evaluation, frozen_masks)
    return Blocks(tokenizer, train, evaluation, masking, freeze_eval_masks)


def _first_of_stream(
    read: Callable[[str], IterableDataset], splits: list[str], test_size: int, seed: int
) -> tuple[IterableDataset, Dataset]:
    """Return the blocks of the first split, and the first blocks of the second, or of the same one, to evaluate on."""
    train, eval_split = read(splits[0]), splits[:2][-1]
    with stage("blocks") as lines:
        first = list(read(eval_split).take(test_size + 1))
        if not first:
            raise ValueError(f"split {eval_split!r} gives no block to evaluate on")
        if eval_split == splits[0] and len(first) <= test_size:
            raise ValueError(
                f"split {eval_split!r} gives {len(first)} blocks: test_size={test_size} leaves none to train on"
            )
        first = first[:test_size]
        if eval_split == splits[0]:
            train = train.skip(test_size)
        lines.append(f"{splits[0]}: read while training; the first {len(first):,} of {eval_split} to evaluate on")
    return train.shuffle(seed, buffer_size=MAP_ROWS), Dataset.from_list(first)


def find_text_column(features: Features, text_column: str | None = None) -> str:
    """Return `text_column`; if it is None, the column called text, or the only column of strings."""
    strings = [name for name, feature in features.items() if is_text(feature)]
    if text_column is None:
        text_column = "text" if "text" in strings or len(strings) != 1 else strings[0]
    if text_column not in strings:
        raise ValueError(f"text_column={text_column!r} is not a column of texts; these are: {', '.join(strings)}")
    return text_column


def tokenize(
    dataset: Dataset | IterableDataset,
    tokenizer: Tokenizer,
    text_column: str,
    word_ids: bool = False,
    max_length: int | None = None,
) -> Dataset | IterableDataset:
    """Replace all columns by the token ids of whole texts: nothing is cut off beyond `max_length`, or at all if None.

    `word_ids` adds a column with the number of each token's word in its text, which whole-word masking needs.
    """

    def encode(rows: dict[str, list]) -> Any:
        cut = {"truncation": True, "max_length": max_length} if max_length is not None else {}
        encoded = tokenizer(rows[text_column], verbose=False, **cut)  # no warning about texts that are cut later
        if word_ids:
            encoded["word_ids"] = [encoded.word_ids(i) for i in range(len(encoded["input_ids"]))]
        return encoded

    return dataset.map(encode, batched=True, remove_columns=dataset.column_names, desc="Tokenize")
