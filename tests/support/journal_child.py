"""A process that writes a journal until it is killed or its disk is full. It prints what was acknowledged, as it happens.

python journal_child.py crash PATH WRITERS        prints `ack SEQ` after every durable event
python journal_child.py full PATH EMERGENCY LIMIT  no file may grow beyond LIMIT bytes (0: the disk itself is small)
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from journal_events import Cancelled, Did, open_journal

from chains.errors import Halt


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def crash(path: Path, writers: int) -> None:
    journal = open_journal(path)
    say(f"open {journal.head()}")

    async def write(number: int) -> None:
        for i in range(1_000_000):
            await journal.record(Did(f"fl-{number}", i))
            seq = journal.append(Did(f"fl-{number}", i))
            await journal.durable(seq)
            say(f"ack {seq}")

    await asyncio.gather(*[write(number) for number in range(writers)])


async def full(path: Path, emergency: Path, limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    journal = open_journal(path, emergency=emergency)
    say(f"opened {'failed' if journal.failure else 'well'}")
    count = 0
    try:
        while True:
            await journal.record_durably(Did("fl-" + "x" * 400, count))
            count += 1
    except Halt as error:
        say(f"halted {error.code} after {count}")
    try:
        await journal.record(Did("fl-new-risk", 1))
    except Halt as error:
        say(f"refused {error.code}")
    for i in range(3):
        await journal.record_durably(Cancelled(f"fl-{i}", "the disk is full"))
        say(f"cancelled fl-{i}")
    journal.close()
    say("closed")


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        asyncio.run(crash(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(full(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
