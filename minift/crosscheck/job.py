"""What both sides are told to do, and the stages that are compared afterwards."""

from dataclasses import dataclass
from typing import Any

from minift.tasks.task import Task

BATCH_SIZE = 8
LEARNING_RATE = 5e-5
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0
BLOCK_SIZE = 128  # tokens in a block, for masked language modelling
MLM_PROBABILITY = 0.15
TASKS = ("classification", "mlm")


@dataclass(frozen=True)
class Job:
    """A short training run, small enough to compare every number of it.

    Raises:
        ValueError: an unknown task, or a count below 1; the message names it.
    """

    model: str
    dataset: str
    config: str | None = None
    task: str = "classification"
    steps: int = 10
    threads: int = 1
    seed: int = 42
    max_rows: int = 4000
    """Rows of the training split that are used, drawn with `seed` from a longer one; for mlm these are texts."""
    max_eval_rows: int = 512
    """Rows, or blocks, that are evaluated."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")
        for name in ("steps", "threads", "max_rows", "max_eval_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def warmup_steps(self) -> int:
        return self.steps // 5

    def training_arguments(self, output_dir: str) -> dict[str, Any]:
        """Arguments that mean the same to both `TrainingArguments`."""
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
            use_cpu=True,  # parity to the bit is a promise about the CPU
        )


def metric_names(kind: str, task: Task) -> list[str]:
    """What is evaluated besides the loss: the same for every data set, so that a plain formula can check it."""
    if kind == "mlm":
        return ["perplexity"]
    return ["accuracy", "f1"] if task.label_names else ["mse", "pearsonr"]


@dataclass(frozen=True)
class Stage:
    """A row of the table: what is compared, and how far apart it may be."""

    name: str
    what: str
    axes: tuple[str, ...] = ()
    """What the places of its lists and arrays are called, as `compare` takes them."""
    tolerance: float = 0.0
    """The largest absolute difference that is allowed; 0: every bit has to be the same."""


def stages(kind: str, task: Task) -> list[Stage]:
    """The stages of a job, in the order in which a text meets them; nothing is given a tolerance without a reason."""
    batch = ("row", "token")
    is_mlm = kind == "mlm"
    blocks = Stage("blocks", "the tokens of the texts, joined and cut into blocks", ("block", "token"))
    padding = Stage("padding", "the tensors of every batch of the first epoch", batch)
    masks = Stage("masks", "the tensors of every batch of the first epoch: tokens hidden, labels", batch)
    return [
        Stage("rows and features", "the type of every column, and every row that is used", ("row",)),
        Stage("token ids", "token ids, masks and token types of every row", ("row", "token")),
        *([blocks] if is_mlm else []),
        Stage("batch composition", "which rows are in which batch of the first epoch", ("position",)),
        masks if is_mlm else padding,
        Stage("loaded weights", "every tensor that comes from the checkpoint"),
        Stage("weights of the new head", "every tensor that the checkpoint lacks and the seed draws"),
        Stage("logits", "the first batch, before training, no dropout", ("row", "token") if is_mlm else ("row",)),
        Stage("inputs by step", "the tensors that each step was given; masks are drawn between dropouts", batch),
        Stage("learning rate by step", "warm-up, then linear decay"),
        Stage("loss by step", "the training loss, dropout on"),
        Stage("gradient norm by step", "of all gradients, before clipping"),
        Stage("weights after training", "every tensor"),
        Stage("evaluation loss", "after training, no dropout"),
        # A regression's mean square and correlation are summed batch by batch here and all at once there: float64
        # sums in another order, which may differ in their last bits. Counts of classes are exact.
        Stage(
            "metrics",
            "accuracy and F1, squared error and correlation, or perplexity",
            tolerance=1e-12 if not (is_mlm or task.label_names) else 0,
        ),
    ]
