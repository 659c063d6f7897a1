"""Adapt a checkpoint to a corpus by masked language modelling: from two names to a saved model and its perplexity."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minift.batches.collate import default_data_collator
from minift.batches.mask import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask, freeze_masks
from minift.distributed.main_first import main_process_first
from minift.metrics.metrics import perplexity
from minift.model.auto import AutoModelForMaskedLM
from minift.tasks.blocks import load_blocks
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader
from minift.train.progress import EpochTable
from minift.train.report import print_perplexity
from minift.train.seed import set_seed
from minift.train.setup import make_loader
from minift.train.trainer import Trainer, TrainOutput


def mlm(
    model: str | Path,
    dataset: str | Path,
    args: TrainingArguments,
    config: str | None = None,
    text_column: str | None = None,
    split: str = "train",
    chunk_size: int = 128,
    mlm_probability: float = 0.15,
    whole_word_mask: bool = False,
    train_size: int | None = None,
    test_size: int | None = None,
    freeze_eval_masks: bool = False,
) -> tuple["MaskedLMTrainer", TrainOutput]:
    """Load, tokenise, cut into blocks, train, print the perplexity before, by epoch and after, and save.

    Args:
        model, dataset: a folder or a Hub name each.
        args: the training arguments; its `seed` also picks the blocks and freezes the masks.
        config: the data set's configuration.
        text_column: the column to read; None finds it.
        split: the split to train on.
        chunk_size: T, the tokens in a block.
        mlm_probability: the share of tokens, or of words, to predict.
        whole_word_mask: hide whole words, not single tokens.
        train_size, test_size: blocks of `split` to train and to evaluate on, drawn at random (`test_size` is a tenth
            of `train_size` by default); with neither, all of it, and the validation or test split.
        freeze_eval_masks: mask the evaluation blocks once, so that every evaluation sees the same.

    Returns:
        The trainer, with the trained model, and the summary of the training.

    Raises:
        ValueError: blocks that the model cannot read or the corpus cannot fill, no mask token, no column of texts, or
            nothing to evaluate on; the message names the argument.
        KeyError: there is no such split.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    set_seed(args.seed)
    model = AutoModelForMaskedLM.from_pretrained(model)
    masking = DataCollatorForWholeWordMask if whole_word_mask else DataCollatorForLanguageModeling
    collator = masking(tokenizer, mlm_probability=mlm_probability)
    with main_process_first():  # the others map what it has made into memory
        train, evaluation = load_blocks(
            dataset,
            tokenizer,
            model.config,
            config=config,
            text_column=text_column,
            split=split,
            chunk_size=chunk_size,
            word_ids=whole_word_mask,
            train_size=train_size,
            test_size=test_size,
            seed=args.seed,
        )
    if freeze_eval_masks:
        with main_process_first():
            evaluation = freeze_masks(evaluation, masking(tokenizer, mlm_probability=mlm_probability, seed=args.seed))

    if whole_word_mask:
        args = replace(args, remove_unused_columns=False)  # the collator needs word_ids; it takes them out itself
    trainer = MaskedLMTrainer(
        model,
        args,
        data_collator=collator,
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        callbacks=[EpochTable],
        frozen_masks=freeze_eval_masks,
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
    that of the loss averaged over tokens. Both are infinite where the power overflows.

    Args:
        frozen_masks: evaluation sets come from `freeze_masks`: their rows are stacked, and not masked again.
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
