"""Data files that are named by an address: each is fetched once, and again when the server has another version."""

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub

from minift.files import atomic_path

SCHEMES = ("http://", "https://", "hf://")
TIMEOUT = 30  # seconds without an answer


def is_address(file: str) -> bool:
    return file.startswith(SCHEMES)


def downloaded(address: str, token: str | bool | None = None) -> Path:
    """Return the local copy of a file at ``http(s)://…`` or ``hf://datasets/OWNER/NAME/FILE``, fetched if need be.

    The copy lies in ``$HF_HOME/minift/downloads``; a version that the server no longer has is replaced. Without an
    answer an old copy is not used: that is a ConnectionError; a FileNotFoundError says that there is no such file.
    """
    if address.startswith("hf://"):
        kind, owner, name, file = address.removeprefix("hf://").split("/", 3)
        name, _, revision = name.partition("@")
        repo_type = kind.removesuffix("s")
        return Path(
            huggingface_hub.hf_hub_download(
                f"{owner}/{name}", file, repo_type=repo_type, revision=revision or None, token=token
            )
        )
    home = Path(os.environ.get("HF_HOME", os.environ.get("XDG_CACHE_HOME", "~/.cache"))).expanduser()
    place = home / "minift" / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16]
    file, version = place / Path(urlsplit(address).path).name, place / "version"
    request = urllib.request.Request(address, headers={"User-Agent": "minift"})
    if file.is_file() and version.is_file():
        request.add_header("If-None-Match", version.read_text(encoding="utf-8"))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            content = answer.read()
            with atomic_path(file) as fresh:
                fresh.write_bytes(content)
            with atomic_path(version) as fresh:
                fresh.write_text(answer.headers.get("ETag") or "", encoding="utf-8")
    except urllib.error.HTTPError as error:
        if error.code == 304:  # our copy is the server's version
            return file
        kind = FileNotFoundError if error.code in (404, 410) else ConnectionError
        raise kind(f"{address}: the server answered {error.code} {error.reason}") from error
    except HTTPException as error:
        raise ConnectionError(f"{address}: the connection ended before the file did ({error}); try again") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise ConnectionError(f"{address} cannot be reached: {error}") from error
    return file
