"""What transformers' Trainer offers besides training: counts, blocks and files of numbers, the card, the upload."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minift.files import atomic_path
from minift.hub import upload_folder
from minift.train import checkpoint, report
from minift.train.arguments import TrainingArguments
from minift.train.model_card import model_card
from minift.train.state import TrainerState

logger = logging.getLogger(__name__)


class TrainerSurface:
    """The part of `Trainer` that only looks at a run, or writes what is known of it."""

    args: TrainingArguments
    state: TrainerState
    model: nn.Module
    optimizer: torch.optim.Optimizer | None
    save_model: Callable[..., None]

    # -- counts

    def num_examples(self, dataloader: Any) -> int:
        """Count the rows of a loader's data set; without a length, those of full batches."""
        try:
            return len(dataloader.dataset)
        except (AttributeError, TypeError):
            return len(dataloader) * self.args.per_device_train_batch_size

    @staticmethod
    def num_tokens(train_dl: Any, max_steps: int | None = None) -> int:
        """Count the token ids in the batches of an epoch, pads included, or of one batch times `max_steps`."""
        tokens = 0
        for batch in train_dl:
            if max_steps is not None:
                return batch["input_ids"].numel() * max_steps
            tokens += batch["input_ids"].numel()
        return tokens

    @property
    def _train_batch_size(self) -> int:
        """The rows of a batch, of which `auto_find_batch_size` may have found fewer: the library's name for it."""
        return self.state.train_batch_size or self.args.per_device_train_batch_size

    def get_num_trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def get_total_train_batch_size(self, args: TrainingArguments) -> int:
        """Rows in one update of all processes."""
        return args.train_batch_size * args.gradient_accumulation_steps * args.world_size

    def get_learning_rates(self) -> list[float]:
        """The learning rate of each group of parameters."""
        return [group["lr"] for group in self._groups()]

    def get_optimizer_group(self, param: nn.Parameter | None = None) -> Any:
        """Return the group that holds `param`, or the parameters of all groups."""
        groups = self._groups()
        if param is None:
            return [group["params"] for group in groups]
        return next((group for group in groups if any(one is param for one in group["params"])), None)

    def _groups(self) -> list[dict[str, Any]]:
        if self.optimizer is None:
            raise ValueError("Trainer optimizer is None, please make sure you have setup the optimizer before.")
        return self.optimizer.param_groups

    def hyperparameter_search(self, *_: Any, **__: Any) -> None:
        raise ValueError("Trainer does not support hyperparameter_search: train once for each set of arguments")

    # -- numbers, shown and written; the first of several processes does

    metrics_format = staticmethod(report.metrics_format)

    def is_world_process_zero(self) -> bool:
        """Whether this process logs, saves and shows progress."""
        return self.state.is_world_process_zero

    def is_local_process_zero(self) -> bool:
        """Whether this process is the first on its machine."""
        return self.state.is_local_process_zero

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print the metrics of a split in a block."""
        if self.is_world_process_zero():
            report.log_metrics(split, metrics)

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write ``{split}_results.json``, and (`combined`) add the metrics to ``all_results.json``."""
        if self.is_world_process_zero():
            report.save_metrics(split, metrics, self.args.output_dir, combined)

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """Write ``README.md``, see `model_card`; what a person has written in it stays."""
        if not self.is_world_process_zero():
            return
        given = {name: value for name, value in locals().items() if name != "self"}
        file = Path(self.args.output_dir) / "README.md"
        text = model_card(self, given, file.read_text(encoding="utf-8") if file.is_file() else "")
        with atomic_path(file) as fresh:
            fresh.write_text(text, encoding="utf-8")

    def push_to_hub(
        self,
        commit_message: str = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        **card: Any,
    ) -> str | None:
        """Save the model and its card, and upload them to the Hub; returns the address of the commit.

        Args:
            blocking: of no concern: the upload has ended when this returns.
            token, revision: None takes the arguments' `hub_token` and `hub_revision`.
            card: arguments of `create_model_card`.

        Of several processes only the first uploads; the others return None at once.
        """
        if not self.is_world_process_zero():
            return None
        self.save_model()
        self.create_model_card(**card)
        return self._upload(self.args.output_dir, token, revision, commit_message=commit_message)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Upload the model of a checkpoint as the repository's; and the whole checkpoint, if `hub_strategy` says so.

        What fails is a warning: the checkpoint is on the disk, and the next save uploads again.
        """
        args, state = self.args, self.state
        if args.hub_strategy == "end" or not self.is_world_process_zero():
            return
        in_epochs = args.save_strategy == "epoch"
        when = f"epoch {int(state.epoch)}" if in_epochs else f"step {state.global_step}"
        message = f"Training in progress, {when}"
        whole = {"checkpoint": "last-checkpoint", "all_checkpoints": Path(checkpoint_folder).name}
        try:
            self._upload(checkpoint_folder, commit_message=message)
            if args.hub_strategy in whole:
                options = {"path_in_repo": whole[args.hub_strategy], "ignore_patterns": ".*"}
                self._upload(checkpoint_folder, commit_message=f"{message}, checkpoint", **options)
        except OSError as error:
            logger.warning("%s", error)

    def _upload(self, folder: str | Path, token: str | None = None, revision: str | None = None, **options: Any) -> str:
        """Upload a folder to the repository that the arguments name; options of `upload_folder`."""
        args = self.args
        name = args.hub_model_id or Path(args.output_dir).resolve().name
        where = {"token": token or args.hub_token, "revision": revision or args.hub_revision}
        options = {"ignore_patterns": checkpoint.NOT_UPLOADED} | options
        return upload_folder(folder, name, private=args.hub_private_repo, **where, **options)
