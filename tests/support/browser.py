"""A real Chromium, headless, driven over its DevTools protocol: the one of npm's @sparticuz/chromium (MIT; Chromium's own licence is BSD), pinned by its hash.

It is fetched once into the cache folder (68 MB) and runs where Linux on x86-64 does; elsewhere tests that need it skip and say so.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chains.devnet.paths import cache_dir, locked

PACKAGE, VERSION = "@sparticuz/chromium", "138.0.2"
SHA512 = "vs5qUiK6kFCzLCxZ2buWONcB6jdF3VWdYp6kH1tt56tZ78p51dMAxfWsfk9P62z/jAeqbVg4V6Rb3Ic4aAeOKQ=="
_PARTS = ("chromium", "al2023.tar", "swiftshader.tar", "fonts.tar")
_UNPACK = 'const z=require("zlib"),f=require("fs");for(const n of process.argv.slice(1))f.writeFileSync(n,z.brotliDecompressSync(f.readFileSync("package/bin/"+n+".br")))'
_FLAGS = ("--headless=shell", "--no-sandbox", "--single-process", "--no-zygote", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")  # fmt: skip


def chromium() -> Path:
    """The folder with the browser, its libraries and fonts; fetched where it is not there yet."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip(f"{PACKAGE} has a browser for Linux on x86-64 alone")
    folder = cache_dir() / f"browser-{VERSION}"
    with locked(cache_dir() / "browser.lock"):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache_dir()) as made:
                _fetched(Path(made))
                Path(made).rename(folder)
                Path(made).mkdir()
            (folder / ".complete").touch()
    return folder


def _fetched(made: Path) -> None:
    words = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts", "--prefer-offline"]
    subprocess.run(words, cwd=made, check=True, capture_output=True, timeout=300)
    (tarball,) = made.glob("*.tgz")
    if base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode() != SHA512:
        raise AssertionError(f"{PACKAGE} {VERSION} is not the one that was pinned")
    with tarfile.open(tarball) as packed:
        packed.extractall(made, [m for m in packed.getmembers() if m.name in {f"package/bin/{n}.br" for n in _PARTS}], filter="data")  # fmt: skip
    subprocess.run(["node", "-e", _UNPACK, *_PARTS], cwd=made, check=True, timeout=120)
    for name in _PARTS[1:]:
        with tarfile.open(made / name) as packed:
            packed.extractall(made, filter="data")
        (made / name).unlink()
    tarball.unlink()
    shutil.rmtree(made / "package")
    (made / "chromium").chmod(0o755)


class Page:
    """One page of a running browser; `told` are its console's messages and errors, `asked` the addresses it requested."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.told: list[str] = []
        self.asked: list[str] = []
        self._loaded = False

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=20)
            self._event(message.get("method", ""), message.get("params", {}))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])

    def _event(self, kind: str, params: dict[str, Any]) -> None:
        if kind == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif kind == "Runtime.consoleAPICalled":
            self.told.append(str([a.get("value") for a in params["args"]]))
        elif kind in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"):
            self.told.append(f"{kind}: {params}")
        elif kind == "Page.loadEventFired":
            self._loaded = True

    async def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Goes there and waits until all of it is loaded."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.ask(f"{domain}.enable")
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._loaded = False
        await self.ask("Page.navigate", url=address)
        async with asyncio.timeout(20):
            while not self._loaded:
                await self.ask("Page.getNavigationHistory")
                await asyncio.sleep(0.02)

    async def value(self, expression: str) -> Any:
        """What an expression comes to in the page."""
        found = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def picture(self) -> bytes:
        """The whole page as PNG."""
        found = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A page of a browser of its own, which ends with it."""
    folder = chromium()
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        process = await asyncio.create_subprocess_exec(
            str(folder / "chromium"), *_FLAGS, f"--user-data-dir={profile}", "about:blank",
            env={"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_PATH": str(folder / "fonts"), "HOME": profile},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            address = ""
            async with asyncio.timeout(30):
                while "DevTools listening on " not in address:
                    line = await process.stderr.readline()
                    assert line, "the browser ended"
                    address = line.decode(errors="replace").strip()
            port = address.partition("ws://127.0.0.1:")[2].partition("/")[0]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    (page,) = await answer.json()
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.communicate()


__all__ = ["Page", "browser", "chromium"]
