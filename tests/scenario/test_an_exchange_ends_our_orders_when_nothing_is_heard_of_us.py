"""The exchange's dead man's switch: held while an order of ours works there, renewed, let go in order, and missed aloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from ccxt_markets import Offline
from desk import PAPER, Grave, Office, order
from venue_rigs import hyper_account

from agent.app.dead_man import Switched, dead_men
from agent.domain.errors import FairleadError, Reconcile, Reject, Retry
from agent.domain.events import Alarmed
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.ports import Clock
from agent.venues.ccxt.exchanges import KNOWN, switching


class Switch:
    """Remembers what it was told and when, in seconds; `refuses` is raised instead while it is set."""

    name, schedules_cancel = "paper", True

    def __init__(self, clock: Clock) -> None:
        self.told: list[tuple[int, float | None]] = []
        self.refuses: FairleadError | None = None
        self._clock = clock

    async def schedule_cancel(self, seconds: float | None) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.told.append((self._clock.now_ns() // 10**9, seconds))


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[tuple[Office, Desk, Switch, asyncio.Task[None], Grave]]:
    office, grave = Office(folder, places=(PAPER,)), Grave()
    async with office.open(grave) as desk:
        switch = Switch(desk.clock)
        (man,) = dead_men(
            {"paper": switch, "other": object()}, {"paper": 60, "other": 60}, desk.clock, desk.journal
        )
        running = asyncio.create_task(man.run())
        try:
            yield office, desk, switch, running, grave
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def lost(office: Office) -> None:
    """The next order's request never arrives, so that it stands open for as long as it could still."""
    assert office.venue is not None
    office.venue.next_submit = ["lost_before"]


async def test_it_is_held_from_before_an_order_leaves_until_nothing_is_open_there(tmp_path: Path) -> None:
    async with held(tmp_path) as (office, desk, switch, _, _):
        await desk.clock.sleep(100)
        assert not switch.told, "nothing works there: other people's orders are let be"
        lost(office)
        began = desk.clock.now_ns() // 10**9
        doing = asyncio.create_task(work(order(office, "1", life_s=60), desk))
        await desk.clock.sleep(3)
        assert switch.told and switch.told[0][1] == 60 and switch.told[0][0] - began <= 3
        await doing
        await desk.clock.sleep(70)
        assert switch.told[-1][1] is None
        gaps = [b[0] - a[0] for a, b in zip(switch.told, switch.told[1:], strict=False)]
        assert gaps and max(gaps) <= 21, "renewed at a third of its time"


async def test_an_end_in_order_lets_it_go_and_a_refusal_is_an_alarm_once(tmp_path: Path) -> None:
    async with held(tmp_path) as (office, desk, switch, running, _):
        lost(office)
        doing = asyncio.create_task(work(order(office, "1", life_s=60), desk))
        await desk.clock.sleep(3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [seconds for _, seconds in switch.told][-1] is None
        await doing
    for refuses, ends in (
        (Reject("VENUE_REFUSED", "not enough volume traded"), True),
        (Retry("X", "gone"), False),
    ):
        async with held(tmp_path / refuses.code) as (office, desk, switch, running, grave):
            lost(office)
            switch.refuses = refuses
            doing = asyncio.create_task(work(order(office, "1", life_s=60), desk))
            await desk.clock.sleep(3)
            await doing
            assert running.done() is ends
            told = [
                event for event in grave.seen if isinstance(event, Alarmed) and event.code == "NO_DEAD_MAN"
            ]
            assert len(told) == 1 and refuses.message in told[0].message


async def test_one_that_was_taken_up_is_taken_up_again_whatever_was_said_meanwhile(tmp_path: Path) -> None:
    async with held(tmp_path) as (office, desk, switch, running, grave):
        lost(office)
        doing = asyncio.create_task(work(order(office, "1", life_s=60), desk))
        await desk.clock.sleep(3)
        count = len(switch.told)
        switch.refuses = Reject("VENUE_REFUSED", "an internal error")
        await desk.clock.sleep(21)
        switch.refuses = None
        lost(office)
        more = asyncio.create_task(work(order(office, "1", salt="more", life_s=60), desk))
        await desk.clock.sleep(3)
        assert not running.done() and len(switch.told) > count and switch.told[-1][1] == 60
        await asyncio.gather(doing, more)
        assert len([e for e in grave.seen if isinstance(e, Alarmed) and e.code == "NO_DEAD_MAN"]) == 1


async def test_one_whose_answer_was_lost_is_let_go_like_any_other(tmp_path: Path) -> None:
    async with held(tmp_path) as (office, desk, switch, running, _):
        lost(office)
        switch.refuses = Reconcile("VENUE_TIMEOUT", "no answer")
        doing = asyncio.create_task(work(order(office, "1", life_s=60), desk))
        await desk.clock.sleep(3)
        switch.refuses = None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [seconds for _, seconds in switch.told] == [None]
        await doing


async def test_hyperliquids_session_has_it_and_settings_may_leave_it_out() -> None:
    async with hyper_account() as (server, venue):
        assert isinstance(venue, Switched)
        await venue.schedule_cancel(60)
        assert server.scheduled == server.now_ms + 60_000

    class Quiet:
        watchers: list[object] = []

    quiet = Quiet()
    assert not dead_men({"hl": venue}, {"hl": 0}, None, quiet)  # type: ignore[arg-type]
    assert len(dead_men({"hl": venue}, {"hl": 60}, None, quiet)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exchange", "word", "seconds"),
    [("kraken", "timeout", "60"), ("okx", "timeOut", "60"), ("gate", "timeout", "60")],
)
async def test_of_the_family_those_that_have_one_are_asked_in_their_own_words(
    exchange: str, word: str, seconds: str
) -> None:
    offline = Offline(exchange)
    for asked, told in ((60.0, seconds), (None, "0")):
        offline.leave(await offline.library.captured(*switching(KNOWN[exchange].switch, asked)))
        call, counted = offline.calls[-1]
        assert Decimal(str(call.params[word])) == Decimal(told) and counted is None and call.writes
        assert set(call.params) <= {word, "nonce"}, "of all symbols"
    await offline.close()


def test_of_the_family_no_other_has_one_that_is_used() -> None:
    assert {name for name, known in KNOWN.items() if known.switch} == {"kraken", "okx", "gate"}
