"""The loopback Hub with an account, `me`, that the real client can create repositories for and upload to."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.loopback_hub import HubHandler, LoopbackHub, Repository

READ, WRITE = "a-read-token", "a-write-token"  # all other tokens are unknown


class Commit(NamedTuple):
    repository: str
    message: str
    paths: list[str]


class UploadHandler(HubHandler):
    hub: "UploadHub"

    def do_GET(self) -> None:
        if self.path == "/api/whoami-v2":
            return self.send_json({"name": "me", "type": "user", "orgs": []})
        return super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.strip("/").split("?")[0]
        self.hub.requests.append((self.command, path))
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if token not in (READ, WRITE):
            return self.send_json({"error": "Invalid username or password."}, 401)
        if token == READ:
            return self.send_json({"error": "This token has no write access"}, 403)
        if path == "api/validate-yaml":  # the header of a README.md
            return self.send_json({"errors": [], "warnings": []})
        if path == "api/repos/create":
            return self._create(json.loads(body))
        _, kind, user, name, action, revision = path.split("/")  # api/models/USER/NAME/commit/REVISION
        repository = Repository(self.hub.root / kind / user / name)
        if not repository.folder.is_dir():
            return self.send(404, headers={"X-Error-Code": "RepoNotFound"})
        if action == "branch":
            status = 409 if revision in self.hub.branches else 200
            self.hub.branches.add(revision)
            return self.send_json({}, status)
        if revision not in self.hub.branches:
            return self.send(404, headers={"X-Error-Code": "RevisionNotFound"})
        lines = [json.loads(line) for line in body.splitlines()]
        return self._preupload(lines[0]) if action == "preupload" else self._commit(repository, lines, revision)

    def _create(self, asked: dict) -> None:
        name = f"{asked['organization'] or 'me'}/{asked['name']}"
        kind = f"{asked.get('type', 'model')}s"
        folder = self.hub.root / kind / name
        status = 409 if folder.exists() else 200
        folder.mkdir(parents=True, exist_ok=True)
        self.send_json(
            {"url": "/".join([self.hub.endpoint, *(["datasets"] if kind == "datasets" else []), name])}, status
        )

    def _preupload(self, asked: dict) -> None:
        """Every file is to come within the commit: neither LFS nor Xet."""
        answer = {"uploadMode": "regular", "shouldIgnore": False}
        self.send_json({"files": [{"path": file["path"], **answer} for file in asked["files"]]})

    def _commit(self, repository: Repository, lines: list[dict], revision: str) -> None:
        header, *files = [line["value"] for line in lines if line["key"] != "deletedFile"]
        for line in lines:
            if line["key"] == "deletedFile":
                (repository.folder / line["value"]["path"]).unlink()
        for file in files:
            target = repository.folder / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(base64.b64decode(file["content"]))
        name = "/".join(repository.folder.parts[-2:])
        self.hub.commits.append(Commit(name, header["summary"], sorted(file["path"] for file in files)))
        self.hub.revisions.append(revision)
        url = f"{self.hub.endpoint}/{name}/commit/{repository.commit}"
        self.send_json({"success": True, "commitUrl": url, "commitOid": repository.commit})


class UploadHub(LoopbackHub):
    """Keeps uploads in `root`, from where they can be downloaded again; `commits` lists them.

    All branches are one folder; `revisions` says which branch each commit was for.
    """

    handler = UploadHandler

    def __init__(self, root: Path):
        super().__init__(root)
        self.commits: list[Commit] = []
        self.branches = {"main"}
        self.revisions: list[str] = []


@pytest.fixture
def upload_hub(tmp_path: Path) -> Iterator[UploadHub]:
    """An empty Hub."""
    with UploadHub(tmp_path / "hub") as hub:
        yield hub
