"""One trade sent four ways past a bot that really trades around it: what it loses on chain is what the pools' arithmetic says, to the wei."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from anvil_support import ROOT
from devnet_fixture import _built
from home_fixture import wait_for
from sandwich_pit import CHAIN, HONEST, LEAKY, TRADER, USDC, WETH, Pit, pit

from agent.amm import Pool, swap_exact_in
from agent.app.adversary.sizing import Victim, whole
from agent.domain.routes import Leg
from agent.domain.units import less_bps_down
from chains.devnet.jsonrpc import Rpc

SELL = 60 * 10**18
NAIVE_BPS, OURS_BPS = 100, 50


@dataclass
class Told:
    """What one sending came to, USDC base units; `bitten` is the bot's own account of an attack that landed."""

    got: int
    alone: int
    floor: int
    bitten: dict[str, Any] | None

    @property
    def loss_bps(self) -> Fraction:
        return Fraction(10_000 * (self.alone - self.got), self.alone)


async def sent(p: Pit, legs: Sequence[Leg], tolerance_bps: int, builders: Sequence[str] = ()) -> Told:
    """Sent for block after block until one holds it. Chain, arithmetic, the bot's record and the MEV report have to agree."""
    tx = await p.sign(legs, tolerance_bps)
    pools, bot = await p.pools(), (await p.ask())["address"]
    usdc, purse = p.holds(CHAIN.usdc, TRADER.address), p.holds(CHAIN.wrapped_native, bot)
    for _ in range(30):
        await p.send(tx, builders)
        judged = await p.judged(tx) if not builders or LEAKY in builders else None
        if judged is None:
            assert await p.saw_nothing_of(tx), "nobody told the bot"
        await p.mine()
        got = p.holds(CHAIN.usdc, TRADER.address) - usdc
        if got:
            break
    mev = await p.look(tx)
    bitten = judged if judged is not None and mev.sandwich is not None else None
    if bitten is not None:
        assert mev.sandwich == (bitten["front"], bitten["back"]) and bitten["decision"] == "attacked"
    assert got == sum(expected(pools[leg.id], leg, bitten) for leg in legs)
    alone = sum(leg.out_raw for leg in legs)
    assert (mev.received_raw, mev.alone_raw, mev.loss_raw) == (got, alone, alone - got)
    took = sum(int(one["back_raw"]) - int(one["front_raw"]) for one in (bitten or {"legs": ()})["legs"])
    assert p.holds(CHAIN.wrapped_native, bot) - purse == took
    return Told(got, alone, sum(less_bps_down(leg.out_raw, tolerance_bps) for leg in legs), bitten)


def expected(pool: Pool, leg: Leg, bitten: dict[str, Any] | None) -> int:
    """What the leg gives by the exact arithmetic, after the bot's front-run of that pool where there was one."""
    for one in bitten["legs"] if bitten is not None else ():
        if one["pool"] == leg.id:
            first = whole(pool, WETH, USDC, int(one["front_raw"]))
            assert first is not None
            pool = first.after
    found = swap_exact_in(pool, WETH, USDC, leg.in_raw)
    return int(getattr(found, "amount_out", 0))


async def test_the_same_trade_sent_four_ways(tmp_path: Path) -> None:
    async with pit(tmp_path) as p:
        async with p.undone():
            naive = await sent(p, await p.alone(SELL), NAIVE_BPS)
            assert naive.bitten is not None and len(naive.bitten["legs"]) == 1
            assert naive.floor <= naive.got < less_bps_down(naive.alone, NAIVE_BPS - 1), (
                "all of its tolerance"
            )
        pools, one = await p.pools(), naive.bitten["legs"][0]
        victim = Victim(
            pools[one["pool"]], WETH, USDC, int(one["amount_raw"]), int(one["minimum_raw"]), Fraction(1)
        )
        front = int(one["front_raw"])
        assert victim.attacked(front) is not None and victim.attacked(front + 1) is None, "no larger one fits"

        legs = await p.route(SELL)
        assert len(legs) >= 3
        async with p.undone():
            openly = await sent(p, legs, OURS_BPS)
            assert openly.floor <= openly.got
            assert openly.got > naive.got and openly.loss_bps < naive.loss_bps
        async with p.undone():
            privately = await sent(p, legs, OURS_BPS, [HONEST])
            assert privately.bitten is None and privately.loss_bps == 0
        outcomes = []
        while len({one.bitten is None for one in outcomes}) < 2:
            assert len(outcomes) < 20, "each of them wins half of the slots"
            async with p.undone():
                leaked = await sent(p, legs, OURS_BPS, [LEAKY, HONEST])
                assert leaked.floor <= leaked.got, "no more than the minimum's margin"
                outcomes.append(leaked)
        assert {one.loss_bps for one in outcomes if one.bitten is None} == {0}, "the honest builder's block"
        assert {one.loss_bps for one in outcomes if one.bitten is not None} == {openly.loss_bps}

        for amount, tolerance_bps in ((10**17, NAIVE_BPS), (5 * 10**18, 2)):
            async with p.undone():
                small = await sent(p, await p.alone(amount), tolerance_bps)
                assert small.bitten is None and small.loss_bps == 0, "it does not pay the bot's gas and fees"


def _judged(bot: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(bot, timeout=10) as answer:
        return list(json.load(answer)["judged"])


@pytest.mark.full
@pytest.mark.parametrize("sold", [False, True])
def test_a_person_sees_what_a_trade_lost(tmp_path: Path, sold: bool) -> None:
    """In the open; and (`sold`) in private, by a builder that sells what it is told to the devnet's own bot."""
    _built()
    env = {**os.environ, "FAIRLEAD_HOME": str(tmp_path / "user")}

    def fairlead(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "agent", *words, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    runtime = ("--runtime", str(tmp_path / "devnet"))
    builder = ("--builder", "titan:100:leaks=sell") if sold else ()
    up = fairlead("devnet", "up", "--fast", "--with", "sandwich", *builder, *runtime)
    try:
        assert "sandwich" in [s["name"] for s in up["services"]]
        settings, url = Path(up["settings"]), next(s["url"] for s in up["services"] if s["name"] == "relay")
        text = settings.read_text().replace('# protection = "PRIVATE"', 'protection = "PUBLIC"', 1)
        text = text.replace('name = "flashbots"', 'name = "public"', 1).replace(f"{url}/relay", url, 1)
        if not sold:
            settings.write_text(text)
        words, road = ("--settings", str(settings)), () if sold else ("--protection", "public")
        trade = (
            *words,
            "trade",
            "sell",
            "50",
            "ETH",
            "--for",
            "USDC",
            "--live",
            "--yes",
            "--max-loss",
            "5000",
            *road,
        )
        with Rpc(next(s["url"] for s in up["services"] if s["name"] == "relay-admin")) as admin:
            admin(
                "relay_pause"
            )  # the next block waits until the bot has looked, however busy this machine is
            selling = subprocess.Popen([sys.executable, "-m", "agent", *trade], cwd=ROOT, env=env)
            bot = next(s["url"] for s in up["services"] if s["name"] == "sandwich")
            wait_for(lambda: {one["decision"] for one in _judged(bot)} == {"attacked"}, 120)
            admin("relay_resume")
            assert selling.wait(300) == 0
        assert {one["road"] for one in _judged(bot)} == {"titan" if sold else "public"}
        fills = [f for f in fairlead(*words, "report", "mev")["fills"] if f["place"] == "eip155:1"]
        assert fills and all(f["sandwich"] for f in fills), fills
    finally:
        fairlead("devnet", "down", *runtime)
