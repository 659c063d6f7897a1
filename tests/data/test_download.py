"""Data files that are named by an address, on a server of the test's own."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minift import load_dataset


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of files: name -> (version, content); `asked` lists the requests and the answers."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            version, content = files.get(self.path, (None, b""))
            known = version is not None and self.headers.get("If-None-Match") == version
            status = 404 if version is None else 304 if known else 200
            asked.append((self.path, status))
            self.send_response(status)
            if status == 200:
                self.send_header("ETag", version)
                self.send_header("Content-Length", str(len(content) + (self.path == "/cut.csv")))
            self.end_headers()
            self.wfile.write(content if status == 200 else b"")

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", files, asked
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_file_is_fetched_once_and_again_when_the_server_has_another(server):
    address, files, asked = server
    files["/a.csv"] = ("1", b"text,label\ngood,1\nbad,0\n")
    for _ in range(2):
        rows = load_dataset("csv", data_files=f"{address}/a.csv", split="train")
        assert rows.to_list() == [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
    files["/a.csv"] = ("2", b"text,label\nnew,1\n")
    assert load_dataset("csv", data_files={"test": [f"{address}/a.csv"]})["test"]["text"] == ["new"]
    assert [status for _, status in asked] == [200, 304, 200]


def test_files_that_cannot_be_fetched(server):
    address, files, _ = server
    with pytest.raises(FileNotFoundError, match=r"none\.csv: the server answered 404"):
        load_dataset("csv", data_files=f"{address}/none.csv")
    files["/cut.csv"] = ("1", b"text\ngood\n")
    with pytest.raises(ConnectionError, match=r"cut\.csv: the connection ended before the file did"):
        load_dataset("csv", data_files=f"{address}/cut.csv")
    with pytest.raises(ConnectionError, match="cannot be reached"):
        load_dataset("csv", data_files="http://127.0.0.1:9/a.csv")
