"""Runs crises one after another over one loan; the referee decides beforehand what was possible, and judges each when it is over."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
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
from chains.devnet.deploy.aave import a_token
from chains.errors import Halt, Usage

Say = Callable[[str], None]
AT_ONCE = 60
"""Crises in one world: the records of a relay, and Anvil's, are kept in memory."""


MISTAKES = ("asleep", "thief", *MISTAKEN)


def run(seed: int, cases: Sequence[int], *, mistake: str = "", say: Say = lambda text: None) -> Report:
    """Those cases of that seed, on devnets of their own. `mistake`: what goes wrong, for a control. Raises what the devnet and the
    referee raise."""
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
                home = bring_up(runtime=runtime, fast=True, executor=True, progress=say)
                if home.settings is None:
                    raise Halt("CHAOS_WORLD", "the devnet came up without a wallet", "")
                some = cases[start : start + AT_ONCE]
                crises(home.settings, home.status.cheat_urls[1], Path(name), seed, some, report, say, mistake)
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
            _befall(settings_path, url, beside, some, report, say, mistake, bare=bare)


def _befall(
    settings_path: Path,
    url: str,
    folder: Path,
    some: Sequence[Crisis],
    report: Report,
    say: Say,
    mistake: str,
    *,
    bare: bool,
) -> None:
    world = World(with_rule(settings_path, folder, mistake, bare=bare), url, folder, say, bare=bare)
    opening = {
        "url": url, "safe": world.safe, "sender": world.settings.wallet.sender.address if world.settings.wallet.sender else "",
        "alerts": str(world.settings.alerts.file), "trigger": TRIGGER, "warn": WARN, "target": TARGET, "most_usd": MOST_USD,
        "top_1e8": TOP_1E8, "uptime": UPTIME, "most_cost_usd": BARE_COST_USD, "slippage_bps": SLIPPAGE_BPS,
        "pools": world.pool_addresses if bare else (), "feed": CHAINS[1].feeds["ETH"], "a_token": a_token(world.rpc, CHAINS[1].weth),
    }  # fmt: skip
    referee = RefereeProcess("agent.app.chaos.rescue.referee", opening)
    try:
        for number, crisis in enumerate(some):
            world.lay(crisis)
            if world.daemon is None and mistake != "asleep":
                world.take_over()
                world.begin()
            told = referee.ask({"do": "begin", "crisis": crisis.to_json()})
            hopeless = not told["feasible"] or mistake == "asleep"
            # What stands by itself may be paid for, and is not waited for again once the pools made that too dear.
            world.begun(needed=told["needed"] or not bare)
            for slot in crisis.slots:
                world.befall(slot, hopeless)
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
