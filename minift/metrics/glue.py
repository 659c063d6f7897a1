"""The tasks of GLUE: which columns are the texts, which metrics count, how many labels there are."""

from typing import NamedTuple


class GlueTask(NamedTuple):
    """One configuration of GLUE (Wang et al., 2019, https://arxiv.org/abs/1804.07461)."""

    text_columns: tuple[str, ...]
    metrics: tuple[str, ...]  # under the names that evaluate's "glue" gives them in its results
    num_labels: int = 2  # 1: a score, not a class
    eval_splits: tuple[str, ...] = ("validation",)


GLUE = {
    "cola": GlueTask(("sentence",), ("matthews_correlation",)),
    "sst2": GlueTask(("sentence",), ("accuracy",)),
    "mrpc": GlueTask(("sentence1", "sentence2"), ("accuracy", "f1")),
    "stsb": GlueTask(("sentence1", "sentence2"), ("pearson", "spearmanr"), num_labels=1),
    "qqp": GlueTask(("question1", "question2"), ("accuracy", "f1")),
    "mnli": GlueTask(("premise", "hypothesis"), ("accuracy",), 3, ("validation_matched", "validation_mismatched")),
    "mnli_matched": GlueTask(("premise", "hypothesis"), ("accuracy",), 3),
    "mnli_mismatched": GlueTask(("premise", "hypothesis"), ("accuracy",), 3),
    "qnli": GlueTask(("question", "sentence"), ("accuracy",)),
    "rte": GlueTask(("sentence1", "sentence2"), ("accuracy",)),
    "wnli": GlueTask(("sentence1", "sentence2"), ("accuracy",)),
    "hans": GlueTask(("premise", "hypothesis"), ("accuracy",)),
    "ax": GlueTask(("premise", "hypothesis"), ("matthews_correlation",), 3, ("test",)),  # its labels are hidden: -1
}
