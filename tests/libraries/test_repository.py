"""`huggingface_hub.Repository` as the course's pages use it, under `minift run`."""

import pytest

from minift.libraries.repository import Repository
from tests.loopback_upload import WRITE, upload_hub

__all__ = ["upload_hub"]  # a fixture

SCRIPT = """
from huggingface_hub import Repository, get_full_repo_name
name = get_full_repo_name("mine", token={token!r})
assert name == "me/mine", name
repo = Repository({folder!r}, clone_from=name, token={token!r})
open({folder!r} + "/README.md", "w").write("first")
repo.push_to_hub(commit_message="Training in progress epoch 0", blocking=False)
again = Repository({folder!r} + "-again", clone_from=name, token={token!r})
assert open({folder!r} + "-again/README.md").read() == "first"
with again.commit("second"):
    open({folder!r} + "-again/more.txt", "w").write("more")
"""
RUN = """
from pathlib import Path
from minift.libraries.run import run
Path({script!r}).write_text({code!r})
assert run({script!r}) == 0
import huggingface_hub
assert not hasattr(huggingface_hub, "Repository")
"""


def test_as_on_the_page(upload_hub, tmp_path):
    code = SCRIPT.format(folder=str(tmp_path / "out"), token=WRITE)
    upload_hub.run(RUN.format(script=str(tmp_path / "script.py"), code=code), tmp_path / "cache")
    assert upload_hub.commits == [
        ("me/mine", "Training in progress epoch 0", ["README.md"]),
        ("me/mine", "second", ["README.md", "more.txt"]),
    ]


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not support skip_lfs_files"):
        Repository(tmp_path, skip_lfs_files=True)
    with pytest.raises(ValueError, match="does not support revision='v2'"):
        Repository(tmp_path, revision="v2")
    with pytest.raises(ValueError, match="needs clone_from="):
        Repository(tmp_path).push_to_hub()
