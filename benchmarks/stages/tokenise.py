"""Texts to token ids: minift's map and tokenizer beside datasets.map and transformers' tokenizer."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import workloads
from benchmarks.checks import same_rows
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings

MAP_ROWS = 1000


def cases(settings: Settings) -> Iterator[Case]:
    rows = settings.pick(quick=1_000, full=workloads.REVIEWS)
    data = workloads.reviews(rows)
    peer = workloads.as_peer(data)
    ours, theirs = workloads.tokenizers(workloads.checkpoint("distilbert"))
    texts = data["text"][:]
    for word_ids, target, raw in ((False, 1.5, "encode_batch_fast"), (True, 1.2, "encode_batch")):
        yield Case(
            f"tokenise {rows:,} reviews, {'with' if word_ids else 'without'} word ids",
            Side("datasets.map", lambda w=word_ids: mapped(peer, encoder(theirs, w), load_from_cache_file=False)),
            [
                Side(
                    "minift map",
                    lambda w=word_ids: mapped(data, encoder(ours, w)),
                    same_rows,
                    target,
                    floor=lambda name=raw: read_ids(getattr(ours.backend_tokenizer, name), texts),
                )
            ],
            repeats=settings.pick(quick=3, full=5),
            facts={"floor": f"the Rust library's {raw} and reading the ids, nothing kept"},
        )


def encoder(tokenizer: Any, word_ids: bool) -> Callable[[dict], Any]:
    """The function that the course passes to map."""

    def encode(rows: dict) -> Any:
        encoded = tokenizer(rows["text"], return_token_type_ids=False, verbose=False)  # transformers would add them
        if word_ids:
            encoded["word_ids"] = [encoded.word_ids(i) for i in range(len(encoded["input_ids"]))]
        return encoded

    return encode


def mapped(data: Any, encode: Callable, **options: Any) -> Any:
    return data.map(encode, batched=True, batch_size=MAP_ROWS, remove_columns=data.column_names, **options)


def read_ids(encode_batch: Callable, texts: list[str]) -> None:
    for start in range(0, len(texts), MAP_ROWS):
        for encoding in encode_batch(texts[start : start + MAP_ROWS]):
            encoding.ids  # noqa: B018 - reading makes the list
