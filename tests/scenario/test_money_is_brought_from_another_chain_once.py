"""`fairlead bridge` from the command line, over the genuine SpokePools: to the wei on both chains, once, whatever happens on the way."""

from __future__ import annotations

import signal

import pytest
from bridge_home import BridgeHome
from home_fixture import wait_for

pytestmark = pytest.mark.devnet
PAY = "--live --yes --max-loss 50 --json"


def test_killed_on_the_way_it_goes_on_and_is_sent_once(bridge_home: BridgeHome) -> None:
    home = bridge_home
    words = "250.000007 USDC --from base --to ethereum"
    before = {chain: home.balance(chain, "USDC") for chain in (1, 8453)}
    sent = home.deposits(8453)
    quoted = home.run(f"bridge quote {words} --json").json
    assert (quoted["in_raw"], quoted["out_raw"], quoted["fee_raw"]) == ("250000007", "249750006", "250001")
    dry = home.run(f"bridge send {words} --json")
    assert dry.status == 0 and dry.json["done"] is False and home.deposits(8453) == sent, dry.err
    refused = home.run(f"bridge send {words} --live --yes --max-loss 0.2 --json")
    assert refused.status == 3 and refused.json["error"]["code"] == "MAX_LOSS", refused.out

    running = home.start(f"bridge send {words} --live --yes --max-loss 50")
    wait_for(
        lambda: [c.stage for c in home.book().crossings.values()] == ["DEPOSITED"], 60, lambda: running.err
    )
    running.end(signal.SIGKILL)
    again = home.run(f"bridge send {words} {PAY}")
    assert again.status == 3 and again.json["error"]["code"] == "BRIDGE_IN_FLIGHT", again.out
    (one,) = home.run("bridge list --json").json["crossings"]
    assert one["stage"] == "DEPOSITED" and one["held_raw"]["flying"] == "250000007"
    assert one["counts_raw"] == str(249750006 * 9_900 // 10_000), "a hundredth less until it is there"
    told = home.run("positions --json").json["balances"]
    (row,) = [r for r in told if r["place"] == "bridge:across"]
    assert row["qty"] == "247.252505" and "on its way to ethereum" in row["where"]

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


def test_what_no_relayer_takes_is_told_comes_back_and_is_counted_throughout(bridge_home: BridgeHome) -> None:
    """A fee below the relayer's: expired by base's final clock, still owed, and given back whole."""
    home = bridge_home
    mean = home.variant("mean", bridge={"fee_bps": 1, "life_s": 300, "usual_s": 1})
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
        ("1 USDC --from base --to base", 2, "SAME_CHAIN"),
        ("1.0000001 USDC --from base --to ethereum", 2, "TOO_MANY_DECIMALS"),
        ("1 USDC --from base --to arbitrum", 4, "BRIDGE_CLOSED"),
        ("15000 USDC --from base --to ethereum", 3, "BRIDGE_LIMIT"),
    ):
        no = home.run(f"bridge send {words} {PAY}")
        assert no.status == status and no.json["error"]["code"] == code and no.json["error"]["hint"], no.out
    assert home.book().events == book, "nothing was begun"
