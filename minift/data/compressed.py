"""The bytes of a data file, unpacked if its name says that it is packed: `.gz`, `.bz2`, `.xz`, `.zst`, `.zip`."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa


def _unzip(data: bytes) -> bytes:
    with zipfile.ZipFile(pa.BufferReader(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise ValueError(f"the archive holds {len(names)} files; expected one")
        return archive.read(names[0])


def _unzstd(data: bytes) -> bytes:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _unzstd,
    ".zip": _unzip,
}


def read_bytes(file: Path) -> bytes:
    """Read a whole file; a ValueError says that it is not packed as its name says, or that its end is missing."""
    data = file.read_bytes()
    try:
        return UNPACK[file.suffix](data) if file.suffix in UNPACK else data
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise ValueError(f"not a complete {file.suffix} file: {error}") from error


def inner_suffix(file: Path) -> str:
    """The ending of a file's name, without the one that says how it is packed: `.csv` of `reviews.csv.gz`."""
    return Path(file.stem).suffix if file.suffix in UNPACK else file.suffix
