"""The settings of a training run: one documented, validated dataclass."""

import dataclasses
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from minift.libraries.keywords import WITHOUT_EFFECT, DropsKeywords, unset
from minift.train.accelerator_config import AcceleratorConfig, read_accelerator_config
from minift.train.argument_checks import check_combinations, check_ranges, check_types
from minift.train.settings import Settings
from minift.train.strategies import ParallelMode

if TYPE_CHECKING:
    import torch

    from minift.distributed.world import World


FORMER_NAMES = {
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
}


@dataclass
class TrainingArguments(Settings, metaclass=DropsKeywords):
    """The fields of transformers' `TrainingArguments` that a BERT or DistilBERT run can use, with its defaults.

    Names that the course used between 2021 and 2026 and today's release has dropped are kept at the end. A field that
    is not here is refused by name (TypeError), so that no setting is silently without effect.

    Raises:
        ValueError: a value is out of range, or two settings contradict each other; the message names them.
    """

    output_dir: str = "trainer_output"
    """Folder for the model and its checkpoints; made when training starts."""

    # How much to train
    per_device_train_batch_size: int = 8
    """Rows in a training batch, on each device."""
    auto_find_batch_size: bool = False
    """Where memory does not suffice for a batch, begin anew with 0.9 of its rows, until it does."""
    per_device_eval_batch_size: int = 8
    """Rows in an evaluation or prediction batch, on each device."""
    num_train_epochs: float = 3.0
    """Passes over the training set."""
    max_steps: int = -1
    """Optimizer steps to run, whatever the number of epochs; -1 leaves it to `num_train_epochs`."""
    gradient_accumulation_steps: int = 1
    """Batches whose gradients are averaged into one step, weighted by their labels: 4 × 4 rows give what 16 give."""

    # The optimizer and its learning rate
    learning_rate: float = 5e-5
    """The learning rate after warm-up, from which the schedule falls."""
    lr_scheduler_type: str = "linear"
    """The schedule: a name of `minift.optim.schedule.get_scheduler`."""
    lr_scheduler_kwargs: dict | None = None
    """More arguments for the schedule, such as `{"power": 2.0}` for "polynomial"."""
    warmup_steps: float = 0
    """Steps over which the rate rises from 0; below 1 it is a share of all steps."""
    optim: str = "adamw_torch"
    """adamw_torch: minift's AdamW, to the bit torch's plain formula; adamw_torch_fused: torch's fused kernel;
    adamw_compiled: minift's, compiled; torch's adagrad, rmsprop, sgd."""
    optim_args: str | None = None
    """Options of the last three, such as momentum=0.9,nesterov=true."""
    weight_decay: float = 0.0
    """Decoupled weight decay of all parameters but biases and LayerNorm."""
    adam_beta1: float = 0.9
    """AdamW's decay of the first moment."""
    adam_beta2: float = 0.999
    """AdamW's decay of the second moment."""
    adam_epsilon: float = 1e-8
    """AdamW's term against division by zero."""
    max_grad_norm: float = 1.0
    """Norm to which the gradients are clipped; 0 clips nothing."""
    clip_in_update: bool = False
    """Clip within the update, without a pass of its own; needs "adamw_torch_fused". Equal but for rounding."""
    label_smoothing_factor: float = 0.0
    """Probability mass taken from the true class and spread over all of them."""
    neftune_noise_alpha: float | None = None
    """Add uniform noise of up to α/√(T·E) to the word embeddings of training batches (NEFTune); None adds none."""

    # Arithmetic and device
    fast: bool = False
    """Every option below that pays on this machine, bf16 too; faster, and not equal to the bit."""
    bf16: bool | str = False
    """Run the model under bfloat16 autocast; weights and optimizer stay in float32. On a CPU that has no such products:
    a warning, then float32; "force" has them emulated."""
    fp16: bool = False
    """Run the model under float16 autocast with loss scaling; without a GPU: a warning, then float32."""
    torch_compile: bool = False
    """Compile the model with torch.compile."""
    gradient_checkpointing: bool = False
    """Keep no activations inside a layer: the backward pass computes them again. Less memory, more time."""
    gradient_checkpointing_kwargs: dict | None = None
    """Options of it: `{"use_reentrant": True}` for torch's older way."""
    padding_free: bool = False
    """Compute on real tokens only, and of a classifier's last layer only the first tokens; equal but for rounding."""
    sparse_mlm_head: bool = False
    """In training, score the vocabulary at masked tokens only; equal but for rounding."""
    fast_dropout: bool = False
    """Draw dropout from fewer random bits: other draws of the same distribution."""
    keep_memory: bool = False
    """On a CPU, keep the memory that a step frees for the next one; see `minift.fast.memory`."""
    use_cpu: bool = False
    """Stay on the CPU although there is a GPU."""
    full_determinism: bool = False
    """Refuse kernels whose result may vary from run to run."""
    seed: int = 42
    """Seeds Python, numpy and torch when the Trainer is made."""
    data_seed: int | None = None
    """Seeds the order of the rows; None takes `seed`."""

    bf16_full_eval: bool = False
    """Evaluate and predict with weights in bfloat16, in which the model then stays; not within a training run."""
    fp16_full_eval: bool = False
    """The same in float16."""

    # What is logged, evaluated and saved, and when
    logging_strategy: str = "steps"
    """no, steps or epoch."""
    logging_steps: float = 500
    """Steps between two entries of the log; below 1 it is a share of all steps."""
    logging_first_step: bool = False
    """Log after the first step too."""
    logging_nan_inf_filter: bool = False
    """Leave NaN and infinite losses out of the log and go on, as transformers does; False stops with an error."""
    disable_tqdm: bool | None = False
    """Print the log without progress bars; None is False."""
    log_level: str = "passive"
    """Of minift's own messages: debug, info, warning, error, critical; passive leaves it as it is."""
    report_to: str | list[str] | None = "none"
    """Where the log goes as well: tensorboard, jsonl, wandb, mlflow, codecarbon, or a list of them; none; all that are
    installed. tensorboard and jsonl are files, and need no package."""
    logging_dir: str | None = None
    """Folder for TensorBoard's files; None takes one in `output_dir`, runs/TIME_HOST."""
    run_name: str | None = None
    """The name of the run, for services that show one; None takes `output_dir`."""
    eval_strategy: str = "no"
    """no, steps or epoch."""
    eval_steps: float | None = None
    """Steps between two evaluations; None takes `logging_steps`; below 1 it is a share of all steps."""
    eval_delay: float = 0
    """Steps or epochs (as `eval_strategy` says) before the first evaluation."""
    eval_on_start: bool = False
    """Evaluate before the first step."""
    eval_sort_by_length: bool = False
    """Evaluate and predict with rows of similar length in a batch; results come back in the data set's order. Where the
    loss is a mean over masked tokens, `eval_loss` depends on who shares a batch, `eval_weighted_loss` does not."""
    prediction_loss_only: bool = False
    """Compute no metrics and keep no predictions when evaluating."""
    batch_eval_metrics: bool = False
    """Call `compute_metrics(EvalPrediction, compute_result=last)` for each batch, so that no logits are kept."""
    include_for_metrics: list[str] = dataclasses.field(default_factory=list)
    """What else `compute_metrics` gets to see: "inputs", "loss"."""
    save_strategy: str = "steps"
    """no, steps, epoch or best (whenever `metric_for_best_model` improves)."""
    save_steps: float = 500
    """Steps between two checkpoints; below 1 it is a share of all steps."""
    save_total_limit: int | None = None
    """Checkpoints to keep: the newest, and always the best."""
    save_only_model: bool = False
    """Write checkpoints that can be used but not resumed from."""
    load_best_model_at_end: bool = False
    """Return to the weights of the best checkpoint when training ends."""
    metric_for_best_model: str | None = None
    """The metric that says which checkpoint is best; "loss" when one is needed and none is named."""
    greater_is_better: bool | None = None
    """Whether that metric should rise; None: unless its name ends with "loss"."""
    resume_from_checkpoint: str | bool | None = None
    """Go on from a checkpoint: a folder, or True for the newest in `output_dir`. Scripts give it to `Trainer.train`."""
    ignore_data_skip: bool = False
    """When resuming, begin the interrupted epoch anew instead of skipping the batches already seen."""
    do_train: bool = False
    """For scripts: whether they should train. The Trainer itself does not look at it."""
    do_eval: bool = False
    """For scripts: whether they should evaluate; an `eval_strategy` other than no sets it."""
    do_predict: bool = False
    """For scripts: whether they should predict."""

    include_num_input_tokens_seen: bool | str = "no"
    """Count the tokens that were trained on, in the log and the state: "all" (True), "non_padding" ones, or "no"."""
    restore_callback_states_from_checkpoint: bool = False
    """Give callbacks back what their `state` returned, where that is in transformers' form, when a run resumes."""

    # Batches
    dataloader_drop_last: bool = False
    """Leave out the last training batch when it is not full."""
    dataloader_num_workers: int = 0
    """Processes that collate batches; 0 collates in the main process."""
    dataloader_pin_memory: bool = True
    """Collate into page-locked memory when there is a GPU."""
    dataloader_prefetch_factor: int | None = None
    """Batches that each worker prepares in advance."""
    dataloader_persistent_workers: bool = False
    """Keep the workers from epoch to epoch."""
    remove_unused_columns: bool = True
    """Drop the columns that the model's forward does not take; they are named once."""
    label_names: list[str] | None = None
    """The model's label arguments; None finds them in its forward."""
    group_by_length: bool = False
    """Batch rows of similar length, which needs less padding and changes the order."""
    train_sampling_strategy: str = "random"
    """random, or group_by_length, today's way to write `group_by_length=True`."""
    length_column_name: str = "length"
    """Column of lengths for `group_by_length`; without it the lengths of `input_ids` are taken."""

    # Several processes
    ddp_averaging: str = "overlapped"
    """How gradients are averaged over ranks (`minift.distributed.gradients`): overlapped, bucketed or naive."""
    ddp_bucket_cap_mb: float | None = None
    """MiB of gradients that travel together, by default 25; naive sends each on its own."""
    average_tokens_across_devices: bool = True
    """Weight a rank's loss by its share of all labels, so that N ranks give the gradients of one; False counts every
    rank's mean the same, as plain DistributedDataParallel does."""
    shard_optimizer: bool = False
    """Keep 1/N of the optimizer's state on each of N ranks."""

    # The Hub
    push_to_hub: bool = False
    """Upload the model when training ends (and at every save, if `hub_strategy` says so)."""
    hub_model_id: str | None = None
    """Repository to upload to; None takes the name of `output_dir`."""
    hub_strategy: str = "every_save"
    """end; every_save: the model at each save, too; checkpoint: also all that is needed to go on, as the folder
    last-checkpoint; all_checkpoints: so every checkpoint."""
    hub_token: str | None = dataclasses.field(default=None, repr=False)
    """Token for the Hub; None takes the stored one."""
    hub_private_repo: bool | None = None
    """Whether a new repository is private."""
    hub_revision: str | None = None
    """Branch to upload to, made if it does not exist; None is the main one."""

    # Names that the course used and today's transformers has dropped
    evaluation_strategy: str | None = None
    """The former name of `eval_strategy`."""
    warmup_ratio: float | None = None
    """The former way to write `warmup_steps` as a share of all steps."""
    no_cuda: bool | None = None
    """The former name of `use_cpu`."""
    per_gpu_train_batch_size: int | None = None
    """The former name of `per_device_train_batch_size`."""
    per_gpu_eval_batch_size: int | None = None
    """The former name of `per_device_eval_batch_size`."""
    include_inputs_for_metrics: bool | None = None
    """The former way to write `include_for_metrics=["inputs"]`."""
    accelerator_config: dict | str | AcceleratorConfig | None = None
    """The library's settings of its Accelerator, at values that change nothing here."""
    overwrite_output_dir: bool = False
    """Delete the checkpoints of another run in `output_dir` before a run begins; other files are replaced anyway."""

    def __post_init__(self) -> None:
        self.output_dir = os.fspath(self.output_dir)
        self.accelerator_config = read_accelerator_config(self.accelerator_config)
        check_types(self)
        for former, name in FORMER_NAMES.items():
            if getattr(self, former) is not None:
                setattr(self, name, getattr(self, former))
        counted = self.include_num_input_tokens_seen
        self.include_num_input_tokens_seen = {True: "all", False: "no"}.get(counted, counted)
        if self.include_inputs_for_metrics:
            self.include_for_metrics = [*self.include_for_metrics, "inputs"]
        self.output_dir = os.path.expanduser(self.output_dir)
        check_ranges(self)
        if self.eval_strategy != "no":
            self.do_eval = True
            self.eval_steps = self.eval_steps or self.logging_steps
        watches = self.save_strategy == "best" or self.lr_scheduler_type == "reduce_lr_on_plateau"
        if (self.load_best_model_at_end or watches) and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")
        check_combinations(self)
        self.group_by_length |= self.train_sampling_strategy == "group_by_length"
        if self.log_level != "passive":
            logging.getLogger("minift").setLevel(self.log_level.upper())

    def __getattr__(self, name: str) -> Any:
        """The fields of transformers that change nothing here, where they were not given."""
        if name in WITHOUT_EFFECT["TrainingArguments.__init__"]:
            return unset("TrainingArguments.__init__", name)
        raise AttributeError(f"TrainingArguments has no {name!r}")

    @cached_property
    def device(self) -> "torch.device":
        """The GPU if there is one and `use_cpu` is off, otherwise the CPU; of several GPUs, this process's own."""
        return self._world.device(cpu=self.use_cpu)

    @property
    def _world(self) -> "World":
        from minift.distributed.world import world  # here, since the TensorFlow path reads these arguments, too

        return world()

    @property
    def world_size(self) -> int:
        """The number of processes that train together."""
        return self._world.size

    @property
    def process_index(self) -> int:
        """The number of this process among them, from 0."""
        return self._world.rank

    @property
    def local_process_index(self) -> int:
        """Its number among those on this machine."""
        return self._world.local_rank

    @contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Iterator[None]:
        """The main process (of each machine, if `local`) runs the `with` block first; the others find what it mapped.

        `desc` is for transformers' scripts, which say in it what is done.
        """
        from minift.distributed.exchange import main_process_first

        with main_process_first(local):
            yield

    @property
    def train_batch_size(self) -> int:
        """Rows in a training batch of this process."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        return self.per_device_eval_batch_size

    @property
    def n_gpu(self) -> int:
        """The GPUs of this process: 0 or 1."""
        return int(self.device.type == "cuda")

    @property
    def parallel_mode(self) -> ParallelMode:
        """Whether this process is one of several."""
        return ParallelMode.DISTRIBUTED if self.world_size > 1 else ParallelMode.NOT_PARALLEL

    @property
    def mixed_precision(self) -> str:
        """What matrix products are computed in: "bf16", "fp16" or "no"."""
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "no"

    @property
    def should_save(self) -> bool:
        """Whether this process writes files and logs: the first of all."""
        return self.process_index == 0

    should_log = should_save

    def get_process_log_level(self) -> int:
        """The level of `log_level` as a number of `logging`; of "passive", the one that is set."""
        return logging.getLogger("minift").getEffectiveLevel()

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """The number of warm-up steps: `warmup_steps` is a count or, below 1, a share; `warmup_ratio` is a share."""
        if self.warmup_ratio and not self.warmup_steps:
            return math.ceil(num_training_steps * self.warmup_ratio)
        share = self.warmup_steps < 1
        return math.ceil(num_training_steps * self.warmup_steps) if share else int(self.warmup_steps)

    def to_dict(self) -> dict[str, Any]:
        """All fields, with the token masked."""
        fields = dataclasses.asdict(self)
        return fields | ({"hub_token": "<HUB_TOKEN>"} if self.hub_token else {})

    def to_json_string(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """All fields as booleans, numbers and text, for services that take nothing else."""
        fields = self.to_dict() | {"train_batch_size": self.train_batch_size, "eval_batch_size": self.eval_batch_size}
        return {
            name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in fields.items()
        }
