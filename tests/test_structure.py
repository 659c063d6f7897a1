"""The house rules of DESIGN section 1, read off the source: every import in the tree, lazy and type-only ones too."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import minift

PACKAGE = Path(minift.__file__).parent
ROOT = PACKAGE.parent

# The rooms from the top of the house to the bottom. A room knows those of the rows below it, and none beside it.
ROWS = [
    ["cli"],
    ["tour", "demo", "crosscheck", "libraries"],
    ["tf"],
    ["tasks", "pipelines", "accelerator"],
    ["loop", "train"],
    ["fast", "distributed"],
    ["batches", "report"],
    ["tokenizer", "data", "model"],
    ["optim", "metrics", "files", "hub", "tensors"],
    ["ranges"],
]
ROW_OF = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
# The rooms that a reader meets first: no name of the fast path occurs in them.
PLAIN = ["loop", "model", "optim", "batches"]
# Imports against the current, at most three: (from, to), each with its reason.
DOORS = {
    ("data.dataset", "tf.batches"): "Dataset.to_tf_dataset, a method of datasets' own",
    (
        "train.accelerator",
        "accelerator.accelerator",
    ): "where Accelerator stood, for scripts that import it",
    ("*", "libraries.keywords"): "a table that decorates functions of every room, and imports none",
}
LINES = 400


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its name without "minift.", as a syntax tree."""
    return {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(file.read_text())
        for file in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of the package that a module imports anywhere in it; a relative import is an error."""
    found = set()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: a relative import"
            if node.module == "minift":
                found |= {alias.name for alias in node.names if alias.name in modules()}
            elif (node.module or "").startswith("minift."):
                module = node.module.removeprefix("minift.")
                parts = {f"{module}.{alias.name}" for alias in node.names} & modules().keys()
                found |= parts or {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("minift.") for alias in node.names if alias.name.startswith("minift.")}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            found |= {
                text.removeprefix("minift.") for text in texts if str(text).startswith("minift.")
            } & modules().keys()
    return frozenset(found - {name})


def room_of(name: str) -> str:
    return name.partition(".")[0]


def is_door(source: str, target: str) -> bool:
    return (source, target) in DOORS or ("*", target) in DOORS


def edges() -> Iterator[tuple[str, str]]:
    for name in modules():
        yield from ((name, target) for target in sorted(imports(name)) if not is_door(name, target))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one node (Tarjan, 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_circle():
    graph = {name: set() for name in modules()}
    for source, target in edges():
        graph[source].add(target)
    assert circles(graph) == []


def test_no_circle_in_the_benchmarks():
    files = {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in (ROOT / "benchmarks").rglob("*.py")}
    graph = {}
    for name, file in files.items():
        found = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = found & files.keys() - {name}
    assert circles(graph) == []


def test_every_room_has_its_row():
    rooms = {room_of(name) for name in modules()} - {"", "minift", "__init__", "__main__"}
    assert rooms <= ROW_OF.keys()


def test_imports_run_downward():
    wrong = [
        f"{source} -> {target}"
        for source, target in edges()
        if room_of(source) in ROW_OF and room_of(source) != room_of(target)
        if ROW_OF[room_of(target)] <= ROW_OF[room_of(source)]
    ]
    assert wrong == []


def test_the_doors_are_few_and_used():
    assert len(DOORS) <= 3
    for source, target in DOORS:
        sources = modules() if source == "*" else [source]
        assert any(target in imports(name) for name in sources), f"nobody goes from {source} to {target}"
    assert not imports("libraries.keywords")


def names_of_the_fast_path() -> set[str]:
    """What its files define at their top, and the settings that switch it on."""
    defined = {
        node.name
        for name, tree in modules().items()
        if room_of(name) == "fast"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    plain = {
        node.name
        for name, tree in modules().items()
        if room_of(name) in PLAIN
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }  # a fast class may have the name of the plain one that it extends
    settings = {"padding_free", "sparse_mlm_head", "fast_dropout", "keep_memory", "clip_in_update", "first_only"}
    return (defined - plain) | settings


def test_the_plain_rooms_do_not_know_the_fast_path():
    fast, wrong = names_of_the_fast_path(), []
    assert len(fast) > 6
    for name, tree in modules().items():
        if room_of(name) not in PLAIN:
            continue
        for node in ast.walk(tree):
            used = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "arg", None)}
            used |= {getattr(node, "name", None)}
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= set(node.value.replace("`", " ").replace(".", " ").split())
            wrong += [f"{name}, line {getattr(node, 'lineno', '?')}: {found}" for found in used & fast]
        wrong += [f"{name} imports {target}" for target in imports(name) if room_of(target) == "fast"]
    assert wrong == []


def test_no_file_is_long():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    long = {
        str(file.relative_to(ROOT)): count for file in files if (count := len(file.read_text().splitlines())) > LINES
    }
    assert long == {}


def test_chapters_are_short_and_every_room_has_one():
    rooms = [folder for folder in PACKAGE.rglob("*") if folder.is_dir() and (folder / "__init__.py").is_file()]
    missing = [str(room.relative_to(ROOT)) for room in rooms if not (room / "README.md").is_file()]
    assert missing == []
    assert [str(room) for room in rooms if len((room / "README.md").read_text().splitlines()) > 120] == []


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MUTATORS = ["append", "add", "update", "pop", "popitem", "remove", "discard", "clear", "extend", "insert", "setdefault"]


def changes(function: ast.AST, top: set[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, name) for each `global` of a function, and each name of the module's top that it changes."""
    nodes = list(ast.walk(function))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Global):
            yield from ((node.lineno, name) for name in node.names)
        owner = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            owner = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node.value
        if isinstance(owner, ast.Name) and owner.id in top - bound:
            yield node.lineno, owner.id


def test_no_module_holds_state_that_changes():
    wrong = []
    for name, tree in modules().items():
        top = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
        wrong += [f"{name}, line {line}: {found}" for node in functions for line, found in changes(node, top)]
    assert sorted(set(wrong)) == []


NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # Python's own public names of a named tuple


def test_nobody_reaches_into_anothers_underscored_attributes():
    wrong = []
    for name, tree in modules().items():
        imported = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
                continue
            if node.attr.endswith("__") or node.attr in NAMED_TUPLES:
                continue
            owner = node.value
            while isinstance(owner, ast.Attribute):
                owner = owner.value
            is_super = isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super"
            if not is_super and getattr(owner, "id", "") not in {"self", "cls", *imported}:
                wrong.append(f"{name}, line {node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def assigned(cls: type) -> set[str]:
    """The attributes that a class's own methods set on `self`, and those that its body names."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # built in
        return set()
    found = {target.id for node in tree.body[0].body if isinstance(node, ast.AnnAssign) for target in [node.target]}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and getattr(node.value, "id", "") == "self"
        ):
            found.add(node.attr)
    return found


def needed(cls: type) -> set[str]:
    """The attributes that a class's own methods read from `self`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and getattr(node.value, "id", "") == "self"
    }


@pytest.mark.parametrize("name", [name for name in modules() if name and not name.endswith("__main__")])
def test_a_method_needs_only_what_its_own_class_sets(name):
    module = importlib.import_module(f"minift.{name}")
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__ or "__getattr__" in vars(cls):
            continue
        if issubclass(cls, tuple):  # a named tuple
            continue
        known = set().union(*(assigned(base) for base in cls.__mro__))
        lacking = {attribute for attribute in needed(cls) - known if not hasattr(cls, attribute)}
        assert not lacking, f"{cls.__name__} reads what it does not set: {sorted(lacking)}"
