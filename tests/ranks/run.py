"""A training run on any number of ranks that may be told to fail: python -m tests.ranks.run FOLDER [HOW@STEP@RANK]."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from minift import Trainer, TrainingArguments
from minift.distributed.world import world
from minift.train.callbacks import TrainerCallback
from tests.tiny import NoisyRows, tiny_model, tiny_rows


class Fail(TrainerCallback):
    """Fails once, before any restart, at a step of one rank: raise, kill, exit or leave (without an error)."""

    def __init__(self, how: str, step: int, rank: int):
        self.how, self.step, self.rank = how, step, rank

    def state(self):
        return {}

    def on_pre_optimizer_step(self, args, state, control, **objects):
        restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        if restarted or state.global_step + 1 != self.step or self.rank not in (args.process_index, -1):
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            sys.exit(7)
        raise ArithmeticError(f"rank {args.process_index} has failed on purpose")


def main(folder: str, failure: str = "") -> None:
    torch.set_num_threads(1)
    options = dict(num_train_epochs=2, save_steps=3, logging_steps=1, disable_tqdm=True)
    options |= dict(use_cpu=os.environ.get("ON_GPU") != "1")
    options |= dict(eval_strategy="epoch", shard_optimizer=os.environ.get("SHARD") == "1", save_total_limit=2)
    args = TrainingArguments(folder, resume_from_checkpoint=os.environ.get("RESUME") == "1" or None, **options)
    how, step, rank = failure.split("@") if failure else ("", 0, 0)
    trainer = Trainer(
        tiny_model(),
        args,
        NoisyRows(),
        train_dataset=tiny_rows(100),
        eval_dataset=tiny_rows(21, seed=1),
        callbacks=[Fail(how, int(step), int(rank))],
    )
    torch.manual_seed(100 + world().rank)  # so that each rank has a state of its own to save
    trainer.train(args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    Path(folder, f"rank-{world().rank}.txt").write_text(f"{time.time()} {torch.get_rng_state().sum().item()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
