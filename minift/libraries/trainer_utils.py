"""The names that scripts import from ``transformers.trainer_utils`` and ``transformers.training_args``."""

from minift.libraries.optimizer_names import OptimizerNames
from minift.optim.schedule import SchedulerType
from minift.train.arguments import TrainingArguments
from minift.train.checkpoint import get_last_checkpoint
from minift.train.evaluate import EvalLoopOutput, EvalPrediction, PredictionOutput, speed_metrics
from minift.train.seed import enable_full_determinism, set_seed
from minift.train.strategies import (
    EvaluationStrategy,
    HubStrategy,
    IntervalStrategy,
    ParallelMode,
    SaveStrategy,
)
from minift.train.trainer import TrainOutput

__all__ = [
    "EvalLoopOutput",
    "EvalPrediction",
    "EvaluationStrategy",
    "HubStrategy",
    "IntervalStrategy",
    "OptimizerNames",
    "ParallelMode",
    "PredictionOutput",
    "SaveStrategy",
    "SchedulerType",
    "TrainOutput",
    "TrainingArguments",
    "enable_full_determinism",
    "get_last_checkpoint",
    "set_seed",
    "speed_metrics",
]
