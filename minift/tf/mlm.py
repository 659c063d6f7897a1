"""Adapt a checkpoint to a corpus by masked language modelling in Keras: tasks/mlm.py with another model and loop."""

from pathlib import Path

import keras

from minift.batches.collate import DefaultDataCollator
from minift.batches.mask import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask, freeze_masks
from minift.files import check_writable
from minift.metrics.metrics import perplexity
from minift.tasks.blocks import load_blocks
from minift.tf.auto import TFAutoModelForMaskedLM
from minift.tf.batches import to_tf_dataset
from minift.tf.fit import check_arguments, compiled_forward, evaluate, model_dtype, train
from minift.tf.pretrained import TFPreTrainedModel
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import print_perplexity


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
) -> tuple[TFPreTrainedModel, dict[str, float]]:
    """Load, tokenise, cut into blocks, train, print the perplexity before, by epoch and after, and save.

    Arguments and errors are those of `minift.tasks.mlm.mlm`. The blocks and the order in which they are visited are the
    same for the same seed; the masks are drawn by numpy, not by torch.

    Returns:
        The trained model, and the summary of the training.

    Raises:
        ValueError: also for a training argument that the TensorFlow path does not support; the message names it.
    """
    check_arguments(args)
    check_writable(args.output_dir)
    tokenizer = AutoTokenizer.from_pretrained(model)
    keras.utils.set_random_seed(args.seed)
    model = TFAutoModelForMaskedLM.from_pretrained(model, dtype=model_dtype(args))
    masking = DataCollatorForWholeWordMask if whole_word_mask else DataCollatorForLanguageModeling
    options = {"mlm_probability": mlm_probability, "return_tensors": "np"}
    training_masks = masking(tokenizer, seed=args.seed, **options)
    rows, held_out = load_blocks(
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
    evaluation_masks = masking(tokenizer, seed=args.seed + 1, **options)
    if freeze_eval_masks:
        held_out = freeze_masks(held_out, masking(tokenizer, seed=args.seed, **options))
        evaluation_masks = DefaultDataCollator("np")

    batches = to_tf_dataset(
        rows,
        args.per_device_train_batch_size,
        shuffle=True,
        collate_fn=training_masks,
        drop_remainder=args.dataloader_drop_last,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )
    held_out = to_tf_dataset(held_out, args.per_device_eval_batch_size, collate_fn=evaluation_masks)
    forward = compiled_forward(model, held_out)

    def measure() -> dict[str, float]:
        losses = evaluate(forward, held_out)
        perplexities = {name.replace("loss", "perplexity"): perplexity(loss) for name, loss in losses.items()}
        return losses | perplexities

    def print_measured(when: str) -> None:
        print_perplexity(when, {f"eval_{name}": value for name, value in measure().items()})

    print_measured("before training")
    summary = train(model, args, batches, tokenizer, measure if args.eval_strategy == "epoch" else None)
    print_measured("after training")
    return model, summary
