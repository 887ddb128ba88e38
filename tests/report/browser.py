"""A real browser without a window, driven over its DevTools protocol with the websocket client of tornado."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_PATIENCE = 40.0
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--force-device-scale-factor=1"),
)


def find_browser() -> str | None:
    """Return the program of a browser of the Chromium family, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab: it goes to a page, evaluates expressions, presses keys, and keeps what went wrong."""

    def __init__(self, socket: WebSocketClientConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._loop, self._count = socket, loop, 0
        self.faults: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _note(self, message: dict[str, Any]) -> None:
        values = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.faults.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and values["type"] in {"error", "warning", "assert"}:
            self.faults.append(" ".join(str(one.get("value", one.get("description"))) for one in values["args"]))
        elif message.get("method") == "Log.entryAdded" and values["entry"]["level"] in {"error", "warning"}:
            self.faults.append(values["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._count += 1
        number = self._count

        async def talk() -> dict[str, Any]:
            await self._socket.write_message(json.dumps({"id": number, "method": method, "params": values}))
            while True:
                text = await self._socket.read_message()
                assert text is not None, "the browser has gone"
                message = json.loads(text)
                if message.get("id") == number:
                    assert "error" not in message, message["error"]
                    return dict(message["result"])
                self._note(message)

        return self._loop.run_until_complete(asyncio.wait_for(talk(), _PATIENCE))

    def value(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)
        return found

    def open(self, address: str, width: int = 1200, height: int = 900) -> None:
        """Go to a page in a window of a size; below 500 pixels as on a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def click(self, selector: str) -> None:
        """Press the mouse button in the middle of an element."""
        found = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def choose(self, selector: str, value: str) -> None:
        """Choose an entry of a menu, as the browser tells a page of it."""
        self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )

    def press(self, key: str, code: int, text: str = "", shift: bool = False) -> None:
        """Press and let go a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Save a picture of the page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


def _wait(found: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return found()
        except (OSError, ValueError, StopIteration):
            assert process.poll() is None, "the browser ended"
            assert time.monotonic() < end, "the browser did not start"
            time.sleep(0.1)


def _tab(profile: Path) -> str:
    """Return the address of the first tab; the browser writes its port to a file when it is ready."""
    port = int((profile / "DevToolsActivePort").read_text().split()[0])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
        return str(next(one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page"))


@contextmanager
def browsing(program: str, profile: Path) -> Iterator[Page]:
    """Start a browser with an empty profile, and give its tab."""
    command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    loop = asyncio.new_event_loop()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            address = _wait(lambda: _tab(profile), process)

            async def connect() -> WebSocketClientConnection:
                return await websocket_connect(address, max_message_size=1 << 28)

            socket = loop.run_until_complete(asyncio.wait_for(connect(), _PATIENCE))
            yield Page(socket, loop)
            socket.close()
        finally:
            process.terminate()
            process.wait(timeout=20)
            loop.close()
