"""Writes that happen whole or not at all, and JSON whose errors name the file."""

import pytest

from minift.files import atomic_path, check_writable, read_json, write_json


def test_a_file_replaces_a_file_and_a_folder_a_folder(tmp_path):
    for content in ("first", "second"):
        with atomic_path(tmp_path / "file") as fresh:
            fresh.write_text(content)
        with atomic_path(tmp_path / "folder") as fresh:
            fresh.mkdir()
            (fresh / content).touch()
    assert (tmp_path / "file").read_text() == "second"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second"]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("kept")

    def fail():
        with atomic_path(tmp_path / "file") as fresh:
            fresh.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert (tmp_path / "file").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_file_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious").touch()
    with pytest.raises(IsADirectoryError, match="results is a folder"):
        write_json(tmp_path / "results", {})
    assert (tmp_path / "results" / "precious").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_json(tmp_path):
    write_json(tmp_path / "new" / "file.json", {"b": 1, "a": [2]})
    assert read_json(tmp_path / "new" / "file.json") == {"a": [2], "b": 1}
    (tmp_path / "cut.json").write_text('{"a": ')
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name in ("cut.json", "binary.json"):
        with pytest.raises(ValueError, match=f"{name} is not valid JSON"):
            read_json(tmp_path / name)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        check_writable(tmp_path / "file" / "below")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_or_put_back(tmp_path, monkeypatch, can_exchange):
    """In one step where the system can; in two where it cannot, and when the second fails the old one is there."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()
    if not can_exchange:
        monkeypatch.setattr("minift.files.exchange", lambda one, other: False)
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        (fresh / "new").touch()
    assert [file.name for file in folder.iterdir()] == ["new"]

    def full(source, target):
        raise OSError("no space left")

    monkeypatch.setattr("minift.files.exchange", lambda one, other: False)
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"), atomic_path(folder) as fresh:
        fresh.mkdir()
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]
