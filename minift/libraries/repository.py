"""`huggingface_hub.Repository`, which the course's pages use and today's huggingface_hub has no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub

from minift.hub import create_repository, upload_folder


class Repository:
    """A folder that goes to a repository of the Hub: over the Hub's protocol, without git.

    Source: huggingface_hub 0.36, repository.py.

    Args:
        local_dir: the folder; made if it does not exist.
        clone_from: the repository, which is created if it does not exist; its files come into the folder.
        repo_type: model (None) or dataset.
        token: None takes the one that huggingface_hub has stored.
    """

    def __init__(
        self,
        local_dir: str | Path,
        clone_from: str | None = None,
        repo_type: str | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **unsupported: Any,
    ) -> None:
        unsupported = {name: value for name, value in unsupported.items() if value not in (None, False)}
        unsupported.pop("git_user", None), unsupported.pop("git_email", None)  # there is no git
        if unsupported or revision not in (None, "main"):
            raise ValueError(f"Repository does not support {', '.join(unsupported) or f'revision={revision!r}'}")
        self.local_dir, self.repo_type = str(local_dir), repo_type or "model"
        self.token, self.private, self.message = token, private, "commit files to HF hub"
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        self.repo_id = None
        if clone_from is not None:
            self.repo_id = create_repository(clone_from, self.repo_type, private, token)
            self.git_pull()

    def git_pull(self, *args: Any, **options: Any) -> None:
        """Bring the repository's files into the folder."""
        huggingface_hub.snapshot_download(
            self.named(), repo_type=self.repo_type, token=self.token, local_dir=self.local_dir
        )

    def git_add(self, pattern: str = ".", auto_lfs_track: bool = False) -> None:
        """Do nothing: all files of the folder are uploaded."""

    def git_commit(self, commit_message: str = "commit files to HF hub") -> None:
        """Keep the message for `git_push`."""
        self.message = commit_message

    def git_push(self, upstream: str | None = None, blocking: bool = True, auto_lfs_prune: bool = False) -> str:
        """Upload the folder; it has ended when this returns, also with ``blocking=False``."""
        options = {"repo_type": self.repo_type, "token": self.token, "private": self.private}
        ignored = [".cache/*", ".git/*"]
        return upload_folder(
            self.local_dir, self.named(), commit_message=self.message, ignore_patterns=ignored, **options
        )

    def push_to_hub(
        self,
        commit_message: str = "commit files to HF hub",
        blocking: bool = True,
        clean_ok: bool = True,
        auto_lfs_prune: bool = False,
    ) -> str:
        """Upload the folder; return the commit's address."""
        self.git_commit(commit_message)
        return self.git_push()

    @contextmanager
    def commit(self, commit_message: str, blocking: bool = True, **options: Any) -> Iterator["Repository"]:
        """Upload what the `with` block has written to the folder."""
        yield self
        self.push_to_hub(commit_message)

    def named(self) -> str:
        if self.repo_id is None:
            raise ValueError(f"Repository({self.local_dir!r}) needs clone_from=, the repository's name")
        return self.repo_id
