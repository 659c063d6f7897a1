"""Adapt a checkpoint to a corpus by masked language modelling in Keras: tasks/mlm.py with another model and loop."""

from pathlib import Path
from typing import Any

from minift.batches.collate import DefaultDataCollator
from minift.metrics.losses import perplexity
from minift.tasks.blocks import load_blocks
from minift.tasks.output import write_options
from minift.tf.auto import TFAutoModelForMaskedLM
from minift.tf.backend import keras
from minift.tf.batches import to_tf_dataset
from minift.tf.fit import check_arguments, make_evaluation, model_dtype, train, train_batches
from minift.tf.pretrained import TFPreTrainedModel
from minift.train.arguments import TrainingArguments
from minift.train.report import print_perplexity


def mlm(
    model: str | Path, dataset: str | Path, args: TrainingArguments, **options: Any
) -> tuple[TFPreTrainedModel, dict[str, float]]:
    """Load, tokenise, cut into blocks, train, print perplexities, and save; return the model and the summary.

    Arguments and errors are those of `minift.tasks.mlm.mlm`; besides, a training argument that the TensorFlow path
    does not support is a ValueError. The same seed gives the same blocks in the same order; the
    masks are drawn by numpy, not by torch.
    """
    check_arguments(args)
    blocks = load_blocks("np", model, dataset, args, **options)
    write_options(args, {"model": str(model), "dataset": dataset} | options)

    keras.utils.set_random_seed(args.seed)
    model = TFAutoModelForMaskedLM.from_pretrained(model, dtype=model_dtype(args))
    batches = train_batches(blocks.train, args, blocks.masking(seed=args.seed))
    collator = DefaultDataCollator("np") if blocks.frozen else blocks.masking(seed=args.seed + 1)
    held_out = to_tf_dataset(blocks.evaluation, args.per_device_eval_batch_size, collate_fn=collator)
    evaluate = make_evaluation(model, held_out)

    def measure() -> dict[str, float]:
        losses = evaluate()
        return losses | {name.replace("loss", "perplexity"): perplexity(loss) for name, loss in losses.items()}

    def print_measured(when: str) -> None:
        print_perplexity(when, {f"eval_{name}": value for name, value in measure().items()})

    print_measured("before training")
    summary = train(model, args, batches, blocks.tokenizer, measure if args.eval_strategy == "epoch" else None)
    print_measured("after training")
    return model, summary
