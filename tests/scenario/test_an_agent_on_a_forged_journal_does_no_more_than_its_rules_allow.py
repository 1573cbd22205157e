"""A journal written anew by a thief, hashes, index and heads beside it as they should be: the agent believes it, and that is all.

What it then wants passes the risk rules, the signer and the chains' nonces like any other wish, and a head that an alert carried away
finds the forgery.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.request import urlopen

import pytest
from home_fixture import Home

from agent.app.chaos.custody.forger import rewrite
from agent.domain.events import Accepted
from agent.domain.ids import ClOrdId, IntentId
from agent.journal.chain import Entry
from agent.journal.registry import event_codec
from chains.devnet.jsonrpc import Rpc

pytestmark = pytest.mark.devnet
NONCE = "0xaffed0e0"
RUN = "run --once --live --yes --max-loss 900 --json"


def of_its_own(home: Home, folder: Path) -> Path:
    """The home's settings with another journal."""
    path = home.settings_path.with_name(f"forged-{folder.name}.toml")
    own = folder / "journal.db"
    lines = [
        line
        for line in home.settings_path.read_text().splitlines()
        if not line.startswith(("path = ", "emergency_path = "))
    ]
    text = "\n".join(lines).replace(
        "[journal]", f'[journal]\npath = "{own}"\nemergency_path = "{folder}/emergency.bin"'
    )
    assert str(own) in text
    path.write_text(text + "\n")
    return path


def effects(home: Home) -> tuple[object, ...]:
    """The Safe's nonce and the sender's on every chain, and all trades of the account at the exchange."""
    wallet, found = home.settings.wallet, []
    assert wallet.sender is not None
    for url in home.urls.values():
        with Rpc(url) as rpc:
            found.append(rpc("eth_call", {"to": wallet.address, "data": NONCE}, "latest"))
            found.append(rpc("eth_getTransactionCount", wallet.sender.address, "latest"))
    with urlopen(f"{home.paper_url}/admin/truth") as answer:
        found.append(len(json.load(answer)["trades"]))
    return tuple(found)


def traded(home: Home, folder: Path, qty: str) -> tuple[Path, Path, str]:
    """(settings, journal, head) after an honest trade."""
    settings, journal = of_its_own(home, folder), folder / "journal.db"
    assert home.run("reconcile --adopt --at-once", settings).status == 0, (
        "others have traded with this home's keys"
    )
    done = home.run(f"trade sell {qty} ETH --for USDC --live --yes --max-loss 900", settings, 180)
    assert done.status == 0, done.err
    told = home.run("journal verify --json", settings).json
    assert told["valid"] and told["journal"] == str(journal)
    return settings, journal, told["head"]


def found_from_outside(home: Home, settings: Path, head: str) -> str:
    """The kind of fault that a head of before shows; of itself the journal is perfect."""
    assert home.run("journal verify", settings).status == 0, "the forgery is a good one"
    told = home.run(f"journal verify --head {head} --json", settings)
    assert told.status == 6
    (fault,) = told.json["faults"]
    return str(fault["kind"])


@pytest.mark.parametrize(
    ("qty", "slippage_bps", "rule"),
    [("200", 50, "250000 are allowed at once"), ("1", 9_999, "above the limit of 100"), ("1", 50, "")],
)
def test_an_order_written_into_it_meets_the_same_rules(
    home: Home, tmp_path: Path, qty: str, slippage_bps: int, rule: str
) -> None:
    """What is beyond the limits is denied; what is within them is traded, as any order of that size would be, for the Safe's own account."""
    settings, journal, head = traded(home, tmp_path, "1")

    def larger(entries: list[Entry]) -> Sequence[Entry]:
        """The first order accepted once more, of that size, under another name; in the place of the last entry."""
        codec = event_codec()
        like = next(e for e in entries if e.kind == "Accepted")
        honest = codec.decode(like.kind, like.version, like.payload)
        assert isinstance(honest, Accepted)
        wish = replace(
            honest.parent.intent,
            id=IntentId("in-of-the-thief"),
            qty=Decimal(qty),
            limit_px=Decimal(1),
            max_slippage_bps=slippage_bps,
            expire_ns=honest.at_ns + 10**9 * 86_400,
        )
        forged = Accepted(
            replace(honest.parent, cl_ord_id=ClOrdId("fl-of-the-thief"), intent=wish), honest.at_ns
        )
        kind, version, payload = codec.encode(forged)
        return [*entries[:-1], replace(like, kind=kind, version=version, payload=payload)]

    rewrite(journal, larger, heads=True)
    kind = found_from_outside(home, settings, head)
    before = effects(home)
    told = home.run(RUN, settings, 180)
    (order,) = [o for o in told.json["orders"] if o["cl_ord_id"] == "fl-of-the-thief"]
    assert rule in order["why"] and order["status"] == ("FAILED" if rule else "FILLED")
    assert (effects(home) == before) == bool(rule), told.err
    assert kind == "REWRITTEN"


def test_a_trade_whose_end_was_cut_off_is_not_made_again(home: Home, tmp_path: Path) -> None:
    settings, journal, head = traded(home, tmp_path, "16")

    def forgotten(entries: list[Entry]) -> Sequence[Entry]:
        """All that came after the last signature."""
        last = max(n for n, entry in enumerate(entries) if entry.kind == "Authorized")
        return entries[: last + 1]

    rewrite(journal, forgotten, heads=True)
    kind = found_from_outside(home, settings, head)
    before = effects(home)
    told = home.run(RUN, settings, 180)
    assert effects(home) == before, told.err
    (order,) = told.json["orders"]
    assert (order["status"], Decimal(order["filled_base"])) == ("FILLED", 16)
    assert kind == "TRUNCATED"
