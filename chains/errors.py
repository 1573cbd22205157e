"""Errors whose class says what the caller does next.

    FairleadError
    ├── Retry       nothing happened: the same call may be made again
    ├── Reject      they (a venue, a chain, a relay, a contract) said no, finally
    ├── Reconcile   it may have happened: ask before acting again
    ├── Halt        our bug, or we cannot record: new risk stops
    ├── Usage       what was typed or configured is wrong; nothing was attempted
    └── Denied      our own rules or the signer's policy refused it

A time-out on a read is Retry; a time-out on a write is always Reconcile.
Every error carries a code in UPPER_SNAKE, a message that names the cause and a hint that names the remedy.
"""

from __future__ import annotations

from typing import ClassVar


class FairleadError(Exception):
    verb: ClassVar[str] = "HALT"
    exit_status: ClassVar[int] = 1

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class Retry(FairleadError):
    verb, exit_status = "RETRY", 4


class Reject(FairleadError):
    verb, exit_status = "REJECT", 4


class Reconcile(FairleadError):
    verb, exit_status = "RECONCILE", 5


class Halt(FairleadError):
    verb, exit_status = "HALT", 6


class Usage(FairleadError):
    verb, exit_status = "USAGE", 2


class Denied(FairleadError):
    verb, exit_status = "DENIED", 3
