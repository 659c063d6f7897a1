"""A small Hub on 127.0.0.1 that serves a folder laid out as the Hub lays out repositories, for the real client."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.hub import HUB

LEGACY_NAMES = {
    "models": {
        **{name: f"google-bert/{name}" for name in ("bert-base-uncased", "bert-base-cased")},
        **{
            name: f"distilbert/{name}"
            for name in ("distilbert-base-uncased", "distilbert-base-uncased-finetuned-sst-2-english")
        },
    },
    "datasets": {"glue": "nyu-mll/glue", "imdb": "stanfordnlp/imdb"},
}


class Repository:
    """A repository's files and the identities that the Hub gives them, made from their contents."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def files(self) -> dict[str, Path]:
        found = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file for file in found}

    def entries(self, folder: str, recursive: bool) -> list[dict]:
        """List the files below a folder, or what stands in it: files and folders."""
        inside = {path: file for path, file in self.files.items() if path.startswith(f"{folder}/" if folder else "")}
        depth = folder.count("/") + 1 if folder else 0
        shown = {path: file for path, file in inside.items() if recursive or path.count("/") == depth}
        folders = {"/".join(path.split("/")[: depth + 1]) for path in inside.keys() - shown.keys()}
        return [{"type": "directory", "path": path, "oid": path} for path in sorted(folders)] + [
            {"type": "file", "path": path, "size": file.stat().st_size, "oid": self.blob(file)}
            for path, file in shown.items()
        ]

    @staticmethod
    def blob(file: Path) -> str:
        stat = file.stat()
        return hashlib.sha1(f"{file}{stat.st_size}{stat.st_mtime_ns}".encode()).hexdigest()

    @property
    def commit(self) -> str:
        return hashlib.sha1("".join(map(self.blob, self.files.values())).encode()).hexdigest()


class HubHandler(BaseHTTPRequestHandler):
    hub: "LoopbackHub"
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path))
        is_api = path.startswith("api/")
        parts = path.removeprefix("api/").split("/")
        kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
        if parts[0] in LEGACY_NAMES[kind]:
            name = LEGACY_NAMES[kind][parts[0]]
            prefix = f"api/{kind}/" if is_api else ("datasets/" if kind == "datasets" else "")
            query = urlsplit(self.path).query
            target = "/" + prefix + "/".join([name, *parts[1:]]) + (f"?{query}" if query else "")
            return self.send(307, headers={"Location": target})
        repository = Repository(self.hub.root / kind / "/".join(parts[:2]))
        if not repository.folder.is_dir():
            return self.send(404, headers={"X-Error-Code": "RepoNotFound"})
        return self._api(repository, parts[2:]) if is_api else self._file(repository, parts[2:])

    def _api(self, repository: Repository, action: list[str]) -> None:
        name = repository.folder.relative_to(repository.folder.parents[1]).as_posix()
        if action[:1] == ["tree"]:
            is_recursive = "recursive=true" in urlsplit(self.path).query.lower()
            return self.send_json(repository.entries("/".join(action[2:]), is_recursive))
        if action and action[0] != "revision":
            return self.send(404)
        if action and action[1] not in ("main", repository.commit):
            return self.send(404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path} for path in repository.files]
        return self.send_json({"id": name, "sha": repository.commit, "private": False, "siblings": siblings})

    def _file(self, repository: Repository, action: list[str]) -> None:
        file = repository.files.get("/".join(action[2:])) if action[:1] == ["resolve"] else None
        if file is None:
            return self.send(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit})
        identity = {"ETag": f'"{repository.blob(file)}"', "X-Repo-Commit": repository.commit}
        return self.send(200, file, {**identity, "Content-Type": "application/octet-stream"})

    def send_json(self, value: object, status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes | Path = b"", headers: dict[str, str] | None = None) -> None:
        size = body.stat().st_size if isinstance(body, Path) else len(body)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.read_bytes() if isinstance(body, Path) else body)


class LoopbackHub:
    """Serves `root` while used as a context manager; `requests` lists what was asked for as (method, path)."""

    handler = HubHandler

    def __init__(self, root: Path = HUB):
        self.root = root
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> "LoopbackHub":
        handler = type("Handler", (self.handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def run(self, code: str, hf_home: Path, offline: bool = False) -> str:
        """What a Python process prints whose `huggingface_hub` knows this server only; its cache is `hf_home`.

        A process of its own, because the client reads these settings when it is imported.
        """
        settings = {
            "HF_ENDPOINT": self.endpoint if not offline else "http://127.0.0.1:9",  # nobody listens there
            "HF_HOME": str(hf_home),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
        }
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "MINIFT_"))
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[1],  # so that `code` can import from tests
            env=inherited | settings,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        if done.returncode:
            raise RuntimeError(f"the process failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout


@pytest.fixture
def loopback_hub() -> Iterator[LoopbackHub]:
    """The real data's folder behind a loopback Hub."""
    with LoopbackHub() as hub:
        yield hub
