"""The local CoW order book as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def cow_book(cheat_url: str) -> Iterator[str]:
    command = [sys.executable, "-m", "chains.devnet.cow_orderbook", "--port", "0", "--rpc", cheat_url]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("cow-orderbook ready http://127.0.0.1:"), said
        yield said.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def ask(url: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
    """(status, JSON) of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            content = response.read()
            return response.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        return error.code, json.loads(content) if content else None


def faults(url: str, **fields: Any) -> None:
    status, told = ask(f"{url}/admin/faults", fields)
    assert status == 200, told


SOUND: dict[str, Any] = {
    "hold": False, "share_bps": 10_000, "status": "", "lose": 0, "refuse": "", "keep": False, "quote": {}
}  # fmt: skip
