"""CSV files as pandas reads them, on pyarrow: each cell is text first, and all cells of a column decide its type."""

import csv
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from minift.data.cast import cast_array
from minift.data.compressed import read_bytes
from minift.data.features import ClassLabel, Feature, Features, arrow_type
from minift.data.from_arrow import is_text

# cells that pandas takes for a missing value (pandas._libs.parsers.STR_NA_VALUES)
MISSING = [
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
]
INTEGER = r"^[+-]?\d+$"
FLOAT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?([iI][nN][fF]([iI][nN][iI][tT][yY])?)$"
BOOLEAN = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
BLOCK = 1 << 20  # bytes that pyarrow reads at once; a row must fit in one


@dataclass(frozen=True)
class CsvOptions:
    """The options of `load_dataset("csv", …)` that are supported, with their meaning in `pandas.read_csv`."""

    sep: str = ","
    delimiter: str | None = None  # the same, and it goes first
    header: int | str | None = "infer"  # the line of the names; None: no line; "infer": the first, without `names`
    names: Sequence[str] | None = None
    column_names: Sequence[str] | None = None  # the same, and it goes first
    usecols: Sequence[int | str] | Callable[[str], bool] | None = None
    skiprows: int | Sequence[int] | None = None  # so many lines at the start, or the lines of these numbers
    nrows: int | None = None
    na_values: str | Sequence[str] | None = None  # more cells that are missing values
    keep_default_na: bool = True
    na_filter: bool = True  # False: nothing is missing
    quotechar: str = '"'
    quoting: int = csv.QUOTE_MINIMAL
    doublequote: bool = True
    escapechar: str | None = None
    encoding: str | None = None  # None: UTF-8
    encoding_errors: str = "strict"
    on_bad_lines: str = "error"  # lines with too many cells: "error", "warn" or "skip"

    def __post_init__(self) -> None:
        if self.on_bad_lines not in ("error", "warn", "skip"):
            raise ValueError(f"on_bad_lines={self.on_bad_lines!r}: expected 'error', 'warn' or 'skip'")
        if not (self.header in (None, "infer") or isinstance(self.header, int)):
            raise ValueError(f"header={self.header!r} is not supported: expected the number of a line, None or 'infer'")
        if len(self.delimiter or self.sep) != 1:
            raise ValueError(f"sep={self.delimiter or self.sep!r} is not supported: expected one character")

    @property
    def dialect(self) -> dict:
        """How Python's `csv` splits a line."""
        split = {"delimiter": self.delimiter or self.sep, "quotechar": self.quotechar, "quoting": self.quoting}
        return {**split, "doublequote": self.doublequote, "escapechar": self.escapechar}

    @property
    def missing(self) -> list[str]:
        if not self.na_filter:
            return []
        more = [self.na_values] if isinstance(self.na_values, str) else [str(value) for value in self.na_values or []]
        return [*(MISSING if self.keep_default_na else []), *more]


CSV_OPTIONS = [field.name for field in fields(CsvOptions)]


def read_csv_table(file: Path, features: Features | None, options: CsvOptions) -> pa.Table:
    """Read a whole file; a column that `features` calls text keeps the text of the file, `007` or `1.50`.

    Without features, a column holds integers (int64, or uint64), floats, booleans or text, whichever all its cells are;
    integers with missing values are floats, dates are text. A ValueError says what cannot be read.
    """
    data, encoding = read_bytes(file), options.encoding or "utf-8-sig"
    try:
        text = data.decode(encoding, options.encoding_errors)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not {options.encoding or 'UTF-8'} text; pass encoding=") from error
    with long_cells(text):
        header, body = _lines(text, options)
    wanted = _wanted(header, options)
    table = _parse_fast(body, header, options) or _parse_slow(body, header, options)
    table = table.select(wanted)
    return pa.table({name: _typed(table[name], (features or {}).get(name)) for name in wanted})


def _lines(text: str, options: CsvOptions) -> tuple[list[str], str]:
    """Take the names of the columns, and the text of the rows below them."""
    skipped = options.skiprows if options.skiprows is not None else 0
    skip = range(skipped) if isinstance(skipped, int) else set(skipped)
    if skip:
        lines = io.StringIO(text, newline="")
        text = "".join(line for number, line in enumerate(lines) if number not in skip)
    names = options.column_names or options.names
    header = (None if names else 0) if options.header == "infer" else options.header
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, **options.dialect)
    rows = (row for row in reader if row)
    found: list[str] = []
    start = 0
    if header is not None:
        for number, row in enumerate(rows):
            if number == header:
                found, start = row, reader.line_num
                break
        else:
            raise ValueError("it is empty: expected a line with the names of the columns")
    rest = "".join(io.StringIO(text, newline="").readlines()[start:]) if start else text
    if names is None and header is None:
        names = [
            str(number) for number in range(len(next(csv.reader(io.StringIO(rest, newline=""), **options.dialect), [])))
        ]
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"names={list(names)}: a name occurs twice")
    return list(names) if names is not None else _distinct(found), rest


