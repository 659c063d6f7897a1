"""All of GLUE from the command line, on generated tables with the schemas of the Hub's: texts, labels, metrics, TSV."""

import json

import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Features, Value
from minift.metrics.glue import GLUE

TWO = ["entailment", "not_entailment"]
NLI = ["entailment", "neutral", "contradiction"]
LABELS = {
    **dict.fromkeys(["mnli", "mnli_matched", "mnli_mismatched", "ax"], NLI),
    **dict.fromkeys(["qnli", "rte"], TWO),
    "cola": ["unacceptable", "acceptable"],
    "sst2": ["negative", "positive"],
    "mrpc": ["not_equivalent", "equivalent"],
    "qqp": ["not_duplicate", "duplicate"],
    "wnli": ["not_entailment", "entailment"],
}
SCORES = {"cola": ["matthews_correlation"], "stsb": ["pearson", "spearmanr"]}
SCORES |= {"mrpc": ["accuracy", "f1"], "qqp": ["accuracy", "f1"]}
SPLITS = {"mnli": ["train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched"]}
TRAINABLE = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


def table(config, split):
    """Twelve rows; those of a test split have -1 for a label."""
    columns = GLUE[config].text_columns
    names = LABELS.get(config)
    label = Value("float32") if names is None else ClassLabel(names=names)
    hidden = split.startswith("test")
    rows = {column: [f"a {word} film" for word in ("good", "bad", "fine") * 4] for column in columns}
    rows["label"] = [-1 if hidden else i % 3 + 0.5 if names is None else i % len(names) for i in range(12)]
    features = {column: Value("string") for column in columns} | {"label": label, "idx": Value("int32")}
    return Dataset.from_dict(rows | {"idx": list(range(12))}, features=Features(features))


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    """A folder with a configuration for each task, as the Hub's repository has them."""
    folder, lines = tmp_path_factory.mktemp("glue"), []
    for config in [*TRAINABLE, "ax"]:
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in ["test"] if config == "ax" else SPLITS.get(config, ["train", "validation", "test"]):
            (folder / config).mkdir(exist_ok=True)
            table(config, split).to_parquet(folder / config / f"{split}-00000-of-00001.parquet")
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(lines) + "\n---\n")
    return folder


def train(glue, start, config, out):
    flags = ["--dataset", str(glue), "--config", config, "--model", str(start), "--output_dir", str(out)]
    return main(["finetune", *flags, "--max_steps", "1", "--save_strategy", "no", "--quiet"])


@pytest.mark.parametrize("config", TRAINABLE)
def test_a_task_is_trained_scored_and_predicted(glue, start, tmp_path, capsys, config):
    assert train(glue, start, config, tmp_path / "out") == 0
    log = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"]
    evaluation = next(entry for entry in log if "eval_loss" in entry)
    for score in SCORES.get(config, ["accuracy"]):
        assert f"eval_{score}" in evaluation
    assert ("eval_accuracy" in evaluation) == ("accuracy" in SCORES.get(config, ["accuracy"]))
    if config == "mnli":  # its second set, with twelve rows of its own
        assert {"eval_mismatched_loss", "eval_mismatched_accuracy"} <= log[-1].keys()
        assert "eval_loss" not in log[-1]
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    names = LABELS.get(config)
    assert settings.get("problem_type") == ("regression" if names is None else "single_label_classification")
    assert list(settings["id2label"].values()) == (names or ["LABEL_0"])

    written, split = tmp_path / "answers.tsv", "test_mismatched" if config == "mnli" else "test"
    flags = ["--model", str(tmp_path / "out"), "--dataset", str(glue), "--config", config, "--split", split]
    assert main(["predict", *flags, "--output", str(written)]) == 0
    assert "12 predictions, in GLUE's format" in capsys.readouterr().out
    head, *rows = [line.split("\t") for line in written.read_text().splitlines()]
    assert head == ["index", "prediction"]
    assert [int(row[0]) for row in rows] == list(range(12))
    if names is None:
        assert all(len(row[1].rpartition(".")[2]) == 3 and float(row[1]) != -1 for row in rows)
    else:
        assert {row[1] for row in rows} <= set(names)


def test_the_diagnostic_set_is_for_a_model_of_mnli(glue, start, tmp_path, capsys):
    assert train(glue, start, "ax", tmp_path / "none") == 2
    assert "the data set has no split 'train', only test" in capsys.readouterr().err
    assert train(glue, start, "mnli", tmp_path / "out") == 0
    flags = ["--model", str(tmp_path / "out"), "--dataset", str(glue), "--config", "ax"]
    assert main(["predict", *flags, "--output", str(tmp_path / "AX.tsv")]) == 0
    assert len((tmp_path / "AX.tsv").read_text().splitlines()) == 13
    capsys.readouterr()
    assert main(["predict", *flags, "--split", "train"]) == 2
    assert f"--split 'train': {glue} has test" in capsys.readouterr().err
