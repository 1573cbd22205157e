"""The attacks as data: how many, how different, in which order; and a referee that knows nothing of those it judges."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from agent.app.chaos.custody.catalogue import every
from agent.app.chaos.custody.run import order

ROOT = Path(__file__).resolve().parents[2]
WANTED = """transfer approve permit Permit2 delegatecall MultiSend enableModule addOwner recipient own&pool zero&minimum sandwich
another&chain another&receiver liquidated delegated eMode collateral aWETH LP&NFT operation paymaster gas&money nonce held padding
dirty&bits sub-plan permitWitness every&chain exchange settings ledger drift"""


def test_two_hundred_at_least_and_no_two_alike() -> None:
    found = every()
    assert len(found) >= 200
    assert [name for name, n in Counter((m.family, m.name) for m in found).items() if n > 1] == []
    assert all(m.rule for m in found if m.repelled), "who is to be repelled is repelled by a rule"
    assert sum(m.repelled for m in found) >= 400


def test_every_family_an_owner_would_ask_about_is_among_them() -> None:
    text = " ".join(f"{m.family}: {m.name}" for m in every())
    assert [word for word in WANTED.split() if word.replace("&", " ") not in text] == []


def test_a_seed_gives_one_order_of_all_of_them() -> None:
    found = every()
    first, again, other = order(5, found), order(5, found), order(6, found)
    assert first == again != other
    assert sorted(map(id, first)) == sorted(map(id, found)) and first[0].first and other[0].first


def test_the_referee_knows_nothing_of_those_it_judges() -> None:
    say = "import sys, agent.app.chaos.custody.referee as _; print(*sorted(m for m in sys.modules if m.split('.')[0] in ('agent', 'keys', 'chains', 'contracts')))"
    told = subprocess.run([sys.executable, "-c", say], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = set(told.stdout.split())
    assert "agent.app.chaos.custody.truth" in ours
    allowed = {
        "agent",
        "agent.app",
        "agent.app.chaos",
        "agent.app.chaos.custody",
        "contracts",
        "contracts.hashing",
    }
    own = ("truth", "exchange_truth", "referee")
    assert ours - allowed == {f"agent.app.chaos.custody.{name}" for name in own}
