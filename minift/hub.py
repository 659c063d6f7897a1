"""A Hub name or a folder -> a local folder; and a folder -> the Hub."""

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled


def snapshot(
    name_or_path: str | Path,
    repo_type: str = "model",
    revision: str | None = None,
    allow_patterns: str | list[str] | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder that holds a repository's files.

    An existing folder is returned as it is. Anything else is a name on the Hub, whose files are downloaded to the
    cache that all of Hugging Face's libraries share, or found there when there is no network. Names without an
    organisation (``bert-base-uncased``) work through the Hub's redirects.

    Args:
        name_or_path: a folder, or a name such as ``google-bert/bert-base-uncased``.
        repo_type: ``model`` or ``dataset``.
        revision: branch, tag or commit.
        allow_patterns: the files to download, as patterns; all by default.
        token: for private repositories; by default the one that `huggingface_hub` has stored.
        cache_dir: another cache folder.
        local_files_only: use the cache and no network.

    Raises:
        FileNotFoundError: it is neither a folder nor a repository that can be reached or is in the cache.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    name = str(name_or_path)
    try:
        return Path(
            huggingface_hub.snapshot_download(
                name,
                repo_type=repo_type,
                revision=revision,
                allow_patterns=allow_patterns,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        )
    except HFValidationError as error:
        raise FileNotFoundError(f"{name}: no such folder, and not a name that a repository can have") from error
    except (HfHubHTTPError, EntryNotFoundError, OfflineModeIsEnabled) as error:
        at = f" at revision {revision!r}" if revision else ""
        reason = str(error).strip().splitlines()[-1]
        raise FileNotFoundError(
            f"{name}: no such folder, and no {repo_type} repository of that name{at} that can be reached or is in the "
            f"cache ({reason})"
        ) from error


def upload_folder(
    folder: str | Path,
    repo_id: str,
    *,
    repo_type: str = "model",
    commit_message: str = "Upload with minift",
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Create the repository where there is none, upload the folder's files, and return the commit's address."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder to upload")
    huggingface_hub.create_repo(repo_id, repo_type=repo_type, private=private, token=token, exist_ok=True)
    commit = huggingface_hub.upload_folder(
        folder_path=folder, repo_id=repo_id, repo_type=repo_type, commit_message=commit_message, token=token
    )
    return str(commit.commit_url)
