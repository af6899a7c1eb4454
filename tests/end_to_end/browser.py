"""A headless Chromium, driven by its DevTools protocol over two pipes: the standard library is enough.

Source: https://chromedevtools.github.io/devtools-protocol, and --remote-debugging-pipe: messages in JSON,
each ended by a zero byte, to file descriptor 3 and from file descriptor 4 of the browser.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Seconds after which a browser that says nothing is taken for dead.
PATIENCE_S = 60.0
EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One browser with one tab; it keeps what the page says on its console and asks of the network."""

    def __init__(self, write_fd: int, read_fd: int) -> None:
        self._write_fd, self._read_fd = write_fd, read_fd
        self._last_id, self._buffer = 0, b""
        self._session: str | None = None
        self.console: list[str] = []  #: errors and warnings of the page, its console and its policy
        self.requests: list[str] = []  #: URLs that were asked for, but for data: and blob:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Return the result of a method; raises AssertionError when the browser refuses it."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        """Return the next message, and take note of the events among them."""
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser says nothing"
            self._buffer += os.read(self._read_fd, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        given = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.console.append(f"{given['entry']['level']}: {given['entry']['text']}")
            case "Runtime.consoleAPICalled":
                self.console.append(f"{given['type']}: {given['args']}")
            case "Runtime.exceptionThrown":
                self.console.append(f"exception: {given['exceptionDetails']}")
            case "Network.requestWillBeSent":
                url = given["request"]["url"]
                self.requests += [url] * (not url.startswith(("data:", "blob:")))
        return message

    def open(self, page: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a file on a screen of this size, in CSS pixels, by a reader who prefers this colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.console.clear()
        self.requests.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression, or the promise that it is, comes to."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """Return a PNG of what is on the screen, or of the whole page."""
        shown = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shown["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile in a folder, and end it with its children."""
    assert EXECUTABLE, "there is no Chromium"
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    options = (
        "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
        "--disable-background-networking --hide-scrollbars --force-color-profile=srgb --remote-debugging-pipe"
    )

    def as_three_and_four() -> None:
        kept = os.dup(to_browser), os.dup(from_browser)
        for fd, place in zip(kept, (3, 4), strict=True):
            os.dup2(fd, place)

    process = subprocess.Popen(
        [EXECUTABLE, *options.split(), f"--user-data-dir={profile}"],
        preexec_fn=as_three_and_four,
        pass_fds=(3, 4),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        browser = Browser(from_us, to_us)
        yield browser
        browser._session = None
        browser.call("Browser.close")
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        os.close(from_us)
        os.close(to_us)
