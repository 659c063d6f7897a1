"""Fine-tune a checkpoint to find answers in texts: from two names to a saved model, scored as SQuAD is."""

from pathlib import Path
from typing import Any

import numpy as np

from minift.batches.collate import DataCollatorWithPadding
from minift.distributed.exchange import main_process_first
from minift.metrics.metric import load
from minift.model.auto import AutoModelForQuestionAnswering
from minift.tasks.output import check_output, write_options
from minift.tasks.questions import Questions, load_questions
from minift.tasks.rows import without_evaluation
from minift.tasks.show import Show, train_and_save
from minift.tasks.spans import choose_answers
from minift.train.arguments import TrainingArguments
from minift.train.report import stage
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput


def answer(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    show: Show | None = None,
    **options: Any,
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; arguments as for `load_questions`.

    Returns the trainer and the summary of the training; errors as of `tasks.classify.finetune`. The scores are SQuAD's,
    in percent: answers that are equal, and F1 of the words that they share.
    """
    check_output(args)
    with main_process_first():
        questions = load_questions(model, dataset, args, **options)
    options.pop("spans", None)
    write_options(args, {"model": str(model), "dataset": dataset} | options | vars(questions.spans))
    args = without_evaluation(args, questions)

    set_seed(args.seed)
    with stage("model") as lines:
        network = AutoModelForQuestionAnswering.from_pretrained(model)
        lines.append(f"{type(network).__name__} from {model}, {network.num_parameters():,} parameters")
    evaluation = questions.evaluation
    trainer = Trainer(
        network,
        args,
        data_collator=DataCollatorWithPadding(questions.tokenizer),
        train_dataset=questions.train,
        eval_dataset=None if evaluation is None else evaluation.select_columns(questions.train.column_names),
        processing_class=questions.tokenizer,
        compute_metrics=lambda prediction: answer_scores(prediction.predictions, questions),
    )
    return trainer, train_and_save(trainer, show, {"model": str(model)})


def answer_scores(logits: tuple[np.ndarray, np.ndarray], questions: Questions) -> dict[str, float]:
    """Score the answers that the logits (W, T) of starts and of ends choose; metric squad, or squad_v2."""
    texts, with_none = questions.texts, questions.with_none
    answers = choose_answers(texts, questions.evaluation, logits, with_none, questions.spans)
    predictions = [
        {"id": identity, "prediction_text": found["text"]} | ({"no_answer_probability": 0.0} if with_none else {})
        for identity, found in zip(texts["id"], answers, strict=True)
    ]
    references = [
        {"id": identity, "answers": answers} for identity, answers in zip(texts["id"], texts["answers"], strict=True)
    ]
    scores = load("squad_v2" if with_none else "squad").compute(predictions=predictions, references=references)
    return {name: scores[name] for name in ("exact_match", "exact", "f1", "HasAns_f1", "NoAns_f1") if name in scores}
