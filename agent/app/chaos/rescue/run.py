"""Runs crises one after another over one loan; the referee decides beforehand what was possible, and judges each when it is over."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.app.chaos.referee_process import RefereeProcess
from agent.app.chaos.report import Report
from agent.app.chaos.rescue.crises import TOP_1E8, draw
from agent.app.chaos.rescue.world import MISTAKEN, MOST_USD, TARGET, TRIGGER, UPTIME, WARN, World, with_rule
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
                home = bring_up(runtime=runtime, fast=True, progress=say)
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
    """Those cases in a world that is there: `url` is the admin port of its chain 1, `folder` takes journal and alerts."""
    world = World(with_rule(settings_path, folder, mistake), url, folder, say)
    opening = {
        "url": url, "safe": world.safe, "sender": world.settings.wallet.sender.address if world.settings.wallet.sender else "",
        "alerts": str(world.settings.alerts.file), "trigger": TRIGGER, "warn": WARN, "target": TARGET, "most_usd": MOST_USD,
        "top_1e8": TOP_1E8, "uptime": UPTIME,
    }  # fmt: skip
    referee = RefereeProcess("agent.app.chaos.rescue.referee", opening)
    try:
        for number, case in enumerate(cases):
            crisis = draw(seed, case)
            world.lay(crisis)
            if world.daemon is None and mistake != "asleep":
                world.take_over()
                world.begin()
            feasible = referee.ask({"do": "begin", "crisis": crisis.to_json()})["feasible"]
            hopeless = not feasible or mistake == "asleep"
            for slot in crisis.slots:
                world.befall(slot, hopeless)
            world.settle(hopeless)
            if mistake == "thief":
                world.steal()
            verdict = referee.ask({"do": "judge"})
            report.violations += verdict["violations"]
            report.counters.update(verdict["counters"])
            for found in verdict["violations"]:
                say(f"crisis {case}, {found['rule']}: {found['story']}")
            if number % 10 == 9:
                say(f"{number + 1} of {len(cases)} crises, {len(report.violations)} violations")
        report.counters["sigkills"] += world.sigkills
    finally:
        referee.close()
        world.end()
