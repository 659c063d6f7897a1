"""`minift inspect` and `minift plot`: what is in a checkpoint or a data set, and how runs compare."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from minift.cli.paths import check_data, check_model


def inspect(parser: ArgumentParser) -> None:
    parser.add_argument("what", help="a checkpoint (folder or Hub name), a data set or a data file")
    parser.add_argument("--config", help="configuration of a data set on the Hub, such as mrpc")
    parser.add_argument("--model", help="for a data set: the tokenizer whose tokens are counted, and a batch of them")
    parser.add_argument("--split", default="train", help="split of the batch and of the lengths [train]")
    parser.add_argument("--batch_size", type=int, default=4, help="rows of the batch [4]")
    parser.add_argument("--text_columns", nargs="*", help="one or two columns to read; None finds them")
    parser.add_argument("--label_column", help="the column to predict; None finds it")
    parser.add_argument("--tensors", action="store_true", help="every tensor of the checkpoint, with its shape")

    def run(options: Namespace) -> None:
        check_data([options.what])
        if options.model is not None:
            check_model(options.model)
        from minift.tasks import inspect as task

        if is_checkpoint(options.what):
            print("\n".join(task.describe_checkpoint(options.what, options.tensors)))
            return
        from minift.tasks.source import open_source

        splits = open_source(options.what, options.config)
        split = options.split if "train" in splits or options.split != "train" else next(iter(splits))
        columns = (options.text_columns, options.label_column)
        print("\n".join(task.describe_data(splits, split, options.config, *columns)))
        if options.model is not None:
            sizes = (options.model, options.batch_size)
            print("\n".join(task.describe_batch(splits, split, options.config, *sizes, *columns)))

    parser.set_defaults(run=run)


def is_checkpoint(name: str) -> bool:
    """Whether a folder holds a model, or a name is that of a model on the Hub."""
    from minift.hub import local_copy

    path = Path(name).expanduser()
    if path.exists():
        return (path / "config.json").is_file()
    if local_copy(name, "dataset") is not None:
        return False
    return local_copy(name, "model") is not None or on_the_hub(name)


def on_the_hub(name: str) -> bool:
    from minift.hub import snapshot

    try:
        return (snapshot(name, allow_patterns=["config.json"]) / "config.json").is_file()
    except FileNotFoundError:
        return False


def plot(parser: ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", help="folders of runs, each with its trainer_state.json")
    parser.add_argument("--output", default="runs.html", help="what to write: .html, .svg or .png [runs.html]")

    def run(options: Namespace) -> None:
        from minift.report.compare import compare_runs

        print(f"wrote   {compare_runs(options.runs, options.output)}")

    parser.set_defaults(run=run)
