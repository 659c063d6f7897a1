"""From a Hub name or a folder to local files, and from a folder to the Hub."""

import os
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the client's HTTP library, the base of the Hub's own: there was no answer
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)


def repository_folder(
    name_or_path: str | Path, allow_patterns: list[str], subfolder: str | None = None, **options: Any
) -> Path:
    """Return a repository's folder, or a `subfolder` of it, with the files of these patterns; options of `snapshot`."""
    inside = Path(subfolder or "")
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError(f"subfolder={subfolder!r} leads out of {name_or_path}")
    patterns = [str(inside / pattern) for pattern in allow_patterns]
    return snapshot(str(name_or_path), allow_patterns=patterns, **options) / inside


def snapshot(name_or_path: str | Path, repo_type: str = "model", **options: Any) -> Path:
    """Return a folder that holds a repository's files; an existing folder is returned as it is.

    Anything else is a name on the Hub, such as ``google-bert/bert-base-uncased``: its files are downloaded to the cache
    that all of Hugging Face's libraries share, or found there when there is no network. Names without an organisation
    (``bert-base-uncased``) work through the Hub's redirects. The environment variable ``MINIFT_HUB`` may name a folder
    with copies of repositories, ``models/ORGANISATION/NAME`` and ``datasets/ORGANISATION/NAME``: these come first,
    unless ``revision`` is given.

    Args:
        repo_type: ``model`` or ``dataset``.
        options: ``revision``, ``allow_patterns``, ``token``, ``cache_dir``, ``local_files_only`` of
            `huggingface_hub.snapshot_download`.

    Raises:
        FileNotFoundError: neither a folder, nor a repository that can be reached or is in the cache.
    """
    if not name_or_path:
        raise ValueError(f"expected a folder or a name on the Hub, not {name_or_path!r}")
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    name = str(name_or_path)
    if (copy := local_copy(name, repo_type)) is not None and not options.get("revision"):
        return copy
    try:
        return Path(huggingface_hub.snapshot_download(name, repo_type=repo_type, **options))
    except HFValidationError as error:
        raise FileNotFoundError(f"{name}: no such folder, and not a name that a repository can have") from error
    except (HfHubHTTPError, EntryNotFoundError, OfflineModeIsEnabled) as error:
        at = f" at revision {options['revision']!r}" if options.get("revision") else ""
        raise FileNotFoundError(
            f"{name}: no such folder, and no {repo_type} repository of that name{at} that can be reached or is in the "
            f"cache ({_reason(error)})"
        ) from error


def local_copy(name: str, repo_type: str = "model") -> Path | None:
    """Find the copy of a repository in the folder that ``MINIFT_HUB`` names; None if there is none, or several."""
    if not os.environ.get("MINIFT_HUB"):
        return None
    folder = Path(os.environ["MINIFT_HUB"]).expanduser() / f"{repo_type}s"
    copies = [copy for copy in folder.glob("*/*") if name in (copy.name, copy.relative_to(folder).as_posix())]
    return copies[0] if len(copies) == 1 else None


def create_repository(
    repo_id: str, repo_type: str = "model", private: bool | None = None, token: str | bool | None = None
) -> str:
    """Create a repository, if it does not exist; return its name with the owner in front. Errors as `upload_folder`."""
    try:
        return huggingface_hub.create_repo(
            repo_id, repo_type=repo_type, private=private, token=token, exist_ok=True
        ).repo_id
    except (HTTPError, OfflineModeIsEnabled, LocalTokenNotFoundError) as error:
        raise _upload_error(error, f"{repo_id} was not created") from error


def file_of(name: str, path: str, repo_type: str, token: str | bool | None = None) -> Path | None:
    """Download a file of a repository, from ``owner/name``; None if the repository has no such file."""
    try:
        return Path(huggingface_hub.hf_hub_download(name, path, repo_type=repo_type, token=token))
    except EntryNotFoundError:
        return None
    except (HTTPError, OfflineModeIsEnabled, LocalTokenNotFoundError) as error:
        raise _upload_error(error, f"{path} of {name} cannot be read") from error


