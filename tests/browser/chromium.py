"""Drive a headless Chromium: open pages, press keys, click, and hear of errors."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from itertools import count
from pathlib import Path
from typing import Any

import axe_core_python

AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), " ": (32, " "), "ArrowDown": (40, ""),
        "ArrowRight": (39, "")}  # fmt: skip
WHERE = """(() => {{
  const found = document.querySelector({selector!r})
  found.scrollIntoView({{block: "center", behavior: "instant"}})
  const box = found.getBoundingClientRect()
  return [box.x + box.width / 2, box.y + box.height / 2]
}})()"""


class Page:
    """The one page of a browser, driven by Chromium's own protocol over two pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands = commands
        self.answers = answers
        self.buffer = b""
        self.ids = count(1)
        self.session: str | None = None
        self.errors: list[str] = []  # of scripts, the console, the policy
        self.is_loaded = False
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command of the protocol."""
        number = next(self.ids)
        message = {"id": number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, path: Path, *, width: int = 1280, theme: str = "light") -> None:
        """Show a file in a window of this width."""
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": theme}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.is_loaded = False
        self.send("Page.navigate", url=path.as_uri())
        while not self.is_loaded:
            self._receive()

    def resize(self, width: int, height: int = 1000) -> None:
        size = {"width": width, "height": height}
        self.send(
            "Emulation.setDeviceMetricsOverride",
            **size, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression; a promise's when it is kept."""
        found = self.send(
            "Runtime.evaluate",
            expression=expression, awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        x, y = self.evaluate(WHERE.format(selector=selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind, x=x, y=y, button="left", clickCount=1,
            )  # fmt: skip

    def focus(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({selector!r}).focus()")

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        code, text = KEYS[key]
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        """Write letters, wherever the focus is."""
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path, *, is_whole: bool = False) -> None:
        """Store a picture of the window, or of the whole page."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=is_whole,
                          **(self._whole() if is_whole else {}))  # fmt: skip
        path.write_bytes(base64.b64decode(found["data"]))

    def _whole(self) -> dict[str, Any]:
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "scale": 1}}

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            found = os.read(self.answers, 1 << 20)
            assert found, "chromium has ended"
            self.buffer += found
        line, self.buffer = self.buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self.is_loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in (
                "error",
                "warning",
            ):
                self.errors.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
        return message


@contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """Give the page of a new browser that keeps its own files in ``folder``."""
    assert PROGRAM is not None
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()

    def take_pipes() -> None:  # the protocol's are 3 and 4
        read, write = (fcntl(end, F_DUPFD, 10) for end in (theirs_in, theirs_out))
        os.dup2(read, 3)
        os.dup2(write, 4)

    with subprocess.Popen(
        (PROGRAM, *FLAGS, f"--user-data-dir={folder}", "about:blank"),
        preexec_fn=take_pipes,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as browser:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(commands, answers)
        finally:
            browser.terminate()
            os.close(commands)
            os.close(answers)


def violations(browser: Page) -> list[Any]:
    """Return what axe-core finds: rule, and the elements that break it."""
    browser.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    found: list[Any] = browser.evaluate("""axe.run().then(result =>
        result.violations.map(v => [v.id, v.nodes.map(node => node.html)]))""")
    return found
