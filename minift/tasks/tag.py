"""Fine-tune a checkpoint to tag words: from two names to a saved model, scored by its entities."""

from pathlib import Path
from typing import Any

import numpy as np

from minift.batches.collate_tokens import DataCollatorForTokenClassification
from minift.batches.mask import IGNORED
from minift.distributed.exchange import main_process_first
from minift.metrics.metric import load
from minift.model.auto import AutoModelForTokenClassification
from minift.tasks.output import check_output, write_options
from minift.tasks.rows import without_evaluation
from minift.tasks.show import Show, train_and_save
from minift.tasks.words import load_words
from minift.train.arguments import TrainingArguments
from minift.train.report import stage
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput


def tag(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    show: Show | None = None,
    **options: Any,
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; arguments as for `load_words`.

    Returns the trainer and the summary of the training; errors as of `tasks.classify.finetune`. The scores are those of
    seqeval: precision, recall and F1 of whole entities, and the accuracy of tags.
    """
    check_output(args)
    with main_process_first():
        words = load_words(model, dataset, args, **options)
    write_options(args, {"model": str(model), "dataset": dataset} | options)
    args = without_evaluation(args, words)

    set_seed(args.seed)
    with stage("model") as lines:
        labels = {"num_labels": len(words.names), "id2label": dict(enumerate(words.names))}
        network = AutoModelForTokenClassification.from_pretrained(model, **labels)
        lines.append(f"{type(network).__name__} from {model}, {network.num_parameters():,} parameters")
    trainer = Trainer(
        network,
        args,
        data_collator=DataCollatorForTokenClassification(words.tokenizer),
        train_dataset=words.train,
        eval_dataset=words.evaluation,
        processing_class=words.tokenizer,
        compute_metrics=lambda prediction: tag_scores(*prediction, words.names),
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),  # (B, T, C) -> (B, T)
    )
    return trainer, train_and_save(trainer, show, {"model": str(model)})


def tag_scores(guesses: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, float]:
    """Score label numbers (N, T); places whose label is -100 do not count.

    Tags that mark no entities, such as parts of speech, have only an accuracy.
    """
    real = labels != IGNORED
    predictions, references = (
        [[names[i] for i in row[mask]] for row, mask in zip(numbers, real, strict=True)]
        for numbers in (guesses, labels)
    )
    if not any(name.startswith(("B-", "I-", "E-", "S-")) for name in names):
        return {"accuracy": float((guesses == labels)[real].mean())}
    scores = load("seqeval").compute(predictions=predictions, references=references, zero_division=0)
    return {name: scores[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}
