"""Fine-tune a checkpoint to choose one of several texts: from two names to a saved model and its accuracy."""

from pathlib import Path
from typing import Any

from minift.batches.collate_tokens import DataCollatorForMultipleChoice
from minift.distributed.exchange import main_process_first
from minift.model.auto import AutoModelForMultipleChoice
from minift.tasks.choices import load_choices
from minift.tasks.output import check_output, write_options
from minift.tasks.rows import without_evaluation
from minift.tasks.show import Show, train_and_save
from minift.train.arguments import TrainingArguments
from minift.train.report import stage
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput


def choose(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    show: Show | None = None,
    **options: Any,
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; arguments as for `load_choices`.

    Returns the trainer and the summary of the training; errors as of `tasks.classify.finetune`. Re-implements
    transformers' examples/pytorch/multiple-choice/run_swag.py.
    """
    check_output(args)
    with main_process_first():
        rows = load_choices(model, dataset, args, **options)
    named = {f"{name}_column": getattr(rows.columns, name) for name in ("context", "head", "label")}
    named["choice_columns"] = rows.columns.choices
    write_options(args, {"model": str(model), "dataset": dataset} | options | named)
    args = without_evaluation(args, rows)

    set_seed(args.seed)
    with stage("model") as lines:
        network = AutoModelForMultipleChoice.from_pretrained(model)
        lines.append(f"{type(network).__name__} from {model}, {network.num_parameters():,} parameters")
    trainer = Trainer(
        network,
        args,
        data_collator=DataCollatorForMultipleChoice(rows.tokenizer),
        train_dataset=rows.train,
        eval_dataset=rows.evaluation,
        processing_class=rows.tokenizer,
        compute_metrics=lambda prediction: accuracy(*prediction),
    )
    return trainer, train_and_save(trainer, show, {"model": str(model)})


def accuracy(logits: Any, labels: Any) -> dict[str, float]:
    """Return the share of rows whose right choice has the highest logit; logits (N, C), labels (N,)."""
    return {"accuracy": float((logits.argmax(-1) == labels).mean())}
