"""What both sides are told to do, and the stages that are compared afterwards."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from minift.tasks.task import Task

BATCH_SIZE = 8
LEARNING_RATE = 5e-5
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0
BLOCK_SIZE = 128  # tokens in a block, for masked language modelling
MLM_PROBABILITY = 0.15
Kind = Literal["classification", "mlm"]


@dataclass(frozen=True)
class Job:
    """A short training run, small enough to compare every number of it. Its fields are the flags of the command."""

    model: str
    """folder or Hub name of the checkpoint to start from"""
    dataset: str
    """folder or Hub name of the data set"""
    config: str | None = None
    """configuration of the data set, such as mrpc"""
    task: Kind = "classification"
    """what to train"""
    steps: int = 10
    """training steps, of 8 rows each"""
    threads: int = 1
    """threads of torch; equality to the bit is promised for 1"""
    seed: int = 42
    """seed of the new head, the order, the masks, the dropout"""
    max_rows: int = 4000
    """rows of the training split to use (for mlm, texts), drawn at random from a longer one"""
    max_eval_rows: int = 512
    """rows, or blocks of 128 tokens, to evaluate on after training"""

    def __post_init__(self) -> None:
        if self.task not in get_args(Kind):
            raise ValueError(f"task must be one of {', '.join(get_args(Kind))}, not {self.task!r}")
        for name in ("steps", "threads", "max_rows", "max_eval_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def warmup_steps(self) -> int:
        return self.steps // 5

    def training_arguments(self, output_dir: str) -> dict[str, Any]:
        """Return arguments that mean the same to both `TrainingArguments`."""
        return dict(
            output_dir=output_dir,
            max_steps=self.steps,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=MAX_GRAD_NORM,
            warmup_steps=self.warmup_steps,
            seed=self.seed,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,  # equality to the bit is a promise about the CPU
        )


@dataclass(frozen=True)
class Stage:
    """A row of the table: what is compared, and how far apart it may be."""

    name: str
    what: str
    axes: tuple[str, ...] = ()  # names for the axes of its lists and arrays
    tolerance: float = 0.0  # the largest absolute difference that is allowed; 0: every bit must be the same


def metric_names(kind: Kind, task: Task) -> list[str]:
    """Return what is evaluated besides the loss: the same for every data set, so that a plain formula can check it."""
    if kind == "mlm":
        return ["perplexity"]
    return ["accuracy", "f1"] if task.label_names else ["mse", "pearsonr"]


def stages(kind: Kind, task: Task) -> list[Stage]:
    """Return the stages of a job, in the order in which a text meets them; no tolerance without a reason."""
    is_mlm, tokens = kind == "mlm", ("row", "token")
    # minift sums the squared error and the correlation of a regression batch by batch, the other side all at once:
    # float64 sums in another order, which may differ in their last bits. Counts of classes are exact.
    tolerance = 0 if is_mlm or task.label_names else 1e-12
    every = [
        Stage("rows and features", "the type of every column, and every row that is used", ("row",)),
        Stage("token ids", "token ids, masks and token types of every row", tokens),
        Stage("blocks", "the tokens of the texts, joined and cut into blocks", ("block", "token")),
        Stage("batch composition", "which rows are in which batch of the first epoch", ("position",)),
        Stage("padding", "the tensors of every batch of the first epoch", tokens),
        Stage("masks", "the tensors of every batch of the first epoch: tokens hidden, labels", tokens),
        Stage("loaded weights", "every tensor that comes from the checkpoint"),
        Stage("weights of the new head", "every tensor that the checkpoint lacks and the seed draws"),
        Stage("logits", "the first batch, before training, no dropout", tokens if is_mlm else ("row",)),
        Stage("inputs by step", "the tensors that each step was given; masks are drawn between dropouts", tokens),
        Stage("learning rate by step", "warm-up, then linear decay"),
        Stage("loss by step", "the training loss, dropout on"),
        Stage("gradient norm by step", "of all gradients, before clipping"),
        Stage("weights after training", "every tensor"),
        Stage("evaluation loss", "after training, no dropout"),
        Stage("metrics", "accuracy and F1, squared error and correlation, or perplexity", (), tolerance),
    ]
    left_out = {"padding"} if is_mlm else {"blocks", "masks"}
    return [stage for stage in every if stage.name not in left_out]
