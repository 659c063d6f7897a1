"""Two ranks that are not told the same: argv is what differs, and a folder."""

import os
import sys

import torch

from minift.train.arguments import TrainingArguments
from minift.train.trainer import Trainer
from tests.tiny import PadRows, tiny_model, tiny_rows

if __name__ == "__main__":
    torch.set_num_threads(1)
    what, folder = sys.argv[1:]
    second = os.environ["RANK"] == "1"
    options = {"max_steps": 4 if second and what == "max_steps" else 8, "save_strategy": "no", "use_cpu": True}
    rows = tiny_rows(40 if second and what == "rows" else 48)
    args = TrainingArguments(folder, disable_tqdm=True, **options)
    Trainer(tiny_model(), args, data_collator=PadRows(), train_dataset=rows).train()
