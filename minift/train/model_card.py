"""The model card that a Trainer writes: what was trained on what, how, and how well. Plain text for people and the Hub.

Re-implements `TrainingSummary` of transformers/modelcard.py.
"""

import re
from pathlib import Path
from typing import Any

import tokenizers
import torch
import yaml

from minift import __version__

TASKS = {
    "fill-mask": "Masked Language Modeling",
    "multiple-choice": "Multiple Choice",
    "question-answering": "Question Answering",
    "text-classification": "Text Classification",
    "token-classification": "Token Classification",
}
TASK_OF_HEAD = {
    "ForMaskedLM": "fill-mask",
    "ForMultipleChoice": "multiple-choice",
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
METRICS = ("accuracy", "f1", "matthews_correlation", "pearsonr", "precision", "recall", "spearmanr")  # known on the Hub
SPEEDS = ("runtime", "samples_per_second", "steps_per_second")
SECTIONS = ("Model description", "Intended uses & limitations", "Training and evaluation data")  # for a person to write
UNKNOWN = "More information needed"
COMMENT = "<!-- The Trainer wrote this card from what it knows. Please read and complete it, then remove this line. -->"


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def spoken(name: str) -> str:
    """``eval_f1_score`` -> ``F1 Score``."""
    return " ".join(part.capitalize() for part in name.removeprefix("eval_").split("_"))


def shown(value: Any) -> str:
    text = str(value)
    return f"{value:.4f}" if isinstance(value, float) and len(text.partition(".")[2]) > 4 else text


def evaluations(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the table of results: for each evaluation the last training loss, epoch, step, and its metrics."""
    rows, loss = [], "No log"
    for entry in history:
        loss = entry.get("loss", loss)
        if "train_runtime" in entry:
            break
        if "eval_loss" in entry:
            row = {"Training Loss": loss, "Epoch": entry.get("epoch"), "Step": entry.get("step")}
            rows.append({**row, "Validation Loss": entry["eval_loss"], **metrics_of(entry, without="loss")})
    return rows


def metrics_of(entry: dict[str, Any], without: str = "") -> dict[str, Any]:
    names = sorted((name for name in entry if name.startswith("eval_")), key=lambda name: name != "eval_loss")
    return {spoken(name): entry[name] for name in names if name.removeprefix("eval_") not in (*SPEEDS, without)}


def table(rows: list[dict[str, Any]]) -> str:
    """Write rows of the same columns as a table of Markdown."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = [
        "".join(f"| {text:{width}} " for text, width in zip(line, widths, strict=True)) + "|" for line in lines
    ]
    return "\n".join([head, "".join(f"|:{'-' * width}:" for width in widths) + "|", *body]) + "\n"


def hyperparameters(args: Any) -> dict[str, Any]:
    """The settings that people compare; those at their defaults are left out where they say nothing."""
    together = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
    ranks, steps = args.world_size, args.gradient_accumulation_steps
    adam = f"with betas=({args.adam_beta1},{args.adam_beta2}) and epsilon={args.adam_epsilon}"
    entries = {
        "learning_rate": args.learning_rate,
        "train_batch_size": args.train_batch_size,
        "eval_batch_size": args.eval_batch_size,
        "seed": args.seed,
        "distributed_type": "multi-GPU" if ranks > 1 and args.n_gpu else "multi-CPU" if ranks > 1 else None,
        "num_devices": ranks if ranks > 1 else None,
        "gradient_accumulation_steps": steps if steps > 1 else None,
        "total_train_batch_size": together if together != args.train_batch_size else None,
        "total_eval_batch_size": args.eval_batch_size * ranks if ranks > 1 else None,
        "optimizer": f"{args.optim} {adam}" if "adam" in args.optim else args.optim,
        "lr_scheduler_type": str(args.lr_scheduler_type),
        "lr_scheduler_warmup_steps": args.warmup_steps or None,
        "lr_scheduler_warmup_ratio": args.warmup_ratio or None,
        "training_steps": args.max_steps if args.max_steps > 0 else None,
        "num_epochs": args.num_train_epochs if args.max_steps <= 0 else None,
        "mixed_precision_training": "bf16" if args.bf16 else "fp16" if args.fp16 else None,
        "label_smoothing_factor": args.label_smoothing_factor or None,
    }
    return {name: value for name, value in entries.items() if value is not None}


def metadata(card: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """What the Hub reads: at the top of the card, as YAML."""
    known = {name.lower().replace(" ", "_"): name for name in results}
    known = {tag: name for tag, name in known.items() if tag in METRICS}
    tasks = [task for task in as_list(card["tasks"]) if task in TASKS]
    tags, names, options = (as_list(card[key]) for key in ("dataset_tags", "dataset", "dataset_args"))
    index = []
    for task in tasks if known else ():
        for place, tag in enumerate(tags):
            data = {"name": names[place] if place < len(names) else tag, "type": tag}
            data |= {"args": options[place]} if place < len(options) and options[place] is not None else {}
            values = [{"name": name, "type": tag, "value": float(results[name])} for tag, name in known.items()]
            index.append({"task": {"name": TASKS[task], "type": task}, "dataset": data, "metrics": values})
    entries = {
        "library_name": "transformers",
        "language": as_list(card["language"]),
        "license": card["license"],
        "base_model": card["finetuned_from"],
        "tags": as_list(card["tags"]),
        "datasets": tags,
        "metrics": list(known),
        "model-index": [{"name": card["model_name"], "results": index}],
    }
    return {name: value for name, value in entries.items() if value}


def written_by_hand(former: str) -> dict[str, str]:
    """The sections of a former card that a person has written; a new card keeps them."""
    parts = re.split(r"^## (.+)$", former, flags=re.MULTILINE)
    sections = {title.strip(): text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {title: sections[title] for title in SECTIONS if sections.get(title, UNKNOWN) != UNKNOWN}


def model_card(trainer: Any, card: dict[str, Any], former: str = "") -> str:
    """Write the card of what `trainer` has trained.

    Args:
        card: the arguments of `Trainer.create_model_card`; what is None is taken from the run.
        former: the text of a card that it replaces: the sections that a person has written in it stay.
    """
    card = dict(card)
    kind, source = type(trainer.model).__name__, getattr(trainer.model, "name_or_path", "")
    card["finetuned_from"] = card["finetuned_from"] or (source if source and not Path(source).is_dir() else None)
    card["model_name"] = card["model_name"] or Path(trainer.args.output_dir).name or card["finetuned_from"]
    card["tasks"] = card["tasks"] or next((task for head, task in TASK_OF_HEAD.items() if head in kind), None)
    card["dataset"] = card["dataset"] or card["dataset_tags"]
    card["tags"] = list(dict.fromkeys([*as_list(card["tags"]), "generated_from_trainer"]))
    history = trainer.state.log_history
    last = next((entry for entry in reversed(history) if "eval_loss" in entry), {})
    results, data = metrics_of(last), as_list(card["dataset"])
    named = f"the {', '.join(map(str, data))} dataset{'s' * (len(data) > 1)}" if data else "an unknown dataset"
    base = f"[{card['finetuned_from']}](https://huggingface.co/{card['finetuned_from']})"
    by_hand, rows = written_by_hand(former), evaluations(history)
    lines = ["---", yaml.safe_dump(metadata(card, results), sort_keys=False).rstrip(), "---", "", COMMENT, ""]
    lines += [f"# {card['model_name']}", ""]
    how = f"This model is a fine-tuned version of {base} on" if card["finetuned_from"] else "Trained from scratch on"
    lines += [f"{how} {named}."]
    if results:
        lines += ["It achieves the following results on the evaluation set:"]
        lines += [f"- {name}: {shown(value)}" for name, value in results.items()]
    for title in SECTIONS:
        lines += ["", f"## {title}", "", by_hand.get(title, UNKNOWN)]
    lines += ["", "## Training procedure", "", "### Training hyperparameters", ""]
    lines += [f"- {name}: {value}" for name, value in hyperparameters(trainer.args).items()]
    if rows:
        lines += ["", "### Training results", "", table(rows).rstrip()]
    lines += ["", "### Framework versions", "", f"- minift {__version__}", f"- Pytorch {torch.__version__}"]
    return "\n".join([*lines, f"- Tokenizers {tokenizers.__version__}"]) + "\n"