def _distinct(header: Iterable[str]) -> list[str]:
    """Give each column a name of its own: `Unnamed: 0` for none, `t.1` for the second `t`."""
    names: list[str] = []
    header = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
    for name in header:
        spellings = (name if i == 0 else f"{name}.{i}" for i in count())
        names.append(next(new for new in spellings if new not in names and (new == name or new not in header)))
    return names


def _wanted(header: list[str], options: CsvOptions) -> list[str]:
    """The columns to read, in their order: those of `usecols`."""
    names = header
    if callable(options.usecols):
        names = [name for name in header if options.usecols(name)]
    elif options.usecols is not None:
        chosen = {header[column] if isinstance(column, int) else column for column in options.usecols}
        if unknown := chosen - set(header):
            raise ValueError(f"usecols: there is no column {sorted(unknown)[0]!r}; it has {header}")
        names = [name for name in header if name in chosen]
    return names


def _parse_fast(body: str, header: list[str], options: CsvOptions) -> pa.Table | None:
    """Split the rows by pyarrow; None if it cannot, as where rows are too short or too long."""
    if options.nrows is not None or options.quoting not in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL) or not body.strip():
        return None
    split = options.dialect
    parse = pa.csv.ParseOptions(
        delimiter=split["delimiter"],
        quote_char=split["quotechar"],
        double_quote=split["doublequote"],
        escape_char=split["escapechar"] or False,
        newlines_in_values=True,
    )
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=options.missing, strings_can_be_null=True
    )
    data = pa.py_buffer(body.encode())
    for block in (BLOCK, data.size + 1):  # the whole file, if it has a longer row
        read = pa.csv.ReadOptions(column_names=header, block_size=min(block, 2**31 - 1))
        try:
            return pa.csv.read_csv(pa.BufferReader(data), read, parse, convert)
        except pa.ArrowInvalid:
            continue
    return None


@contextmanager
def long_cells(text: str) -> Iterator[None]:
    """Let a cell be as long as `text`; what Python's `csv` cannot read is a ValueError."""
    limit = csv.field_size_limit(len(text) + 1)
    try:
        yield
    except csv.Error as error:
        raise ValueError(str(error)) from error
    finally:
        csv.field_size_limit(limit)


def _parse_slow(body: str, header: list[str], options: CsvOptions) -> pa.Table:
    """Split the rows by Python's `csv`: cells that a short row lacks are missing."""
    missing, rows = set(options.missing), []
    with long_cells(body):
        reader = csv.reader(io.StringIO(body, newline=""), **options.dialect)
        for row in reader:
            if options.nrows is not None and len(rows) == options.nrows:
                break
            if len(row) > len(header):
                said = f"line {reader.line_num} below the header has {len(row)} cells; expected {len(header)}"
                if options.on_bad_lines == "error":
                    raise ValueError(f"{said}; on_bad_lines='skip' leaves such lines out")
                if options.on_bad_lines == "warn":
                    warnings.warn(f"{said}: it is left out", stacklevel=2)
            elif row:
                rows.append([None if cell in missing else cell for cell in row] + [None] * (len(header) - len(row)))
    columns = zip(*rows, strict=True) if rows else [[]] * len(header)
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in zip(header, columns, strict=True)})


def _typed(cells: pa.ChunkedArray, feature: Feature | None) -> pa.ChunkedArray:
    """Convert the text of a column to its type."""
    if isinstance(feature, ClassLabel) or (feature is not None and is_text(arrow_type(feature))):
        return cast_array(cells, feature)
    values = _inferred(cells)
    return values if feature is None else cast_array(values, feature)


def _inferred(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if cells.null_count == len(cells):
        return cells.cast(pa.float64())  # as pandas has it: all NaN
    trimmed = pc.ascii_trim_whitespace(cells)

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(trimmed, pattern)).as_py())

    if all_match(INTEGER):
        digits = pc.replace_substring_regex(trimmed, r"^\+", "")
        for type_ in (pa.int64(), pa.uint64()):
            try:
                numbers = digits.cast(type_)
            except pa.ArrowInvalid:  # too large
                continue
            if not cells.null_count:
                return numbers
            return numbers.cast(pa.float64(), safe=False) if type_ == pa.int64() else cells
        return cells
    if all_match(FLOAT):
        return pc.replace_substring_regex(trimmed, r"^\+", "").cast(pa.float64())
    if pc.all(pc.is_in(cells, pa.array(BOOLEAN), skip_nulls=False).filter(cells.is_valid())).as_py():
        return pa.chunked_array([pa.array([BOOLEAN.get(cell) for cell in cells.to_pylist()], pa.bool_())])
    return cells
