"""One or two columns of a data set as the inputs of a pipeline, read when it asks for them."""

from typing import Any


class KeyDataset:
    """A column: row i is ``dataset[i][key]`` (transformers/pipelines/pt_utils.py)."""

    def __init__(self, dataset: Any, key: str) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Any:
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")  # which ends a loop over the rows
        return self.dataset[i][self.key]


class KeyPairDataset(KeyDataset):
    """Pairs: row i is ``{"text": dataset[i][key1], "text_pair": dataset[i][key2]}``."""

    def __init__(self, dataset: Any, key1: str, key2: str) -> None:
        super().__init__(dataset, key1)
        self.key1, self.key2 = key1, key2

    def __getitem__(self, i: int) -> dict[str, Any]:
        first = super().__getitem__(i)
        return {"text": first, "text_pair": self.dataset[i][self.key2]}
