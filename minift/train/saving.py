"""What a Trainer writes: models, checkpoints, and what goes to the Hub; of several processes, the first one only."""

import logging
from pathlib import Path

from minift import hub
from minift.distributed.exchange import barrier
from minift.train import checkpoint as ckpt
from minift.train import report

logger = logging.getLogger(__name__)


class Saving:
    """The methods of `Trainer` that save and upload."""

    def save_model(self, output_dir: str | None = None) -> None:
        """Write the model, the tokenizer and the arguments, so that minift and transformers can load them."""
        if self.args.process_index == 0:
            ckpt.save_model(output_dir or self.args.output_dir, self.model, self.processing_class, self.args)

    def save_checkpoint(self) -> None:
        """Write ``checkpoint-{step}`` in one step, and delete those beyond `save_total_limit` (*collective*)."""
        args, state = self.args, self.state
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.best_global_step is not None:
            best = folder.with_name(f"checkpoint-{state.best_global_step}")
            if best == folder or best.is_dir():
                state.best_model_checkpoint = str(best)
        ckpt.save_checkpoint(folder, self)
        if args.process_index == 0:
            self._rotate_and_upload(folder)
        barrier()  # no rank goes on to read, or to end, before all is there

    def _rotate_and_upload(self, folder: Path) -> None:
        args, state = self.args, self.state
        ckpt.rotate_checkpoints(args.output_dir, args.save_total_limit, state.best_model_checkpoint)
        if args.push_to_hub and args.hub_strategy == "every_save":
            try:
                self.push_to_hub(f"Training in progress, step {state.global_step}", folder)
            except OSError as error:  # the checkpoint is on the disk, and the next save uploads again
                logger.warning("%s", error)

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print the metrics of a split in a block."""
        if self.args.process_index == 0:
            report.log_metrics(split, metrics)

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write ``{split}_results.json``, and (`combined`) add the metrics to ``all_results.json``."""
        if self.args.process_index == 0:
            report.save_metrics(split, metrics, self.args.output_dir, combined)

    def save_state(self) -> None:
        """Write ``trainer_state.json``."""
        if self.args.process_index == 0:
            ckpt.save_state(self.args.output_dir, self.state, self.control)

    def push_to_hub(self, commit_message: str = "End of training", folder: str | Path | None = None) -> str | None:
        """Upload the model (or a checkpoint's folder) to the Hub; returns the address of the commit.

        Of several processes only the first uploads; the others return None at once.
        """
        if self.args.process_index != 0:
            return None
        if folder is None:
            folder = self.args.output_dir
            self.save_model()
        return hub.upload_folder(
            folder,
            self.args.hub_model_id or Path(self.args.output_dir).resolve().name,
            token=self.args.hub_token,
            private=self.args.hub_private_repo,
            commit_message=commit_message,
            ignore_patterns=[".*", "checkpoint-*", ckpt.OPTIMIZER_FILE, ckpt.RESUME_FILE],
        )
