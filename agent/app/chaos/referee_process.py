"""A judge in a process of its own: one JSON object a line there, one back. It is told what to look at, and never what is hoped for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chains.errors import Halt

ROOT = Path(__file__).resolve().parents[3]


class RefereeProcess:
    """`python -m MODULE`, opened with `opening`. Raises Halt REFEREE_GONE where it has ended."""

    def __init__(self, module: str, opening: Mapping[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask({"do": "open", **opening})

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise Halt("REFEREE_GONE", "the referee has no ears")
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Halt("REFEREE_GONE", "the referee's process ended", "what it said is on stderr")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(20)
