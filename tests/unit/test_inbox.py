"""Requests between processes: taken once, answered, withdrawn where nobody listens, refused where they are not requests."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from agent.app.inbox import Answer, Inbox, Request
from agent.domain.errors import Denied, Halt
from agent.transport.clock import SystemClock


class Server:
    def __init__(self, inbox: Inbox) -> None:
        self.inbox, self.seen = inbox, list[Request]()

    async def handle(self, request: Request) -> Answer:
        self.seen.append(request)
        return Answer(True, f"did {request.kind}")

    async def __aenter__(self) -> Server:
        self.task = asyncio.create_task(self.inbox.serve(self.handle))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", SystemClock())


async def test_a_request_is_handled_once_and_answered(inbox: Inbox) -> None:
    async with Server(inbox) as server:
        answers = await asyncio.gather(*(inbox.ask("cancel", "test", id=f"p-{n}") for n in range(3)))
    assert [a.unwrap() for a in answers if a is not None] == ["did cancel"] * 3
    assert sorted(r.fields["id"] for r in server.seen) == ["p-0", "p-1", "p-2"]
    assert os.listdir(inbox.folder) == [], "nothing is left behind"


async def test_what_nobody_takes_is_withdrawn(inbox: Inbox) -> None:
    assert await inbox.ask("halt", "test", patience_s=0.2, why="x") is None
    async with Server(inbox) as server:
        await asyncio.sleep(0.5)
    assert server.seen == []


async def test_what_a_dying_process_had_taken_is_taken_up_by_the_next(inbox: Inbox) -> None:
    name = inbox.put("cancel", "test", id="p-1")
    (inbox.folder / f"{name}.json").rename(inbox.folder / f"{name}.taken")
    async with Server(inbox) as server:
        await asyncio.sleep(0.5)
    assert [r.fields["id"] for r in server.seen] == ["p-1"]
    assert json.loads((inbox.folder / f"{name}.answer").read_text())["ok"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"fairlead": "inbox/2", "kind": "halt"}', '{"fairlead": "inbox/1", "kind": "sell"}'],
)
async def test_what_is_no_request_is_refused_and_not_handled(inbox: Inbox, text: str) -> None:
    inbox.folder.mkdir(mode=0o700)
    name = f"{time.time_ns()}-1-x"
    (inbox.folder / f"{name}.json").write_text(text)
    async with Server(inbox) as server:
        await asyncio.sleep(0.4)
    told = json.loads((inbox.folder / f"{name}.answer").read_text())
    assert server.seen == [] and not told["ok"] and told["code"] == "BAD_REQUEST"


async def test_a_refusal_is_raised_where_it_was_asked(inbox: Inbox) -> None:
    answer = Answer(False, "not now", "HALTED", "resume", "DENIED")
    with pytest.raises(Denied, match="not now"):
        answer.unwrap()


async def test_answers_nobody_fetched_are_cleared_away(inbox: Inbox) -> None:
    inbox.folder.mkdir(mode=0o700)
    (inbox.folder / "1-1-x.answer").write_text("{}")
    async with Server(inbox):
        await asyncio.sleep(0.4)
    assert os.listdir(inbox.folder) == []


async def test_the_folder_is_its_owners_alone(inbox: Inbox) -> None:
    inbox.put("halt", "test", why="x")
    assert inbox.folder.stat().st_mode & 0o077 == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in inbox.folder.iterdir())


async def test_an_inbox_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Halt, match="cannot be written"):
        Inbox(tmp_path / "file" / "inbox", SystemClock()).put("halt", "test")
