"""What an exercise is: a function of minift's own source, inputs to try it on, and the mistakes that people make."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

TODO = 'raise NotImplementedError("write this function")'


class Mistake(NamedTuple):
    """A wrong answer: the right source with one piece replaced, and what to say of it."""

    right: str
    wrong: str
    smells_like: str


@dataclass
class Exercise:
    """A function to be written again."""

    name: str
    title: str
    function: str  # module:function or module:Class.method
    hints: list[str]
    cases: Callable[[int], tuple]  # a number -> arguments; the same number gives the same ones, made anew
    mistakes: list[Mistake]
    course: str = ""  # where the Hugging Face course treats it

    @property
    def module(self) -> ModuleType:
        return import_module(f"minift.{self.function.partition(':')[0]}")

    @property
    def path(self) -> str:
        """The function's name in its module."""
        return self.function.partition(":")[2]

    def right(self) -> Callable:
        """Return minift's own function."""
        found: Any = self.module
        for part in self.path.split("."):
            found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
        return found

    def source(self) -> str:
        """Return the text of minift's own function, without indentation."""
        return textwrap.dedent(inspect.getsource(self.right()))

    def wrong(self, mistake: Mistake) -> Callable:
        """Return minift's own function with a mistake in it."""
        source = self.source()
        if mistake.right not in source:
            raise ValueError(f"{self.name}: the source has no {mistake.right!r}")
        return self.compiled(source.replace(mistake.right, mistake.wrong, 1))

    def compiled(self, source: str) -> Callable:
        """Run the text of a function where minift's own stands."""
        names = dict(vars(self.module))
        exec(compile(source, f"<{self.name}>", "exec"), names)
        return names[self.path.rpartition(".")[2]]


def skeleton(exercise: Exercise) -> str:
    """Return the file that a learner starts from: what the function may use, its signature and docstring, no body."""
    source = exercise.source()
    function = ast.parse(source).body[0]
    lines = source.splitlines()
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    head = lines[: first.end_lineno if has_docstring else first.lineno - 1]
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    used |= {
        node.value.id for node in ast.walk(function) if isinstance(node, ast.Attribute) and hasattr(node.value, "id")
    }
    text = [
        f'"""Exercise {exercise.name}: {exercise.title}',
        "",
        f"Check it with: minift exercise check {exercise.name}",
    ]
    text += ["Stuck? minift exercise hint", '"""', "", *imports(exercise.module, used), "", ""]
    return "\n".join([*text, *head, f"    {TODO}", ""])


def imports(module: ModuleType, used: set[str]) -> list[str]:
    """Return import lines for the names that a function of the module uses."""
    tree, lines, found = ast.parse(inspect.getsource(module)), [], set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in used]
            found |= {alias.asname or alias.name for alias in names}
            if names:
                lines.append(ast.unparse(type(node)(**{**vars(node), "names": names})))
    own = sorted(
        name for name in used - found if getattr(vars(module).get(name), "__module__", None) == module.__name__
    )
    own += sorted(name for name in used - found if name.isupper() and name in vars(module))
    return lines + ([f"from {module.__name__} import {', '.join(own)}"] if own else [])
