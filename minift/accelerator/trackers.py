"""Trackers: where a loop's numbers go. Re-implements accelerate/tracking.py, for these services."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minift.report.event_file import EventFile
from minift.train.tracking import import_client, mlflow_parameters, numbers_of


class GeneralTracker:
    """The base class of trackers: a subclass has a `name`, and stores what it is given.

    `main_process_only`: the methods run in the first process only.
    """

    name = "none"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, _blank: bool = False):
        self.blank = _blank

    @property
    def tracker(self) -> Any:
        """The object that does the work."""
        return self

    def start(self) -> None:
        """Begin the run."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store the arguments of the run."""

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Store numbers or text by name, at a step."""

    def finish(self) -> None:
        """End the run."""


class TensorBoardTracker(GeneralTracker):
    """TensorBoard's event files, in ``logging_dir/run_name``: numbers and texts under their own names.

    The numbers of a dict go under ``name/key``. The configuration is a text.
    """

    name = "tensorboard"
    requires_logging_directory = True

    def __init__(self, run_name: str, logging_dir: str | Path):
        super().__init__()
        self.folder = Path(logging_dir, run_name)

    def start(self) -> None:
        self.events = EventFile(self.folder)

    @property
    def tracker(self) -> EventFile:
        return self.events

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.events.add_text("config", json.dumps(values, default=str, indent=2))

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                self.events.add_text(name, value, step or 0)
            elif isinstance(value, dict):
                self.log({f"{name}/{key}": part for key, part in value.items()}, step)
            else:
                self.events.add_scalar(name, float(value), step or 0)

    def finish(self) -> None:
        self.events.close()


class ClientTracker(GeneralTracker):
    """A service, by its own client, which has to be installed; `init_kwargs` go to what begins its run."""

    def __init__(self, run_name: str, **init_kwargs: Any):
        super().__init__()
        self.client, self.run_name, self.init_kwargs = import_client(self.name, self.name), run_name, init_kwargs
        self.run: Any = None

    @property
    def tracker(self) -> Any:
        return self.run


class WandBTracker(ClientTracker):
    """Weights & Biases: `run_name` is the project."""

    name = "wandb"

    def start(self) -> None:
        self.run = self.client.init(project=self.run_name, **self.init_kwargs)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.client.config.update(values, allow_val_change=True)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.run.log(values, step=step, **kwargs)

    def finish(self) -> None:
        self.run.finish()


class MLflowTracker(ClientTracker):
    """MLflow: `run_name` is the experiment."""

    name = "mlflow"

    def start(self) -> None:
        self.client.set_experiment(self.run_name)
        self.run = self.client.start_run(**self.init_kwargs)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        for parameters in mlflow_parameters(values):
            self.client.log_params(parameters)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.client.log_metrics(numbers_of(values, self.name), step=step, **kwargs)

    def finish(self) -> None:
        self.client.end_run()


TRACKERS = {kind.name: kind for kind in (TensorBoardTracker, WandBTracker, MLflowTracker)}


def filter_trackers(log_with: Any, logging_dir: Any = None) -> list[GeneralTracker | str]:
    """Return the trackers of `log_with`, objects and names; "all" are those whose packages are installed."""
    chosen = list(log_with) if isinstance(log_with, list | tuple) else [] if log_with is None else [log_with]
    chosen = [one if isinstance(one, GeneralTracker) else str(getattr(one, "value", one)) for one in chosen]
    if "all" in chosen:
        installed = [
            name for name in TRACKERS if find_spec(name) or (name == "tensorboard" and logging_dir is not None)
        ]
        chosen = [*(one for one in chosen if one != "all"), *installed]
    for one in chosen:
        if isinstance(one, str) and one not in TRACKERS:
            raise ValueError(
                f"log_with: minift has no tracker {one!r}; it has {', '.join(TRACKERS)}, or pass an object"
            )
        if isinstance(one, str) and TRACKERS[one].requires_logging_directory and logging_dir is None:
            raise ValueError(f"log_with={one!r} needs a folder: pass project_dir, or logging_dir in project_config")
    return list(dict.fromkeys(chosen))


def make_tracker(
    chosen: GeneralTracker | str, run_name: str, logging_dir: Any, options: dict[str, Any]
) -> GeneralTracker:
    """Make the tracker of a name; an object is taken as it is."""
    if isinstance(chosen, GeneralTracker):
        return chosen
    kind = TRACKERS[chosen]
    return kind(run_name, logging_dir, **options) if kind.requires_logging_directory else kind(run_name, **options)
