import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbench_var.data.download import Remote, download
from airbench_var.errors import DataError, StorageError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/good sends the file; the other addresses each fail in their own way."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        body, promised = CONTENT, len(CONTENT)
        if self.path == "/cut":
            body = CONTENT[:-300_000]
        elif self.path == "/short":
            body, promised = CONTENT[:-1], len(CONTENT) - 1
        elif self.path == "/long":
            body, promised = CONTENT + b"x", len(CONTENT) + 1
        elif self.path == "/other":
            body = CONTENT[::-1]
        elif self.path == "/absent":
            self.send_error(404)
            return
        elif self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def remote(server: http.server.HTTPServer, *names: str) -> Remote:
    urls = tuple(f"http://127.0.0.1:{server.server_port}/{name}" for name in names)
    return Remote(urls=urls, size_bytes=len(CONTENT), sha256=SHA256)


def test_a_good_file_arrives_whole(
    server: http.server.HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new folder" / "file"
    download(remote(server, "good"), target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"downloading http://127.0.0.1:{server.server_port}/good (1 MB)\n"


def test_quiet_prints_nothing(
    server: http.server.HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(remote(server, "good"), tmp_path / "file", progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(
    server: http.server.HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    download(remote(server, "good"), tmp_path / "file")
    out, err = capsys.readouterr()
    assert out == ""
    assert "1.0/1.0 MB" in err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut", r"sent 724,000 of 1,024,000 bytes|IncompleteRead"),
        ("short", "sent 1,023,999 of 1,024,000 bytes"),
        ("long", "sent more than 1,024,000 bytes"),
        ("other", "sent other bytes: sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        ("absent", "HTTP Error 404: Not Found"),
        ("garbage", "this is not HTTP"),
    ],
)
def test_a_bad_answer_leaves_nothing_and_says_why(
    server: http.server.HTTPServer, tmp_path: Path, name: str, reason: str
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"an earlier one")
    with pytest.raises(DataError, match=rf"file could not be downloaded \(http.*/{name}: ({reason})"):
        download(remote(server, name), target, progress=False)
    assert target.read_bytes() == b"an earlier one"
    assert list(tmp_path.iterdir()) == [target]


def test_the_mirror_is_asked_when_the_first_address_fails_and_only_then(
    server: http.server.HTTPServer, tmp_path: Path
) -> None:
    for names in (("good", "never"), ("other", "absent", "good", "never")):
        server.asked.clear()  # type: ignore[attr-defined]
        download(remote(server, *names), tmp_path / "file", progress=False)
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert server.asked == [f"/{name}" for name in names[:-1]]  # type: ignore[attr-defined]


def test_nobody_listens(server: http.server.HTTPServer, tmp_path: Path) -> None:
    nobody = Remote(urls=("http://127.0.0.1:1/file",), size_bytes=len(CONTENT), sha256=SHA256)
    with pytest.raises(DataError, match="refused"):
        download(nobody, tmp_path / "file", progress=False)


def test_a_disk_that_does_not_take_it_is_not_blamed_on_the_network(
    server: http.server.HTTPServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"Cannot write .*file/file"):
        download(remote(server, "good", "good"), tmp_path / "file" / "file", progress=False)
    assert server.asked == []  # type: ignore[attr-defined]
