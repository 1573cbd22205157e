"""The local Safe Transaction Service as a process."""

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
def tx_service(rpc_url: str) -> Iterator[str]:
    command = [sys.executable, "-m", "chains.devnet.txservice", "--port", "0", "--rpc", rpc_url]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("txservice ready http://127.0.0.1:"), said
        yield said.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def ask(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """(status, JSON) of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            content = response.read()
            return response.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        return error.code, json.loads(content) if content else None
