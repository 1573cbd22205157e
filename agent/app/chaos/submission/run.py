"""Runs cases: every lane works one after another, the lanes side by side, the weather goes on, and the referee judges at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
from agent.app.chaos.submission.arena import Arena, arena
from agent.app.chaos.submission.cases import DEAR, Told, live, read
from agent.app.chaos.submission.fates import Fate, draw
from agent.app.chaos.submission.lanes import Lane, Sender
from agent.app.chaos.submission.scene import ETHEREUM, Scene
from agent.app.chaos.submission.weather import Weather
from agent.journal.book import Book
from chains.errors import Usage
from chains.types import UnsignedTx
from contracts.codec import encode

Say = Callable[[str], None]
LANES = 12
AT_ONCE = 400
"""Cases in one world: the records of a relay, and Anvil's, are kept in memory."""


class Submissions(Report):
    """A report whose verdicts come world by world."""

    def add(self, verdict: dict[str, Any]) -> None:
        self.violations += verdict["violations"]
        longest = "included_blocks_max"
        most = max(self.counters[longest], verdict["counters"][longest])
        self.counters.update(verdict["counters"])
        self.counters[longest] = most


MISTAKES = ("public", "estimate", "silent", "twice", "forgets", "reverts", "leaky")


def run(
    seed: int,
    cases: Sequence[int],
    *,
    chain_id: int = ETHEREUM,
    mistake: str = "",
    say: Say = lambda text: None,
) -> Submissions:
    """Those cases of that seed, on Ethereum or a rollup. `mistake`: what desks do wrong, for a control. Raises what the devnet and the referee raise."""
    if mistake and mistake not in MISTAKES:
        raise Usage(
            "MISTAKE_UNKNOWN", f"no control is called {mistake!r}", f"there are {', '.join(MISTAKES)}"
        )
    if mistake == "leaky" and chain_id != ETHEREUM:
        raise Usage("MISTAKE_UNKNOWN", "a rollup has no builders that could leak", "leave --chain away")
    began, report = time.monotonic(), Submissions("submission", seed, len(cases))
    for start in range(0, len(cases), AT_ONCE):
        some = cases[start : start + AT_ONCE]
        asyncio.run(_world(Scene(chain_id), seed, some, report, mistake, say))
        say(f"{start + len(some)} of {len(cases)} submissions, {len(report.violations)} violations")
    report.took_s = time.monotonic() - began
    return report


async def _world(
    scene: Scene, seed: int, cases: Sequence[int], report: Submissions, mistake: str, say: Say
) -> None:
    fates = [draw(seed, case, rollup=scene.is_rollup) for case in cases]
    async with arena(scene, seed + cases[0], min(LANES, len(fates)), say) as found:
        weather = Weather(scene.at, found.admin, found.pace, Random(f"weather {seed} {cases[0]}"))
        weather.pool = found.ground.pool
        await weather.prepare()
        for lane in found.lanes:
            lane.mistake = mistake
        if mistake == "leaky":
            await found.admin.call("relay_builder", [{"name": "titan", "leaks": "replay"}])
        referee = await asyncio.to_thread(
            RefereeProcess, "agent.app.chaos.submission.referee", {"admin": found.admin_url}
        )
        try:
            told = await _all(found, weather, fates)
            books = {lane.number: await asyncio.to_thread(lane.read_book) for lane in found.lanes}
            for one in told:
                read(books[one.lane.number], one)
                if mistake == "forgets":
                    one.fills.clear()
            question = {
                "do": "judge",
                "chain": scene.chain_id,
                "cases": [one.to_json() for one in told],
                "lanes": [_lane(lane, books[lane.number], told) for lane in found.lanes],
                "reorgs": weather.reorgs,
            }
            verdict = await asyncio.to_thread(referee.ask, question)
        finally:
            referee.close()
    report.add(verdict)
    report.counters["reorgs"] += len(weather.reorgs)
    report.counters["deaths"] += sum(one.deaths for one in told)
    report.counters["foreign_uses"] += sum(bool(one.foreign) for one in told)
    report.counters["sigkills"] += sum(one.sigkills for one in told)
    for one in told:
        report.counters[f"ended_{(one.status or 'open').lower()}"] += 1


def _lane(lane: Lane, book: Book, told: Sequence[Told]) -> dict[str, Any]:
    mine = [one.fate.case for one in told if one.lane is lane]
    gas = sum(book.gas_wei.values())
    return {"sender": lane.sender.address, "gas_wei": str(gas), "last_case": mine[-1] if mine else -1}


def _forgetful(lane: Lane) -> Lane:
    """The same wallet with an empty journal: what it was told to do once it does again."""
    folder = lane.folder / f"again-{lane.number}"
    folder.mkdir(exist_ok=True)
    return Lane(lane.number, lane.safe, folder, lane.ground, lane.pace)


async def _revert(lane: Lane, found: Arena) -> None:
    """A call of a function that the Safe does not let just anybody call, mined and paid for."""
    nonce = await lane.ground.gateway.nonce(lane.sender.address)
    wrong = UnsignedTx(
        lane.ground.scene.chain_id,
        nonce,
        lane.safe,
        0,
        encode("safe", "enableModule", (lane.safe,)),
        100_000,
        DEAR,
    )
    signed = await Sender(lane.sender).sign(wrong, 0, 0)
    await found.admin.call("eth_sendRawTransaction", ["0x" + signed.raw.hex()])


async def _all(found: Arena, weather: Weather, fates: Sequence[Fate]) -> list[Told]:
    waiting, told = list(reversed(fates)), list[Told]()

    async def work(lane: Lane) -> None:
        while waiting:
            fate = waiting.pop()
            told.append(await live(lane, fate, found))
            if lane.mistake == "twice":
                again = _forgetful(lane)
                await live(again, fate, found)
                again.close()
            elif lane.mistake == "reverts":
                await _revert(lane, found)

    async def all_lanes() -> None:
        async with asyncio.TaskGroup() as group:
            for lane in found.lanes:
                group.create_task(work(lane), name=lane.name)
        weather.stopped = True

    async with asyncio.TaskGroup() as both:
        both.create_task(weather.blow(), name="weather")
        both.create_task(all_lanes(), name="lanes")
    return told
