"""A BERT small enough to train in a test, and rows for it."""

import random

import torch

from minift.model.config import BertConfig
from minift.model.heads.classification import BertForSequenceClassification

CONFIG = dict(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=32,
    initializer_range=0.2,
)


def tiny_model(seed: int = 0, **overrides) -> BertForSequenceClassification:
    """A randomly initialised classifier with two labels."""
    torch.manual_seed(seed)
    return BertForSequenceClassification(BertConfig(**(CONFIG | overrides)))


def tiny_rows(count: int, length: tuple[int, int] = (4, 12), seed: int = 0) -> list[dict]:
    """Rows of random ids; the label says whether the first id is in the upper half of the vocabulary."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        ids = [draw.randrange(5, 50) for _ in range(draw.randint(*length))]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "label": int(ids[0] >= 27)})
    return rows


class PadRows:
    """Pads ids with 0 to the longest row of a batch: a collator without a tokenizer."""

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        batch = {
            name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in rows])
            for name in ("input_ids", "attention_mask")
        }
        return batch | {"labels": torch.tensor([row["label"] for row in rows])}


class NoisyRows(PadRows):
    """Also replaces random ids, drawn from torch's global generator, or from its own if given one."""

    def __init__(self, seed: int | None = None):
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        batch = super().__call__(rows)
        noise = torch.rand(batch["input_ids"].shape, generator=self.generator) < 0.3
        batch["input_ids"] = torch.where(noise, 3, batch["input_ids"])
        return batch

    def state_dict(self) -> dict:
        return {} if self.generator is None else {"state": self.generator.get_state().tolist()}

    def load_state_dict(self, state: dict) -> None:
        if state:
            self.generator.set_state(torch.tensor(state["state"], dtype=torch.uint8))
