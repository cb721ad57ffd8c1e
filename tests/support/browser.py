"""A real browser for pages: Chromium without a window, spoken to over a pair of pipes (the DevTools protocol).

It has no network: every name resolves to nothing, and what a page asks for is kept to be looked at.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # its own: root and containers cannot have it, and the pages are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_SECONDS: Final = 120.0


def program() -> str:
    """Return the browser; a machine without one has not been set up."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    assert found, "no Chromium: run make install"
    return found


@dataclass
class Page:
    """A page that was opened, and what happened on it."""

    browser: Browser
    session: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # console, exceptions, what a policy forbade

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, run beside the page."""
        answer = self.browser.call(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True}, self.session
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        """Give it a window of so many CSS pixels, as a telephone has if it is narrow."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.call("Emulation.setDeviceMetricsOverride", metrics, self.session)

    def pdf(self) -> bytes:
        """Print it as its own style says."""
        answer = self.browser.call(
            "Page.printToPDF", {"printBackground": False, "preferCSSPageSize": True}, self.session
        )
        return base64.b64decode(answer["data"])


class Browser:
    """One browser with any number of pages."""

    def __init__(self, folder: Path) -> None:
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()
        self._out, self._in = ours, theirs

        def numbered() -> None:  # the protocol's pipes are descriptors 3 and 4
            ends = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 64) for one in (to_browser, from_browser)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [program(), *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=numbered,  # noqa: PLW1509 - descriptors by number; no thread of ours holds a lock here
            close_fds=False,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._pages: dict[str, Page] = {}
        self._rest = b""
        self._number = 0
        self._loaded: set[str] = set()

    def open(self, file: Path, width: int = 1000) -> Page:
        """Open a file and wait until it is there."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", {}, session)
        page.resize(width)
        page.requests.clear()
        self._loaded.discard(session)
        self.call("Page.navigate", {"url": file.absolute().as_uri()}, session)
        end = time.monotonic() + _SECONDS
        while session not in self._loaded:
            self._take(self._message(end))
        return page

    def call(self, method: str, parameters: dict[str, Any], session: str = "") -> dict[str, Any]:
        """Call a method of the protocol and return its answer."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _SECONDS
        while True:
            answer = self._message(end)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._take(answer)

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            octets = os.read(self._in, 1 << 20)
            assert octets, f"the browser ended ({self._process.poll()})"
            self._rest += octets
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _take(self, event: dict[str, Any]) -> None:
        session, method, facts = event.get("sessionId", ""), event.get("method"), event.get("params", {})
        page = self._pages.get(session)
        if page is None:
            return
        if method == "Network.requestWillBeSent":
            page.requests.append(facts["request"]["url"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            page.complaints.append(json.dumps(facts))
        elif method == "Page.loadEventFired":
            self._loaded.add(session)

    def close(self) -> None:
        """End it, with all its processes."""
        with suppress(OSError):
            os.write(self._out, b'{"id": 0, "method": "Browser.close"}\0')
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        os.close(self._out)
        os.close(self._in)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with its profile in a folder, and end it whatever happens."""
    made = Browser(folder)
    try:
        yield made
    finally:
        made.close()
