"""Modules that stand in for those of the libraries: `import transformers` gives minift's names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from minift.libraries.modules import ALIASES, MODULES


class StandIn(ModuleType):
    """A module of the table MODULES; its names are imported from minift when they are first used.

    A missing name raises ImportError instead of AttributeError: for the latter, ``from … import …`` would replace the
    message, which lists what the module has.
    """

    def __init__(self, name: str):
        super().__init__(name, f"minift, standing in for {name}")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []  # a package, so that Python asks `RefuseTheRest` for missing submodules

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        source, names = MODULES[self.__name__]
        if name not in names:
            raise ImportError(missing(self.__name__, name), name=self.__name__)
        value = getattr(import_module(source), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return names_of(self.__name__)


class RefuseTheRest:
    """An import hook that Python asks first: submodules that are not in the table are not found anywhere else."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        parent, _, name = fullname.rpartition(".")
        if parent in MODULES:
            raise ModuleNotFoundError(missing(parent, name), name=fullname)


def names_of(module: str) -> list[str]:
    """Return the names and the submodules of a stand-in, sorted."""
    submodules = [name.rpartition(".") for name in (*MODULES, *ALIASES)]
    return sorted([*MODULES[module][1], *(name for parent, _, name in submodules if parent == module)])


def missing(module: str, name: str) -> str:
    """Return the error message for a name that a stand-in does not have."""
    return f"minift has no {module}.{name}; its {module} has: {', '.join(names_of(module))}"


@contextmanager
def stand_ins() -> Iterator[None]:
    """In the `with` block, imports of the four libraries give minift's names; afterwards all is as before."""
    roots = {name.partition(".")[0] for name in MODULES}
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in roots}
    for name in before:
        del sys.modules[name]
    modules = {name: StandIn(name) for name in MODULES}
    modules |= {alias: modules[name] for alias, name in ALIASES.items()}
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    sys.modules.update(modules)
    sys.meta_path.insert(0, RefuseTheRest)
    try:
        yield
    finally:
        sys.meta_path.remove(RefuseTheRest)
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)
