"""TensorBoard's event files, written by hand: numbers, texts and histograms by step.

A file is a row of records (tensorflow/core/lib/io/record_writer.cc): the length of the data (8 bytes), its checksum,
the data, its checksum. The data of a record is an `Event` message in the wire format of Protocol Buffers
(tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto): fields, each a number and a kind, and then
a value of that kind. A message inside a message is a field of bytes.
"""

import os
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # the kinds of fields
DT_STRING = 7
POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), its bits reversed


def crc_table() -> list[int]:
    """Return the checksums of the 256 bytes."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


CRC = crc_table()


def masked_crc(data: bytes) -> bytes:
    """Return the checksum CRC-32C of some bytes, rotated and shifted as TensorFlow stores it: 4 bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(number: int) -> bytes:
    """Write a whole number, 7 bits a byte, the lowest first; the top bit says that more follow."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def field(number: int, value: bytes | str | int | float, kind: int = BYTES) -> bytes:
    """Write a field: its number and kind, and the value."""
    key = varint(number << 3 | kind)
    if kind == VARINT:
        return key + varint(value)
    if kind in (FIXED64, FIXED32):
        return key + struct.pack("<d" if kind == FIXED64 else "<f", value)
    data = value.encode() if isinstance(value, str) else value
    return key + varint(len(data)) + data


class EventFile:
    """A new event file in a folder, which is made; to be closed.

    Each call writes one record and flushes it, so that TensorBoard shows it at once, and a killed run keeps it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000}.{socket.gethostname()}.{os.getpid()}"
        self.file = open(self.folder / name, "xb")  # noqa: SIM115 - open as long as the run
        self.write(field(3, "brain.Event:2"))  # the version comes first

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number."""
        self.add(field(1, tag) + field(2, float(value), FIXED32), step)

    def add_text(self, tag: str, text: str, step: int = 0) -> None:
        """Write a text, which TensorBoard shows as Markdown."""
        one = field(2, field(1, 1, VARINT))  # the shape: one dimension, of size 1
        tensor = field(1, DT_STRING, VARINT) + field(2, one) + field(8, text)
        metadata = field(1, field(1, "text"))  # the plugin that shows it
        self.add(field(1, f"{tag}/text_summary") + field(9, metadata) + field(8, tensor), step)

    def add_histogram(self, tag: str, values: Iterable[float], step: int, bins: int = 30) -> None:
        """Write how values are spread: their number in each of some equally wide bins."""
        x = np.asarray(list(values), dtype=np.float64)
        if not len(x) or not np.isfinite(x).all():
            raise ValueError(f"{tag}: expected some finite numbers")
        counts, edges = np.histogram(x, bins)
        numbers = (x.min(), x.max(), len(x), x.sum(), (x * x).sum())
        histogram = b"".join(field(place, float(number), FIXED64) for place, number in enumerate(numbers, 1))
        histogram += field(6, edges[1:].astype("<f8").tobytes()) + field(7, counts.astype("<f8").tobytes())
        self.add(field(1, tag) + field(5, histogram), step)

    def add(self, value: bytes, step: int) -> None:
        self.write(field(2, int(step), VARINT) + field(5, field(1, value)))

    def write(self, event: bytes) -> None:
        event = field(1, time.time(), FIXED64) + event
        length = struct.pack("<Q", len(event))
        self.file.write(length + masked_crc(length) + event + masked_crc(event))
        self.file.flush()

    def close(self) -> None:
        self.file.close()
