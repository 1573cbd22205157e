"""Runs crises one after another over one loan; the referee decides beforehand what was possible, and judges each when it is over."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
from agent.app.chaos.rescue.bridged_crises import draw_bridged
from agent.app.chaos.rescue.bridged_world import ABOVE, BRIDGE, FEE_BPS, THERE, BridgedWorld
from agent.app.chaos.rescue.crises import TOP_1E8, Crisis, draw
from agent.app.chaos.rescue.world import (
    BARE_COST_USD,
    MISTAKEN,
    MOST_USD,
    SLIPPAGE_BPS,
    TARGET,
    TRIGGER,
    UPTIME,
    WARN,
    World,
    with_rule,
)
from chains.devnet.addresses import CHAINS
from chains.devnet.deploy import across
from chains.devnet.deploy.aave import a_token
from chains.devnet.jsonrpc import Rpc
from chains.errors import Halt, Usage

Say = Callable[[str], None]
AT_ONCE = 60
"""Crises in one world: the records of a relay, and Anvil's, are kept in memory."""
STATES = 4_000
"""The referee asks about every block of a crisis when it is over."""


BRIDGE_KIND = "bridge"
KINDS = ("loan", BRIDGE_KIND)
MISTAKES = ("asleep", "thief", *MISTAKEN)


def run(
    seed: int,
    cases: Sequence[int],
    *,
    kind: str = "loan",
    mistake: str = "",
    say: Say = lambda text: None,
) -> Report:
    """Those cases of that seed and that one of KINDS, on devnets of their own. `mistake`: what goes wrong, for a control. Raises what the
    devnet and the referee raise."""
    from agent.app.devnet_home import bring_up
    from chains.devnet import service

    if mistake and mistake not in MISTAKES:
        raise Usage(
            "MISTAKE_UNKNOWN", f"no control is called {mistake!r}", f"there are {', '.join(MISTAKES)}"
        )

    began, report = time.monotonic(), Report("rescue", seed, len(cases))
    for start in range(0, len(cases), AT_ONCE):
        with tempfile.TemporaryDirectory(prefix="fairlead-chaos-") as name:
            runtime = Path(name) / "devnet"
            try:
                bridge = kind == BRIDGE_KIND
                home = bring_up(
                    runtime=runtime,
                    fast=True,
                    executor=True,
                    bridge=bridge,
                    relayer=False,
                    states=STATES,
                    progress=say,
                )
                if home.settings is None:
                    raise Halt("CHAOS_WORLD", "the devnet came up without a wallet", "")
                some, urls = cases[start : start + AT_ONCE], home.status.cheat_urls
                if bridge:
                    bridged(home.settings, urls, Path(name), seed, some, report, say, mistake)
                else:
                    crises(home.settings, urls[1], Path(name), seed, some, report, say, mistake)
            finally:
                service.down(runtime=runtime)
    report.took_s = time.monotonic() - began
    return report


def crises(
    settings_path: Path,
    url: str,
    folder: Path,
    seed: int,
    cases: Sequence[int],
    report: Report,
    say: Say,
    mistake: str = "",
) -> None:
    """Those cases in a world that is there, bare wallets' last: `url` is the admin port of its chain 1, `folder` takes journals and alerts.
    Those want settings that opt in to FlashRepay."""
    drawn = [draw(seed, case) for case in cases]
    for bare in (False, True):
        some = [crisis for crisis in drawn if crisis.bare is bare]
        if some:
            beside = folder / ("bare" if bare else "wallet")
            beside.mkdir()
            world = World(with_rule(settings_path, beside, mistake, bare=bare), url, beside, say, bare=bare)
            more = {"most_cost_usd": BARE_COST_USD, "pools": world.pool_addresses if bare else ()}
            _befall(world, some, report, mistake, more)


def bridged(
    settings_path: Path,
    urls: Mapping[int, str],
    folder: Path,
    seed: int,
    cases: Sequence[int],
    report: Report,
    say: Say,
    mistake: str = "",
) -> None:
    """Those cases of money on another chain: `urls` are cheat urls of chains 1 and 8453, `folder` takes journal and alerts. Wants a signer that
    lists the bridge's ways."""
    for chain in across.NAMES:
        with Rpc(urls[chain]) as rpc:
            across.ensure(rpc, chain)
    beside = folder / BRIDGE_KIND
    beside.mkdir()
    path = with_rule(settings_path, beside, mistake, bridge=BRIDGE)
    world = BridgedWorld(path, urls[1], beside, say, there_url=urls[THERE])
    more = {"there": THERE, "there_url": urls[THERE], "above": ABOVE, "fee_bps": FEE_BPS}
    _befall(world, [draw_bridged(seed, case) for case in cases], report, mistake, more)


def _befall(
    world: World, some: Sequence[Crisis], report: Report, mistake: str, more: Mapping[str, Any]
) -> None:
    """`more` is what the referee has to know of this kind."""
    sender, say = world.settings.wallet.sender, world.say
    opening = {
        "url": world.url, "safe": world.safe, "sender": sender.address if sender else "",
        "alerts": str(world.settings.alerts.file), "trigger": TRIGGER, "warn": WARN, "target": TARGET, "most_usd": MOST_USD,
        "top_1e8": TOP_1E8, "uptime": UPTIME, "slippage_bps": SLIPPAGE_BPS,
        "feed": CHAINS[1].feeds["ETH"], "a_token": a_token(world.rpc, CHAINS[1].weth), **more,
    }  # fmt: skip
    referee = RefereeProcess("agent.app.chaos.rescue.referee", opening)
    if isinstance(world, BridgedWorld):
        world.mark = lambda: referee.ask({"do": "mark"})
    try:
        for number, crisis in enumerate(some):
            world.lay(crisis)
            if world.daemon is None and mistake != "asleep":
                world.take_over()
                world.begin()
            told = referee.ask({"do": "begin", "crisis": crisis.to_json()})
            hopeless = not told["feasible"] or mistake == "asleep"
            # What stands by itself may be paid for, and is not waited for again once the pools made that too dear.
            world.begun(needed=told["needed"] or not world.bare)
            for slot in crisis.slots:
                world.befall(slot, hopeless)
                world.lives_on()
            world.settle(hopeless)
            if mistake == "thief":
                world.steal()
            verdict = referee.ask({"do": "judge"})
            report.violations += verdict["violations"]
            report.counters.update(verdict["counters"])
            for found in verdict["violations"]:
                say(f"crisis {crisis.case}, {found['rule']}: {found['story']}")
            if number % 10 == 9:
                say(f"{number + 1} of {len(some)} crises, {len(report.violations)} violations")
        report.counters["sigkills"] += world.sigkills
    finally:
        referee.close()
        world.end()
