"""Event files, read back by TensorBoard itself: numbers, texts, histograms; and the parts of the format."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from minift.report.event_file import EventFile, field, masked_crc, varint


def read_events(folder):
    """What TensorBoard finds in a folder: numbers by tag and step, and texts by tag."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}).Reload()
    scalars = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    texts = {tag: found.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in found.Tags()["tensors"]}
    return scalars, texts


def test_what_is_written_is_read(tmp_path):
    events = EventFile(tmp_path / "a" / "b")
    for step in (1, 2, 300, 2**40):
        events.add_scalar("train/loss", 1 / step, step)
    events.add_text("note", "Grüße, **fett**\n" * 50, 7)
    events.add_histogram("weights", np.arange(100.0), 2, bins=10)
    scalars, texts = read_events(tmp_path / "a" / "b")  # before it is closed: each record is there at once
    assert scalars == {"train/loss": [(step, np.float32(1 / step)) for step in (1, 2, 300, 2**40)]}
    assert texts == {"note/text_summary": "Grüße, **fett**\n" * 50}
    events.close()
    found = EventAccumulator(str(tmp_path / "a" / "b")).Reload()
    histogram = found.Histograms("weights")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (0, 99, 100, 4950)
    assert sum(histogram.bucket) == 100
    metadata = found.SummaryMetadata("note/text_summary")
    assert metadata.plugin_data.plugin_name == "text"


@given(st.binary(max_size=300))
def test_checksums_are_tensorboards(data):
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    assert int.from_bytes(masked_crc(data), "little") == masked_crc32c(data)


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers(number):
    written = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written)) == number
    assert [byte >> 7 for byte in written] == [1] * (len(written) - 1) + [0]


def test_fields():
    assert field(1, "ab") == b"\x0a\x02ab"
    assert field(2, 300, 0) == b"\x10\xac\x02"


def test_bad_numbers(tmp_path):
    events = EventFile(tmp_path)
    for values in ([], [np.nan]):
        with pytest.raises(ValueError, match="weights: expected some finite numbers"):
            events.add_histogram("weights", values, 1)
