"""`HfArgumentParser`: the flags of dataclasses, which the libraries' example scripts read their settings with."""

import argparse
import dataclasses
import json
import sys
import types
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

TRUE, FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


def boolean(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")


class HfArgumentParser(argparse.ArgumentParser):
    """Read flags into dataclasses: one flag for each field; ``--no_x`` for a boolean `x` that is true by default.

    Re-implements transformers/hf_argparser.py.
    """

    def __init__(self, dataclass_types: type | Iterable[type], **options: Any):
        options.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        super().__init__(**options)
        one = dataclasses.is_dataclass(dataclass_types)
        self.dataclass_types = [dataclass_types] if one else list(dataclass_types)
        for kind in self.dataclass_types:
            hints = get_type_hints(kind)
            for field in dataclasses.fields(kind):
                if field.init:
                    self._add_flag(field, hints[field.name])

    def _add_flag(self, field: dataclasses.Field, kind: Any) -> None:
        name, options = f"--{field.name}", {"help": field.metadata.get("help")}
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if default is dataclasses.MISSING:
            options["required"] = True
        else:
            options["default"] = default
        parts = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
        parts = [part for part in parts if part is not type(None)]
        kind = next((part for part in parts if part in (bool, int, float)), parts[0])
        if kind is bool:
            options |= {"type": boolean, "nargs": "?", "const": True}
            if options.pop("required", False):  # as in the library, a flag that is not given is off
                options["default"] = False
            if default is True:
                negations = dict.fromkeys((f"--no_{field.name}", f"--no-{field.name.replace('_', '-')}"))
                self.add_argument(*negations, dest=field.name, action="store_false", default=True)
        elif get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
            values = get_args(kind) or [member.value for member in kind]
            by_text = {str(value): value for value in values}
            options |= {"type": lambda text: by_text.get(text, text), "choices": values}
        elif get_origin(kind) is list:
            options |= {"type": get_args(kind)[0], "nargs": "+"}
        elif kind is dict or get_origin(kind) is dict:
            options["type"] = json.loads
        else:
            options["type"] = kind if kind in (int, float) else str
        self.add_argument(*dict.fromkeys((name, f"--{field.name.replace('_', '-')}")), dest=field.name, **options)

    def parse_args_into_dataclasses(
        self,
        args: Sequence[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[Any, ...]:
        """Read the command line; a file of arguments (SCRIPT.args, or `args_filename`) goes before it."""
        if args_file_flag is not None:
            raise ValueError("HfArgumentParser does not support args_file_flag=")
        given = list(sys.argv[1:] if args is None else args)
        file = Path(args_filename) if args_filename else Path(sys.argv[0]).with_suffix(".args")
        if (args_filename or (look_for_args_file and sys.argv[0])) and file.is_file():
            given = [*file.read_text(encoding="utf-8").split(), *given]
        read, remaining = self.parse_known_args(given)
        values = vars(read)
        made = [kind(**{name: values[name] for name in _names(kind)}) for kind in self.dataclass_types]
        if return_remaining_strings:
            return (*made, remaining)
        if remaining:
            raise ValueError(f"Some specified arguments are not used by the HfArgumentParser: {remaining}")
        return tuple(made)

    def parse_dict(self, args: dict[str, Any], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Make the dataclasses of a dict."""
        used = {name for kind in self.dataclass_types for name in _names(kind)}
        unknown = sorted(args.keys() - used)
        if unknown and not allow_extra_keys:
            raise ValueError(f"Some keys are not used by the HfArgumentParser: {unknown}")
        return tuple(
            kind(**{name: args[name] for name in _names(kind) if name in args}) for kind in self.dataclass_types
        )

    def parse_json_file(self, json_file: str | Path, allow_extra_keys: bool = False) -> tuple[Any, ...]:
        return self.parse_dict(json.loads(Path(json_file).read_text(encoding="utf-8")), allow_extra_keys)

    def parse_yaml_file(self, yaml_file: str | Path, allow_extra_keys: bool = False) -> tuple[Any, ...]:
        return self.parse_dict(yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8")), allow_extra_keys)


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.init]
