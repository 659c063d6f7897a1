"""`load_from_disk`: a folder that `save_to_disk` wrote -> a `Dataset`, or a `DatasetDict` of its splits."""

from pathlib import Path

from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.saved_folder import read_saved, saved_splits
from minift.libraries.keywords import drops_keywords


@drops_keywords
def load_from_disk(dataset_path: str | Path) -> Dataset | DatasetDict:
    """Read a folder that `save_to_disk` wrote, here or in `datasets`; the rows are memory-mapped.

    Raises:
        FileNotFoundError: the folder, or one of the files that it must hold, is missing.
        ValueError: a file is damaged; the message names it.
    """
    folder = Path(dataset_path).expanduser()
    splits = saved_splits(folder)
    if splits is None:
        return Dataset(**read_saved(folder))
    return DatasetDict({split: Dataset(**read_saved(folder / split)) for split in splits})
