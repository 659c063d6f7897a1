"""The settings that transformers has as enums; each equals its text: ``IntervalStrategy.EPOCH == "epoch"``."""

from enum import StrEnum


class IntervalStrategy(StrEnum):
    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


class SaveStrategy(StrEnum):
    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"
    BEST = "best"


class HubStrategy(StrEnum):
    END = "end"
    EVERY_SAVE = "every_save"


class ParallelMode(StrEnum):
    NOT_PARALLEL = "not_parallel"
    NOT_DISTRIBUTED = "not_distributed"
    DISTRIBUTED = "distributed"


EvaluationStrategy = IntervalStrategy  # its name until 2024
