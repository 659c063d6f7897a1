"""Mutated files of every format: the right answer, an error that is documented, or other values; nothing else.

Each mutant is read in a process of its own, which is forked: it may not die of a signal, hang, or take much memory.
"""

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import time
import traceback
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

import minift
from tests.ranks.launch import ROOT, environment
from tests.tiny import tiny_model

SECONDS, KIB = 5, 2**20  # what reading may take: 5 s and 1 GiB
ROWS = 30
COLUMNS = {
    "text": [f"a film {i}" for i in range(ROWS)],
    "ids": [[i, i + 1] for i in range(ROWS)],
    "nested": [{"a": i, "b": [str(i)]} for i in range(ROWS)],
    "lists": [[[i], []] for i in range(ROWS)],
    "share": [i / 3 for i in range(ROWS)],
    "flag": [i % 2 == 0 for i in range(ROWS)],
    "none": [None if i % 3 else "x" for i in range(ROWS)],
    "when": [datetime(2020, 1, 1)] * ROWS,
}
FLAT = {"text": COLUMNS["text"], "label": [i % 2 for i in range(ROWS)]}


def make_arrow(folder):
    minift.Dataset.from_dict(COLUMNS).save_to_disk(folder / "saved")
    return folder / "saved" / "data-00000-of-00001.arrow"


def make_parquet(folder):
    minift.Dataset.from_dict(COLUMNS).to_parquet(str(folder / "rows.parquet"))
    return folder / "rows.parquet"


def make_csv(folder):
    minift.Dataset.from_dict(FLAT).to_csv(str(folder / "rows.csv"))
    return folder / "rows.csv"


def make_json(folder):
    minift.Dataset.from_dict(FLAT).to_json(str(folder / "rows.json"))
    return folder / "rows.json"


def make_state(folder):
    make_arrow(folder)
    return folder / "saved" / "state.json"


def make_info(folder):
    make_arrow(folder)
    return folder / "saved" / "dataset_info.json"


def make_readme(folder):
    make_csv(folder)
    lines = ["---", "configs:", "- config_name: default", "  data_files:", "  - split: train", "    path: rows.csv"]
    (folder / "README.md").write_text("\n".join([*lines, "---"]))
    return folder / "README.md"


def make_weights(folder):
    tiny_model().save_pretrained(folder)
    return folder / "model.safetensors"


def make_config(folder):
    tiny_model().save_pretrained(folder)
    return folder / "config.json"


def make_tokenizer(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "1", "2", "3", "##s", "##ed"]
    (folder / "vocab.txt").write_text("\n".join(words))
    minift.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder / "tokenizer.json"


def make_tokenizer_config(folder):
    make_tokenizer(folder)
    return folder / "tokenizer_config.json"


def make_trainer_state(folder):
    minift.TrainerState(global_step=3, log_history=[{"loss": 0.5, "step": 3}]).save_to_json(
        str(folder / "trainer_state.json")
    )
    return folder / "trainer_state.json"


def rows_of(dataset):
    return dataset.column_names, list(dataset)


# format -> how its file is made, how it is read, and whether a mutant may have other names and counts in silence
FORMATS = {
    "arrow": (make_arrow, lambda file: rows_of(minift.load_from_disk(str(file.parent))), False),
    "parquet": (make_parquet, lambda file: rows_of(minift.Dataset.from_parquet(str(file))), True),
    "csv": (make_csv, lambda file: rows_of(minift.Dataset.from_csv(str(file))), True),
    "json": (make_json, lambda file: rows_of(minift.Dataset.from_json(str(file))), True),
    "state": (make_state, lambda file: rows_of(minift.load_from_disk(str(file.parent))), False),
    "info": (make_info, lambda file: rows_of(minift.load_from_disk(str(file.parent))), False),
    "readme": (make_readme, lambda file: minift.load_dataset(str(file.parent)).num_rows, True),
    "weights": (make_weights, lambda file: shapes(minift.AutoModel.from_pretrained(file.parent)), True),
    "config": (make_config, lambda file: minift.AutoConfig.from_pretrained(file.parent).to_dict(), True),
    "tokenizer": (make_tokenizer, lambda file: minift.AutoTokenizer.from_pretrained(file.parent)("a films 1"), True),
    "tokenizer_config": (
        make_tokenizer_config,
        lambda file: minift.AutoTokenizer.from_pretrained(file.parent)("a"),
        True,
    ),
    "trainer_state": (make_trainer_state, lambda file: minift.TrainerState.load_from_json(str(file)), True),
}


