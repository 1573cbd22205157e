"""What `panic` says of an order for others to settle: over once its last second has passed for sure, before that what its book says."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import custody as c
from offer_world import World
from settings_values import values

from agent.app import template
from agent.app.panic import CLOCK_SLACK_S, _offer
from agent.app.settings import Settings, parse
from agent.journal.records import PartRecord


def record(owner: str = c.SAFE) -> PartRecord:
    made = World(owner=owner)
    return PartRecord(made.part, True, authorized=made.authorized, is_offer=True)


def settings(book: str = "") -> Settings:
    path, given = Path("/nowhere/fairlead.toml"), values()
    if book:
        given["chains"][0]["order_book"] = {"name": "cow", "url": book}
    return parse(template.render(given, path), path).settings


async def told(now_s: int, book: str = "", owner: str = c.SAFE) -> tuple[bool, str]:
    async with aiohttp.ClientSession() as session:
        (done,) = await _offer(settings(book), session, record(owner), now_s)
        return done.confirmed, done.told


async def test_its_last_second_is_believed_only_once_no_clock_could_be_before_it() -> None:
    authorized = record().authorized
    assert authorized is not None
    last = authorized.deadline_s
    assert await told(last + CLOCK_SLACK_S + 1) == (
        True,
        "its last second has passed: no block can settle it any more",
    )
    for early in (last - 10, last, last + CLOCK_SLACK_S):
        confirmed, text = await told(early)
        assert not confirmed and f"until {last}" in text and "no order book is configured" in text


async def test_a_book_that_does_not_answer_confirms_nothing() -> None:
    confirmed, text = await told(0, "http://127.0.0.1:9")
    assert not confirmed and "does not answer" in text and "fairlead cancel fl-1" in text


async def test_of_one_under_the_agents_key_it_says_what_one_owner_can_do_and_where_the_rest_lies() -> None:
    holder = "0x3333333333333333333333333333333333333333"
    confirmed, text = await told(0, owner=holder)
    assert not confirmed and f"`end` at {holder}" in text and "wallet freeze --owner" in text
    confirmed, text = await told(2_000_000_000, owner=holder)
    assert confirmed and f"lies in {holder} until anybody calls its `end`" in text