def push_to_hub(model_or_tokenizer: Any, repo_id: str, saving: dict[str, Any] | None = None, **options: Any) -> str:
    """Save a model or a tokenizer to a temporary folder and upload that, with the options of `upload_folder`.

    `saving` are arguments of its `save_pretrained`.
    """
    with tempfile.TemporaryDirectory() as folder:
        model_or_tokenizer.save_pretrained(folder, **(saving or {}))
        return upload_folder(folder, repo_id, **options)


def upload_folder(
    folder: str | Path,
    repo_id: str,
    *,
    repo_type: str = "model",
    path_in_repo: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    create_pr: bool = False,
    private: bool | None = None,
    token: str | bool | None = None,
    ignore_patterns: str | list[str] | None = None,
    delete_patterns: str | list[str] | None = None,
) -> str:
    """Upload a folder's files to a repository, which is created if it does not exist; return the commit's address.

    Args:
        folder: its files are added to the repository, or replace those of the same name.
        repo_id: ``organisation/name``, or ``name`` for a repository of the token's owner.
        path_in_repo: the folder of the repository that takes the files; None is its root.
        revision: the branch to upload to, which is made if it does not exist; None is ``main``.
        commit_message: None is "Upload with minift".
        create_pr: make a pull request of the commit.
        private: whether a new repository is private.
        token: None takes the one that `huggingface_hub` has stored.
        ignore_patterns: the files to leave out, such as ``checkpoint-*``; ``*`` also matches ``/``.
        delete_patterns: files of the repository to delete in the same commit, if the folder has none of their names.

    Raises:
        FileNotFoundError: no such folder.
        PermissionError: no token, one that the Hub does not know, or one that may not write to the repository.
        ConnectionError: the Hub cannot be reached.
        OSError: the Hub refuses for another reason, which the message gives.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder to upload")
    ignored = [ignore_patterns] if isinstance(ignore_patterns, str) else list(ignore_patterns or ())
    try:
        url = huggingface_hub.create_repo(repo_id, repo_type=repo_type, private=private, token=token, exist_ok=True)
        name = url.repo_id  # with the owner in front, also where repo_id has none
        if revision is not None and not revision.startswith("refs/pr"):
            huggingface_hub.create_branch(name, branch=revision, repo_type=repo_type, token=token, exist_ok=True)
        commit = huggingface_hub.upload_folder(
            folder_path=folder,
            repo_id=name,
            repo_type=repo_type,
            path_in_repo=path_in_repo,
            revision=revision,
            commit_message=commit_message or "Upload with minift",
            commit_description=commit_description,
            create_pr=create_pr,
            token=token,
            ignore_patterns=ignored,  # a copy: the client appends to it
            delete_patterns=delete_patterns,
        )
    except (HTTPError, OfflineModeIsEnabled, LocalTokenNotFoundError) as error:
        raise _upload_error(error, f"{folder} was not uploaded to {repo_id}") from error
    return str(commit.commit_url)


def _upload_error(error: Exception, what: str) -> OSError:
    """Return the built-in exception that fits the error, with a message that says what to do."""
    reason = getattr(error, "server_message", None) or _reason(error)
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status == 401 or isinstance(error, LocalTokenNotFoundError):
        kind, text = PermissionError, "no token, or one that the Hub rejects; run `hf auth login`, or pass token"
    elif status == 403:
        kind, text = PermissionError, "the token has no permission to write there; use one that has"
    elif status is None:
        kind, text = ConnectionError, "the Hub cannot be reached; upload again when it can"
    else:
        kind, text = OSError, f"the Hub answered {status}"
    return kind(f"{what}: {text} ({reason})")


def _reason(error: Exception) -> str:
    """Return the last line of an error's message."""
    return (str(error).strip() or repr(error)).splitlines()[-1]
