"""What the `Auto…` classes of both frameworks share: the configuration's model type picks the class."""

import os
from typing import Any, ClassVar

from minift.model.config import HUB_ARGUMENTS, AutoConfig, PretrainedConfig


class AutoClass:
    """Not to be created: `from_pretrained` and `from_config` return a model of one of `classes`."""

    classes: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is created by from_pretrained(folder) or from_config(config)")

    @classmethod
    def from_config(cls, config: PretrainedConfig) -> Any:
        """A new model with random weights."""
        return cls._class_for(config)(config)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | os.PathLike, *, config: PretrainedConfig | None = None, **options: Any
    ) -> Any:
        """Load a model: arguments, results and errors are those of the `from_pretrained` of its class.

        Raises:
            ValueError: also when the configuration's model_type is unknown.
        """
        if config is None:
            hub = {name: options[name] for name in HUB_ARGUMENTS if name in options}
            model_class = cls._class_for(AutoConfig.from_pretrained(name_or_path, **hub))
        else:
            model_class = cls._class_for(config)
        return model_class.from_pretrained(name_or_path, config=config, **options)

    @classmethod
    def register(cls, config_class: type[PretrainedConfig], model_class: type, exist_ok: bool = False) -> None:
        """Let this class make a model of the user's own for configurations of `config_class`."""
        if model_class.config_class is not config_class:
            raise ValueError(f"{model_class.__name__} has config_class {model_class.config_class}, not {config_class}")
        if config_class.model_type in cls.classes and not exist_ok:
            raise ValueError(f"{cls.__name__} has a model for {config_class.model_type!r}; pass exist_ok=True")
        cls.classes = {**cls.classes, config_class.model_type: model_class}

    @classmethod
    def _class_for(cls, config: PretrainedConfig) -> type:
        if not isinstance(config, PretrainedConfig):
            raise TypeError(f"{cls.__name__} takes a configuration such as BertConfig, not a {type(config).__name__}")
        if config.model_type not in cls.classes:
            raise ValueError(f"{cls.__name__} has no {config.model_type!r} model; it has {', '.join(cls.classes)}")
        return cls.classes[config.model_type]
