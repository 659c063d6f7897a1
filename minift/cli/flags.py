"""Command-line flags from signatures: a flag for each argument of a function, or for each field of a dataclass.

The help of a flag is the argument's entry under ``Args:`` in the docstring, or the string under the field.
"""

import argparse
import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def add_flags(
    parser: argparse.ArgumentParser, function: Callable, everyday: list[str] | None = None, /, **defaults: Any
) -> None:
    """Add a flag for each argument of a function, or a dataclass, that can be given by name.

    An argument whose type is a dataclass gives a group with a flag for each field. An argument without default is a
    required flag. `defaults` replace those of the signature, also for the fields of dataclasses. If there are
    `everyday` flags, the help shows only these, and with ``--help-all`` the others as well.
    """
    texts = argument_texts(function)
    hides = everyday is not None and not getattr(parser, "shows_all", False)
    for argument in arguments_of(function):
        name, default = argument.name, defaults.get(argument.name, argument.default)
        if dataclasses.is_dataclass(argument.annotation):
            group = parser.add_argument_group("training" if argument.name == "args" else argument.name)
            group.shows_all = not hides
            add_flags(group, argument.annotation, everyday, **defaults)
            continue
        required = default is argument.empty
        shown = (
            "" if required or default is None or str(default) == "<factory>" else f" [{default}]"
        )  # of an empty list
        text = texts[name].replace("%", "%%") + shown
        parser.add_argument(
            f"--{name}",
            required=required,
            default=defaults.get(name, argparse.SUPPRESS),  # what is not given is left to the signature
            help=argparse.SUPPRESS if hides and name not in everyday else text,
            **reader_of(argument.annotation),
        )


def read_flags(function: Callable, options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `function` from the flags that `add_flags` added; dataclasses are made of their flags."""
    given = {}
    for argument in arguments_of(function):
        if dataclasses.is_dataclass(argument.annotation):
            given[argument.name] = argument.annotation(**read_flags(argument.annotation, options))
        elif argument.name in options:
            given[argument.name] = getattr(options, argument.name)
    return given


def arguments_of(function: Callable) -> list[inspect.Parameter]:
    """Return the arguments that can be given by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [argument for argument in inspect.signature(function).parameters.values() if argument.kind in by_name]


def reader_of(annotation: Any) -> dict[str, Any]:
    """Return the arguments of `add_argument` that read a value of this type."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kinds = [kind for kind in kinds if kind not in (Path, type(None))] or kinds
    if get_origin(kinds[0]) is Literal:
        return {"choices": get_args(kinds[0])}
    if bool in kinds:
        reader = {"type": boolean_or_text} if str in kinds else {"type": boolean, "metavar": "BOOL"}
        return {"nargs": "?", "const": True, **reader}
    if get_origin(kinds[0]) is list:
        return {"nargs": "*"}
    return {"type": json.loads if kinds[0] is dict else kinds[0]}  # the first kind; the others come from Python only


def boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")
    return BOOLEANS[text.lower()]


def boolean_or_text(text: str) -> bool | str:
    return BOOLEANS[text.lower()] if text.lower() in ("true", "false") else text


def argument_texts(function: Callable) -> dict[str, str]:
    """Return the entries under ``Args:`` in a function's docstring, or the strings under a dataclass's fields."""
    if dataclasses.is_dataclass(function):
        body = ast.parse(inspect.getsource(function)).body[0].body  # Python itself discards these strings
        return {
            field.target.id: text.value.value
            for field, text in pairwise(body)
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
        }
    section = re.search(r"^Args:\n((?: .*\n)+)", inspect.getdoc(function) + "\n", re.M).group(1)
    entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section, re.M)
    return {name: " ".join(text.split()) for name, text in entries}
