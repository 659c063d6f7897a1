"""A corpus as blocks of tokens: what masked language modelling is trained and evaluated on."""

from pathlib import Path
from typing import Any

from minift.batches.chunk import chunk_dataset
from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.features import Features
from minift.data.load import load_dataset
from minift.model.checks import check_vocabulary
from minift.model.config import PretrainedConfig
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.report import say

MAP_ROWS = 1000  # documents that are chunked together, as in the course: it settles how many blocks there are


def load_blocks(
    dataset: str | Path,
    tokenizer: Tokenizer,
    model_config: PretrainedConfig,
    config: str | None = None,
    text_column: str | None = None,
    split: str = "train",
    chunk_size: int = 128,
    word_ids: bool = False,
    train_size: int | None = None,
    test_size: int | None = None,
    seed: int = 42,
) -> tuple[Dataset, Dataset]:
    """Load a data set, tokenise it and cut it into blocks of `chunk_size` tokens; print how many there are.

    Args:
        model_config: the configuration of the model that reads the blocks.
        word_ids: keep the column that whole-word masking needs.
        train_size, test_size: blocks of `split` to draw at random, with `seed`, for training and for evaluation
            (`test_size` is a tenth of `train_size` by default); with neither: all of `split`, and all of the
            validation or test split.

    Returns:
        The blocks to train on and those to evaluate on.

    Raises:
        ValueError: blocks that the model cannot read or the corpus cannot fill, no column of texts, or nothing to
            evaluate on; the message names the argument.
        KeyError: there is no such split.
    """
    longest = model_config.max_position_embeddings
    if not 1 <= chunk_size <= longest:
        raise ValueError(f"chunk_size={chunk_size}: the model reads 1 to {longest} tokens (max_position_embeddings)")
    check_vocabulary(len(tokenizer), model_config)
    data = load_dataset(dataset, config)
    text_column = find_text_column(data[split].features, text_column)
    hold_out = train_size is not None or test_size is not None
    splits = [split] if hold_out else [split, find_eval_split(data, split)]
    blocks = {}
    for name, rows in data.items():
        count = "not used"
        if name in splits:
            tokenised = tokenize(rows, tokenizer, text_column, word_ids=word_ids)
            blocks[name] = chunk_dataset(tokenised, chunk_size, batch_size=MAP_ROWS)
            count = f"{len(blocks[name]):,} blocks of {chunk_size} tokens"
        say(f"{name}: {len(rows):,} rows, {count}")
    if hold_out:
        if test_size is None:
            test_size = max(1, train_size // 10)
        held_out = blocks[split].train_test_split(train_size=train_size, test_size=test_size, seed=seed)
        train, evaluation = held_out["train"], held_out["test"]
    else:
        train, evaluation = (blocks[name] for name in splits)
    say(f"training on {len(train):,} blocks, evaluating on {len(evaluation):,}")
    return train, evaluation


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