# What falls short: pyarrow takes the size of a page from its header, so that about 1 mutant in 1,700 takes much memory.
KNOWN = {"parquet": {"memory", "slow"}}


def shapes(model):
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def mutant(good, draw):
    """A bit, a byte, a number or a run of bytes changed; or a piece cut out, doubled, or the end cut off."""
    data, place = bytearray(good), draw.randrange(len(good))
    kind = draw.randrange(7)
    if kind == 0:
        data[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        data[place] = draw.randrange(256)
    elif kind == 2:
        place -= place % 4
        data[place : place + 4] = struct.pack("<i", draw.choice([0x7F000000, -1, 2**31 - 1, len(good), 1000]))
    elif kind == 3:
        place -= place % 8
        data[place : place + 8] = struct.pack("<q", draw.choice([2**62, -1, 2**40, 2 * len(good)]))
    elif kind == 4:
        del data[place : place + draw.randrange(1, 40)]
    elif kind == 5:
        piece = data[place : place + draw.randrange(1, 40)]
        data[place:place] = piece * draw.choice([1, 1, 50])
    else:
        data = data[:place]
    return bytes(data)


NESTED = b"[" * 100_000
ODD = [
    b"",
    b"\0",
    b"\xff\xfe\0",
    b"null",
    b"[]",
    b"{}",
    b"1e999",
    b'{"a": NaN}',
    NESTED,
    b'{"a":' * 50_000,
    b"---\n" + b"a: [" * 9000,
]


def outcome(read, file, good):
    """Read in a forked process; says what became of it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, which the child has, too
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            os.dup2(os.open(file.with_name("trace.txt"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS))
            found = read(file)
            code = 0 if str(found) == str(good) else 1
            if code == 1 and isinstance(found, tuple) and (found[0], len(found[1])) != (good[0], len(good[1])):
                code = 3
        except (ValueError, OSError):
            code = 2
        except BaseException:
            traceback.print_exc()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > before + KIB:
            code = 8
        os._exit(code)
    started = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if time.monotonic() - started > SECONDS:
        return "slow"
    names = {0: "same", 1: "other values", 2: "error", 3: "other rows or names", 8: "memory", 9: "other exception"}
    return names.get(status, f"signal {-status}")


def fuzz(name, folder, seed, count):
    """Read `count` mutants, and files that are something else altogether."""
    make, read, other_rows = FORMATS[name]
    draw = random.Random(f"{name}{seed}")
    (folder / "good").mkdir()
    file = make(folder / "good")
    good, whole = read(file), file.read_bytes()
    found, wrong = Counter(), []
    for number in range(count + len(ODD)):
        data = ODD[number - count] if number >= count else mutant(whole, draw)
        file.write_bytes(data)
        result = outcome(read, file, good)
        found[result] += 1
        allowed = {"same", "other values", "error"} | ({"other rows or names"} if other_rows else set())
        allowed |= KNOWN.get(name, set())
        if result not in allowed:
            trace = file.with_name("trace.txt").read_text()[-600:]
            wrong.append(f"{name}, mutant {number}: {result}\n{trace}")
    shutil.rmtree(folder / "good")
    print(json.dumps({name: found}))
    return wrong


def fuzz_in_a_small_process(folder, seed, count, *names):
    """A fork of a process of its own takes 10 ms, of this one many times that."""
    command = (sys.executable, "-m", "tests.test_damaged_files", str(folder), str(seed), str(count), *names)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout[-3000:] + done.stderr[-3000:]


def test_forty_mutants_of_each(tmp_path):
    fuzz_in_a_small_process(tmp_path, 0, 40, *FORMATS)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_twenty_thousand_mutants_of_all(name, tmp_path):
    fuzz_in_a_small_process(tmp_path, 1, 20_000 // len(FORMATS), name)


if __name__ == "__main__":
    folder, seed, count, *names = sys.argv[1:]
    print([wrong for name in names for wrong in fuzz(name, Path(folder), int(seed), int(count))])
