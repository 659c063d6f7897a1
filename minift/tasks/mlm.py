"""Adapt a checkpoint to a corpus by masked language modelling: from two names to a saved model and its perplexity."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minift.batches.collate import default_data_collator
from minift.distributed.exchange import main_process_first
from minift.metrics.losses import perplexity
from minift.model.auto import AutoModelForMaskedLM
from minift.tasks.blocks import load_blocks
from minift.tasks.output import check_output, write_options, write_page
from minift.tasks.show import Show, add_console, train
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader
from minift.train.report import print_perplexity, stage
from minift.train.seed import set_seed
from minift.train.setup import make_loader
from minift.train.trainer import Trainer, TrainOutput


def mlm(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    show: Show | None = None,
    **options: Any,
) -> tuple["MaskedLMTrainer", TrainOutput]:
    """Load, tokenise, cut into blocks, train, print perplexities, and save; arguments as for `load_blocks`.

    Returns the trainer and the summary of the training. An output folder that cannot be written to is an OSError; one
    that holds another run, a ValueError. `Interrupted` says that a signal has stopped the training, with a checkpoint.
    """
    check_output(args)
    with main_process_first():  # the other processes map what it has made into memory
        blocks = load_blocks("pt", model, dataset, args, **options)
    write_options(args, {"model": str(model), "dataset": dataset} | options)
    if options.get("whole_word_mask"):
        args = replace(args, remove_unused_columns=False)  # the collator needs word_ids, and removes them itself

    set_seed(args.seed)
    with stage("model") as lines:
        network = AutoModelForMaskedLM.from_pretrained(model)
        lines.append(f"{type(network).__name__} from {model}, {network.num_parameters():,} parameters")
    trainer = MaskedLMTrainer(
        network,
        args,
        data_collator=blocks.masking(),
        train_dataset=blocks.train,
        eval_dataset=blocks.evaluation,
        processing_class=blocks.tokenizer,
        frozen_masks=blocks.frozen,
    )
    console = add_console(trainer, show)
    print_perplexity("before training", trainer.evaluate())
    output = train(trainer, console)
    print_perplexity("after training", trainer.evaluate())
    trainer.save_model()
    trainer.save_state()
    write_page(args, trainer.state.log_history, {"model": str(model)})
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
