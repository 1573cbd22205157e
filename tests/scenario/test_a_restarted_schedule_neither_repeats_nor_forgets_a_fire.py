"""A job's fires across a kill: each at most once, the newest missed one late, older ones skipped and said."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from home_fixture import Home

pytestmark = pytest.mark.devnet
EVERY_S = 4
JOB = f"""
[[jobs]]
name = "drip"
every = "{EVERY_S}s"
side = "sell"
qty = "0.05"
base = "ETH"
quote = "USDC"
"""


def fires(home: Home) -> list[int]:
    book = home.book()
    found = [
        r.parent.intent.created_ns for r in book.parents.values() if r.parent.intent.source == "job:drip"
    ]
    return [at // 10**9 for at in found]


@pytest.mark.full
def test_a_kill_between_two_fires(home: Home, tmp_path: Path) -> None:
    settings = home.settings_path.with_name("jobs.toml")
    settings.write_text(home.settings_path.read_text() + JOB)
    daemon = home.start("run --live --yes --max-loss 50", settings)
    home.wait_for(lambda: len(fires(home)) >= 2)
    daemon.end(signal.SIGKILL)
    before = fires(home)
    time.sleep(3 * EVERY_S + 1)
    daemon = home.start("run --live --yes --max-loss 50", settings)
    home.wait_for(lambda: len(fires(home)) >= len(before) + 3)
    assert daemon.end(signal.SIGTERM).status in (0, 5)
    after = fires(home)
    assert len(set(after)) == len(after), "a fire was repeated"
    assert all(at % EVERY_S == 0 for at in after)
    resumed = after[len(before) :]
    gap = resumed[0] - before[-1]
    assert gap > EVERY_S, "the pause is in the record"
    assert daemon.err.count("was missed and is skipped") == gap // EVERY_S - 1
    assert all(later - earlier == EVERY_S for earlier, later in zip(resumed, resumed[1:], strict=False))
    (job,) = home.run("jobs --json", settings).json["jobs"]
    assert job["last_order"] in home.book().parents and job["enabled"]


def test_a_job_that_could_lose_too_much_is_not_done_and_not_asked_again(home: Home) -> None:
    settings = home.settings_path.with_name("dear.toml")
    settings.write_text(home.settings_path.read_text() + JOB.replace("drip", "dear"))
    daemon = home.start("run --live --yes --max-loss 0.01", settings)
    daemon.says("was not done")
    daemon.end(signal.SIGTERM)
    closed = [r.closed for r in home.book().parents.values() if r.parent.intent.source == "job:dear"]
    assert closed and all(c is not None and c.status == "FAILED" and "MAX_LOSS" in c.why for c in closed)
    assert "JOB_NOT_DONE" in (home.settings.alerts.file or Path()).read_text()


def test_unattended_runs_need_their_words(home: Home) -> None:
    assert home.run("run --live").status == 2
    live = home.settings_path.with_name("live.toml")
    text = home.settings_path.read_text().replace('environment = "devnet"', 'environment = "live"')
    live.write_text(text.replace("unattended = true", "unattended = false"))
    refused = home.run("run --live --yes --max-loss 50 --once --json".replace(" --once --json", ""), live)
    assert refused.status in (2, 3) and (
        "NO_ONCHAIN_PERMISSIONS" in refused.err or "SETTINGS_INVALID" in refused.err
    )
