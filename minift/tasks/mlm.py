"""Adapt a checkpoint to a corpus by masked language modelling: from two names to a saved model and its perplexity."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minift.batches.collate import default_data_collator
from minift.distributed.exchange import main_process_first
from minift.files import check_writable
from minift.metrics.losses import perplexity
from minift.model.auto import AutoModelForMaskedLM
from minift.tasks.blocks import load_blocks
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader
from minift.train.progress import EpochTable
from minift.train.report import print_perplexity
from minift.train.seed import set_seed
from minift.train.setup import make_loader
from minift.train.trainer import Trainer, TrainOutput


def mlm(
    model: str | Path, dataset: str | Path, args: TrainingArguments, **options: Any
) -> tuple["MaskedLMTrainer", TrainOutput]:
    """Load, tokenise, cut into blocks, train, print perplexities, and save; arguments as for `load_blocks`.

    Returns the trainer and the summary of the training. An output folder that cannot be written to is an OSError.
    """
    check_writable(args.output_dir)  # better now than after hours of training
    with main_process_first():  # the other processes map what it has made into memory
        blocks = load_blocks("pt", model, dataset, args, **options)
    if "word_ids" in blocks.train.column_names:
        args = replace(args, remove_unused_columns=False)  # the collator needs word_ids, and removes them itself

    set_seed(args.seed)
    trainer = MaskedLMTrainer(
        AutoModelForMaskedLM.from_pretrained(model),
        args,
        data_collator=blocks.masking(),
        train_dataset=blocks.train,
        eval_dataset=blocks.evaluation,
        processing_class=blocks.tokenizer,
        callbacks=[EpochTable],
        frozen_masks=blocks.frozen,
    )
    print_perplexity("before training", trainer.evaluate())
    output = trainer.train(args.resume_from_checkpoint)
    print_perplexity("after training", trainer.evaluate())
    trainer.save_model()
    trainer.save_state()
    return trainer, output


class MaskedLMTrainer(Trainer):
    """A `Trainer` that reports perplexities beside the losses of an evaluation.

    ``eval_perplexity`` is the course's, e to the power of the loss averaged over batches; ``eval_weighted_perplexity``
    that of the loss averaged over tokens. With `frozen_masks`, evaluation sets are masked already (see `freeze_masks`).
    """

    def __init__(self, *args: Any, frozen_masks: bool = False, **options: Any):
        self.frozen_masks = frozen_masks
        super().__init__(*args, **options)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        losses = [name for name in logs if name.endswith("_loss") and name != "train_loss"]
        logs.update({f"{name.removesuffix('loss')}perplexity": perplexity(logs[name]) for name in losses})
        super().log(logs, start_time)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Loader:
        if not self.frozen_masks:
            return super().get_eval_dataloader(eval_dataset)
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        return make_loader(dataset, default_data_collator, self.model, self.args, "evaluation", training=False)
