"""Headless Chromium over its DevTools protocol: go, wait, click, type, take a picture."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--force-device-scale-factor=1",
)


def chromium_path() -> str | None:
    """Where Chromium is, if it is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page. Selectors are CSS; times are seconds."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._next = 0
        self.console: list[str] = []  # errors and warnings that the page logged

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command."""
        self._next += 1
        await self._socket.send_json({"id": self._next, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json()
            self._note(answer)
            if answer.get("id") == self._next:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            said = details.get("exception", {}).get("description")
            self.console.append(said or details["text"])
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.console.append(params["entry"]["text"])

    async def open(self, url: str, width: int = 1440, height: int = 900, scale: float = 1) -> None:
        """Load a page in a window of this size."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.resize(width, height, scale)
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Change the window's size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)

    async def js(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    async def until(self, expression: str, within: float = 10) -> Any:
        """Wait in the page until the expression is true; `TimeoutError` if it never is."""
        script = f"""new Promise((done) => {{
            const end = performance.now() + {within * 1000};
            const look = () => {{
                let value; try {{ value = ({expression}); }} catch (e) {{ value = null; }}
                if (value) done(value === true ? true : String(value));
                else if (performance.now() > end) done(null);
                else requestAnimationFrame(look);
            }};
            look();
        }})"""
        value = await self.js(script)
        if value is None:
            raise TimeoutError(f"not within {within} s: {expression}")
        return value

    async def see(self, selector: str, within: float = 10) -> None:
        """Wait until an element is there and visible."""
        await self.until(
            f"document.querySelector({json.dumps(selector)})?.checkVisibility()", within
        )

    async def text(self, selector: str) -> str:
        """The text of the first such element, empty if there is none."""
        return str(
            await self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        )

    async def click(self, selector: str, within: float = 10) -> None:
        """Click with the mouse in the middle of the element, as a person does."""
        await self.see(selector, within)
        found = json.dumps(selector)
        await self.js(f"document.querySelector({found}).scrollIntoView({{block: 'nearest'}})")
        box = await self.js(f"""(() => {{ const b = document.querySelector({found})
            .getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip

    async def type(self, selector: str, text: str, *, enter: bool = False) -> None:
        """Click into a field and type."""
        await self.click(selector)
        await self.call("Input.insertText", text=text)
        if enter:
            for kind in ("keyDown", "keyUp"):
                key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
                await self.call("Input.dispatchKeyEvent", type=kind, text="\r", **key)

    async def picture(self, path: Path) -> None:
        """Save what is shown as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Start Chromium with an empty profile; `FileNotFoundError` when it is not installed."""
    path = chromium_path()
    if path is None:
        raise FileNotFoundError("Chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path, *FLAGS, f"--user-data-dir={profile}", "about:blank",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            port = await _port(process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    targets = await answer.json()
                url = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.terminate()
            await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := await process.stderr.readline():
            if b"DevTools listening on" in line:
                return int(line.split(b"127.0.0.1:")[1].split(b"/")[0])
    raise RuntimeError("Chromium ended before it listened")
