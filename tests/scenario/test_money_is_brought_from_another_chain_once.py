"""`fairlead bridge` from the command line, over the genuine SpokePools: to the wei on both chains, once, whatever happens on the way."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest
from bridge_home import BridgeHome
from home_fixture import wait_for

from chains.devnet.addresses import CHAINS
from chains.profiles.ethereum import CHAIN
from contracts.codec import encode

assert CHAIN.aave is not None
POOL = CHAIN.aave.pool
pytestmark = pytest.mark.devnet
RESCUE = {"name": "house", "chain": "ethereum", "most_usd": "9000", "per_day_usd": "60000"}
PAY = "--live --yes --max-loss 50 --json"


def test_killed_on_the_way_it_goes_on_and_is_sent_once(bridge_home: BridgeHome) -> None:
    home = bridge_home
    words = "250.000007 USDC --from base --to ethereum"
    before = {chain: home.balance(chain, "USDC") for chain in (1, 8453)}
    sent = home.deposits(8453)
    dry = home.run(f"bridge send {words} --json")
    assert dry.status == 0 and dry.json["done"] is False and home.deposits(8453) == sent, dry.err
    assert [dry.json[f"{part}_raw"] for part in ("in", "out", "fee")] == ["250000007", "249750006", "250001"]
    running = home.start(f"bridge send {words} --live --yes --max-loss 50")
    wait_for(
        lambda: [c.stage for c in home.book().crossings.values()] == ["DEPOSITED"], 60, lambda: running.err
    )
    running.end(signal.SIGKILL)
    again = home.run(f"bridge send {words} {PAY}")
    assert again.status == 3 and again.json["error"]["code"] == "BRIDGE_IN_FLIGHT", again.out
    told = home.run("positions --json").json["balances"]
    # Not there yet, and a hundredth less: floor(249750006 × 0.99).
    (row,) = [r for r in told if r["place"] == "bridge:across"]
    assert row["qty"] == "247.252505" and "on its way to ethereum" in row["where"]

    (coming,) = [
        f
        for a in home.run("health --json").json["accounts"]
        if a["chain"] == "eip155:1"
        for f in a["in_flight"]
    ]
    assert (coming["raw"], coming["counts_raw"]) == ("249750006", "247252505")

    with home.relaying():
        done = home.run("run --once --json")
    assert done.status == 0 and done.json["crossings"] == [], done.err + done.out
    (one,) = home.run("bridge list --all --json").json["crossings"]
    assert one["stage"] == "ARRIVED" and one["paid_raw"] == "249750006" and one["held_raw"]["fee"] == "250001"
    after = {chain: home.balance(chain, "USDC") for chain in (1, 8453)}
    assert (after[8453] - before[8453], after[1] - before[1]) == (-250_000_007, 249_750_006)
    assert home.deposits(8453) == sent + 1
    agreed = home.run("reconcile --json")
    assert agreed.status == 0, "what arrived is in the book, and nothing was adopted for it: " + agreed.out


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_killed_at_any_moment_it_was_sent_once_or_never(bridge_home: BridgeHome) -> None:
    """Two dozen deaths at drawn moments: what the journal then says of each is what both chains say, to the wei."""
    home, draw, seen = bridge_home, random.Random(7), Counter[str]()
    for n in range(24):
        before = {chain: home.balance(chain, "USDC") for chain in (1, 8453)}
        known, deposits = set(home.book().crossings), home.deposits(8453)
        running = home.start(
            f"bridge send {10 + n}.000001 USDC --from base --to ethereum --live --yes --max-loss 50"
        )
        time.sleep(draw.uniform(0.3, 6))
        running.end(signal.SIGKILL)
        with home.relaying():
            told = home.run("run --once --json")
        assert told.status == 0, told.out + told.err
        new = [c for name, c in home.book().crossings.items() if name not in known]
        assert len(new) <= 1 and all(c.stage in ("ARRIVED", "DROPPED") for c in new)
        sent = [c for c in new if c.stage == "ARRIVED"]
        assert home.deposits(8453) - deposits == len(sent)
        assert before[8453] - home.balance(8453, "USDC") == sum(c.in_raw for c in sent)
        assert home.balance(1, "USDC") - before[1] == sum(c.paid_raw for c in sent)
        seen[new[0].stage if new else "never begun"] += 1
    assert seen["ARRIVED"] >= 3 and seen["ARRIVED"] < 24, seen


def test_what_no_relayer_takes_is_told_comes_back_and_is_counted_throughout(bridge_home: BridgeHome) -> None:
    """A fee below the relayer's: expired by base's final clock, still owed, and given back whole."""
    home = bridge_home
    mean = home.variant("mean", bridge={"fee_bps": 1, "life_s": 300, "usual_s": 10})
    before = home.balance(1, "USDC")
    known = set(home.book().crossings)
    running = home.start(f"bridge send 100 USDC --from ethereum --to base {PAY}", mean)

    def stages() -> list[str]:
        return [c.stage for name, c in home.book().crossings.items() if name not in known]

    wait_for(lambda: stages() == ["DEPOSITED"], 60, lambda: running.err)
    assert home.relayer.step() == 0, "too little for it"
    home.later(8453, 400)
    ended = running.end()
    assert ended.status == 4 and ended.json["crossing"]["stage"] == "EXPIRED", ended.err
    late = ended.json["crossing"]
    assert late["held_raw"]["flying"] == "100000000" and late["counts_raw"] == "0", (
        "it cannot arrive any more"
    )
    assert home.balance(1, "USDC") == before - 100_000_000
    home.relayer.give_back(home.relayer.found[-1])
    over = home.run("run --once --json", mean)
    assert over.status == 0 and over.json["crossings"] == [], over.out
    assert stages() == ["REFUNDED"] and home.balance(1, "USDC") == before


def test_what_cannot_be_sent_is_refused_by_name_before_anything_is_signed(bridge_home: BridgeHome) -> None:
    home = bridge_home
    book = home.book().events
    for words, status, code in (
        ("1.0000001 USDC --from base --to ethereum", 2, "TOO_MANY_DECIMALS"),
        ("1 USDC --from base --to arbitrum", 4, "BRIDGE_CLOSED"),
        ("15000 USDC --from base --to ethereum", 3, "BRIDGE_LIMIT"),
        ("900 USDC --from base --to ethereum --max-loss 0.5", 3, "MAX_LOSS"),
    ):
        no = home.run(f"bridge send {PAY} {words}")
        assert no.status == status and no.json["error"]["code"] == code and no.json["error"]["hint"], no.out
    assert home.book().events == book, "nothing was begun"


def lent(verb: str, token: str, raw: int, *rest: object) -> tuple[tuple[str, bytes], ...]:
    approve = encode("erc20", "approve", (POOL, raw))
    return (token, approve), (POOL, encode("aave_v3_pool", verb, (token, raw, *rest)))


@pytest.fixture
def indebted(bridge_home: BridgeHome) -> Iterator[BridgeHome]:
    """On chain 1 a loan with a health factor of 1.66 at 3,000 dollars an ETH, and nothing else; on chain 8453 60,000 USDC and more."""
    home = bridge_home
    held = {symbol: home.balance(1, symbol) for symbol in ("USDC", "WETH")}
    home.as_safe(*lent("supply", CHAINS[1].weth, 2 * 10**18, home.home.safe, 0))
    home.as_safe(
        (POOL, encode("aave_v3_pool", "borrow", (CHAINS[1].usdc, 3_000 * 10**6, 2, 0, home.home.safe)))
    )
    for symbol in held:
        home.give(symbol, 1, -home.balance(1, symbol))
    assert home.factor() // 10**15 in range(1_655, 1_665)
    yield home
    home.eth_at(3_000)
    home.give("USDC", 1, 10_000 * 10**6)
    home.as_safe(
        *lent("repay", CHAINS[1].usdc, 2**256 - 1, 2, home.home.safe),
        (CHAINS[1].usdc, encode("erc20", "approve", (POOL, 0))),
        (POOL, encode("aave_v3_pool", "withdraw", (CHAINS[1].weth, 2**256 - 1, home.home.safe))),
    )
    for symbol, raw in held.items():
        home.give(symbol, 1, raw - home.balance(1, symbol))


def test_a_loan_is_saved_with_money_from_another_chain_or_it_is_said_why_not(indebted: BridgeHome) -> None:
    home = indebted
    settings = home.variant("rescue", rescues=[RESCUE])
    known = set(home.book().crossings)
    there = home.balance(8453, "USDC")
    home.eth_at(1_850)  # 1.0237: a little more, and it could be liquidated while the money is on its way
    late = home.run("rescue --chain ethereum --json", settings)
    (account,) = late.json["accounts"]
    assert late.status == 4 and account["bring"] == [] and account["plans"] == [], late.out
    (slow,) = [d for d in account["doubts"] if d["code"] == "BRIDGE_TOO_SLOW"]
    assert "below rescues.bridge_above (1.03)" in slow["message"]
    how = [line for need in account["missing"] for line in need["how"]]
    assert not any("bridge" in line for line in how) and any("from paper" in line for line in how), (
        "the next is told"
    )

    home.eth_at(2_000)
    with home.relaying():
        daemon = home.start("run --live --yes --max-loss 200", settings)
        daemon.says("RESCUED", 90)
        wait_for(
            lambda: {c.stage for n, c in home.book().crossings.items() if n not in known} == {"ARRIVED"}, 60
        )
        daemon.end(signal.SIGTERM)
    (name,) = set(home.book().crossings) - known
    one = home.book().crossings[name]
    (told,) = [a.message for a in home.book().alarms if a.code == "RESCUED"]
    after, foretold = re.findall(r"→ ([\d.]+) \(foretold ([\d.]+)\)", told)[0]
    assert after == foretold and Decimal(after) >= Decimal("1.35") and home.factor() >= 135 * 10**16, told
    assert there - home.balance(8453, "USDC") == one.in_raw, "sent once"
    (paid,) = [r.part.in_raw for r in home.book().parts.values() if r.what.startswith("rescue house")]
    assert home.balance(1, "USDC") == one.paid_raw - paid >= 0, "and no more paid in than was needed"


@pytest.mark.full
def test_the_command_brings_it_and_pays_it_in_at_once(indebted: BridgeHome) -> None:
    """What the daemon does by itself, asked for: the payment does not wait for the deposit's finality."""
    home = indebted
    settings = home.variant("asked", rescues=[RESCUE])
    home.eth_at(2_000)
    shown = home.run("rescue --chain ethereum --json", settings)
    (account,) = shown.json["accounts"]
    assert shown.status == 4 and account["plans"] == [] and account["brought"] == [], shown.out
    way = account["bring"][0]
    assert way.startswith("bridge ") and way.endswith(" from base to ethereum")
    with home.relaying():
        done = home.run("rescue --chain ethereum --live --yes --max-loss 200 --json", settings)
    assert done.status == 0, done.err + done.out
    (account,) = done.json["accounts"]
    (crossing,), (paid,) = account["brought"], account["done"]
    # Prices and interest go on between the two looks: the amount may be another, the way is the same.
    assert crossing["stage"] == "ARRIVED" and way.split(" ", 2)[2] in crossing["what"]
    assert paid["predicted_1e18"] == paid["health_1e18"] and home.factor() >= 135 * 10**16
    assert home.run("rescue --chain ethereum --json", settings).status == 0
