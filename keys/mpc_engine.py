"""A threshold library in a process of its own: JSON lines on its stdin and stdout. For `keys.mpc_operation`.

    we → engine   {"do": "keygen" | "refresh" | "sign", "party", "parties": […], "total", "threshold", "share"?, "digest"?}
    engine → we   {"send": [{"to": party | null, "data": base64}]}     this round is said; null is for all
    we → engine   {"got": [{"from": party, "all": bool, "data": base64}]}   what all the others said in that round
    …
    engine → we   {"done": {"share", "public"}} or {"done": {"r", "s"}}     hex; the share is opaque, public is 33 or 65 bytes
                  {"fail": "why", "party": whose fault | null}

Fairlead ships no threshold cryptography. The engine is the owner's own installation, under its own licence; it gets no environment but
the plainest, sees only its own share, and never a socket. Errors: Retry MPC_ENGINE_GONE, MPC_ENGINE_SILENT; Usage MPC_ENGINE_MISSING;
Denied MPC_ABORTED (a party lied, as the library found), MPC_ENGINE_ANSWER.
"""

from __future__ import annotations

import base64
import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from chains.errors import Denied, FairleadError, Retry, Usage
from keys.mpc_link import MAX_FRAME, pack, unpack
from keys.secrets import minimal_environment


def aborted(party: int | None, why: str) -> Denied:
    """The whole operation is void: nothing of it is kept or used."""
    who = "a share" if party is None else f"share {party}"
    return Denied(
        "MPC_ABORTED", f"{who} {why}", "Nothing was signed or kept. Look at that share before you ask again."
    )


def _answer(why: str) -> Denied:
    return Denied(
        "MPC_ENGINE_ANSWER", f"the threshold engine answered {why}", "Is it the one the settings mean?"
    )


def read_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise _answer("something that is not base64") from None


class Engine:
    """One operation of one share. `kill` may be called from another thread and ends what is waited for."""

    def __init__(self, command: Sequence[str], question: dict[str, Any], patience_s: float) -> None:
        self._patience_s, self._read = patience_s, b""
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=minimal_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise Usage(
                "MPC_ENGINE_MISSING", f"the engine {command[0]!r} cannot be started: {error.strerror}"
            ) from None
        self._question = question

    def start(self) -> dict[str, Any]:
        """What it says first."""
        return self.tell(self._question)

    def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        """One line in, one line out. Raises Retry, Denied."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(pack(message) + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise _gone() from None
        answer = unpack(self._line())
        if "fail" in answer:
            party = answer.get("party")
            raise aborted(
                party if type(party) is int else None, f"broke the protocol: {str(answer['fail'])[:200]}"
            )
        return answer

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + self._patience_s
        while b"\n" not in self._read:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], min(left, 0.5))[0]:
                if left <= 0:
                    raise Retry("MPC_ENGINE_SILENT", "the threshold engine does not answer", "Ask again.")
                continue
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                raise _gone()
            self._read += piece
            if len(self._read) > MAX_FRAME:
                raise _answer("more than it may")
        line, _, self._read = self._read.partition(b"\n")
        return line

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                continue


def _gone() -> FairleadError:
    return Retry(
        "MPC_ENGINE_GONE", "the threshold engine ended in the middle", "See its own log, then ask again."
    )
