"""SIGKILL at every stage boundary of an order on the devnet, on a chain and at the exchange; a second process finishes it.

The referee is outside: the chain's and the exchange's own balances, nonces and orders. Exactly the quantity is sold, one
transaction or one order for each part that took effect, and the order ends FILLED.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from trading_home import Lives, TradingHome

from chains.devnet.funding import give_token

pytestmark = pytest.mark.devnet

CHAIN, L2, PAPER = "eip155:1", "eip155:8453", "cex:paper"
QTY = {CHAIN: Decimal("0.5"), L2: Decimal("0.5"), PAPER: Decimal("0.1")}
STAGES = ("Accepted", "Sliced", "Planned", "Approved", "Prepared", "Simulated")
BOUNDARIES = {
    CHAIN: (
        "durable Sliced", "durable Planned", "durable Simulated", "durable Authorized", "before Submitted",
        "durable Submitted", "durable INCLUDED", "durable TRADE", "before Settled", "durable Settled",
    ),
    PAPER: ("durable Planned", "before Authorized", "before Submitted", "durable Submitted", "durable TRADE", "durable Settled"),
}  # fmt: skip
WIDER = [
    (place, f"{moment} {name}")
    for place in (CHAIN, L2, PAPER)
    for moment in ("before", "after", "durable")
    for name in (
        *STAGES, "Authorized", "Submitted", *(() if place == PAPER else ("RECEIVED", "INCLUDED", "FINALIZED")), "NEW", "TRADE",
        "Settled", "ParentClosed",
    )
]  # fmt: skip


def sold_everywhere(home: TradingHome) -> dict[str, Decimal]:
    held = {f"eip155:{c}": Decimal(home.balance_raw(c, "WETH")).scaleb(-18) for c in home.urls}
    return held | {PAPER: home.paper_balance("ETH")}


def check(home: TradingHome, lives: Lives, folder: Path, place: str, kill: str, deadline_s: int = 0) -> None:
    journal = folder / "journal.db"
    if place != PAPER and home.balance_raw(int(place[7:]), "WETH") < 10**18:  # many a case has sold from here
        give_token(home.cheat_urls[int(place[7:])], home.token(int(place[7:]), "WETH"), home.safe, 10**19)
    if place == PAPER and home.paper_balance("ETH") < 1:
        home.paper_deposit("ETH", Decimal(5))
    before = sold_everywhere(home)
    chain_id = int(place.partition(":")[2]) if place != PAPER else 0
    nonces = (home.safe_nonce(chain_id), home.sender_nonce(chain_id)) if chain_id else (0, 0)
    wei = home.sender_wei(chain_id) if chain_id else 0
    orders = len(home.paper_truth()["orders"])

    qty = QTY[place]
    died = lives.live(journal, place, kill, deadline_s=deadline_s, qty=str(qty))
    assert died == {"killed": True}, died
    lived = lives.live(journal, place, deadline_s=deadline_s, qty=str(qty))

    assert not lived["killed"] and "error" not in lived, lived
    if Path(journal).exists() and lived["status"] != "FILLED":
        raise AssertionError(lived)
    after = sold_everywhere(home)
    assert {name: before[name] - after[name] for name in before} == {
        name: qty if name == place else Decimal(0) for name in before
    }
    assert Decimal(lived["filled"]) == qty
    filled = [name for name, status in lived["parts"] if status == "FILLED"]
    assert len(filled) == 1
    if chain_id:
        assert home.safe_nonce(chain_id) == nonces[0] + 1
        assert home.sender_nonce(chain_id) == nonces[1] + 1
        assert wei - home.sender_wei(chain_id) == int(lived["gas_wei"][place])
        assert len(home.paper_truth()["orders"]) == orders
    else:
        mine = home.paper_truth()["orders"]
        names = [found["clientOrderId"] for found in mine]
        assert len(names) == len(set(names)) and len(mine) == orders + 1


@pytest.mark.parametrize(("place", "kill"), [(p, kill) for p, kills in BOUNDARIES.items() for kill in kills])
def test_killed(trading_home: TradingHome, lives: Lives, tmp_path: Path, place: str, kill: str) -> None:
    check(trading_home, lives, tmp_path, place, kill)


def test_killed_after_the_signature_and_before_its_record(
    trading_home: TradingHome, lives: Lives, tmp_path: Path
) -> None:
    """The signer knows of a signature that the journal does not: the nonce is held until that one has expired."""
    check(trading_home, lives, tmp_path, CHAIN, "before Authorized", deadline_s=6)


@pytest.mark.full
def test_killed_before_the_request_left_the_exchange_is_asked_until_it_cannot_arrive(
    trading_home: TradingHome, lives: Lives, tmp_path: Path
) -> None:
    check(trading_home, lives, tmp_path, PAPER, "durable Authorized")


@pytest.mark.full
@pytest.mark.parametrize(("place", "kill"), WIDER)
def test_killed_anywhere(
    trading_home: TradingHome, lives: Lives, tmp_path: Path, place: str, kill: str
) -> None:
    check(trading_home, lives, tmp_path, place, kill, deadline_s=6 if "Authorized" in kill else 0)
