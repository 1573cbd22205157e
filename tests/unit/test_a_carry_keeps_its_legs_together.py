"""The carry: begun above its threshold after costs, ended below, less of it where an account is in danger, legs never a tranche apart; by
itself and over the hourly funding of Bitcoin that Hyperliquid paid from May to July 2023, with the prices of those hours."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hourly_candles import candles
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import cassettes

from agent.domain.errors import Denied, Usage
from agent.domain.orders import Side
from agent.hedging import carry
from agent.hedging.policy import Carry, Debt, State, Wish
from agent.venues.hyperliquid.feed import funding_history

D = Decimal
GIVEN = {
    "base": "ETH", "quote": "USDC", "instrument": "ETH-PERP", "size": "10", "tranche": "2", "keep": "5", "enter": "8", "leave": "2",
    "cost_bps": "30", "step": "0.001",
}  # fmt: skip
PX = {"ETH": D(3_000), "USDC": D(1)}


def at(
    long: str = "0", short: str = "0", pays: str = "0.2", room: str | None = None, usdc: str = "900000"
) -> State:
    held = {"ETH": D(5) + D(long), "ETH-PERP": -D(short), "USDC": D(usdc)}
    return State(0, PX, held, carry=Carry(D(pays), None if room is None else D(room)))


def wished(state: State, **changes: str) -> tuple[str, str, Decimal] | None:
    found = carry.decide({**GIVEN, **changes}, state).wishes
    assert len(found) <= 1
    return (found[0].side.value, found[0].base, found[0].qty) if found else None


def test_it_is_begun_above_its_threshold_after_costs_and_ended_below() -> None:
    # 30 bps over 30 days are 3.65 % a year.
    assert wished(at(pays="0.1164")) is None and wished(at(pays="0.1166")) == ("SELL", "ETH-PERP", D(2))
    assert wished(at(pays="0.1166"), gas_usd="100") is None, "a fixed cost counts for what a tranche is worth"
    for pays in ("0.021", "0.11"):
        assert wished(at("4", "4", pays)) is None, "between the two what stands is kept"
    assert wished(at("4", "4", "0.019")) == ("BUY", "ETH-PERP", D(2))
    assert wished(at("4", "4", "-0.5"), leave="0") == ("BUY", "ETH-PERP", D(2))
    assert wished(at("10", "10")) is None, "and no more than its size"
    assert wished(at("9", "9")) == ("SELL", "ETH-PERP", D(1))


def test_the_legs_come_first_up_while_it_is_wanted_and_down_else() -> None:
    assert wished(at("2", "4")) == ("BUY", "ETH", D(2))
    assert wished(at("2", "4", usdc="100")) == ("BUY", "ETH-PERP", D(2)), "no money for it: the short goes"
    assert wished(at("4", "2")) == ("SELL", "ETH-PERP", D(2))
    assert wished(at("2", "4", pays="0")) == ("BUY", "ETH-PERP", D(2))
    assert wished(at("4", "2", pays="0")) == ("SELL", "ETH", D(2))
    assert wished(at("4", "2", room="0.2")) == ("SELL", "ETH", D(2)), "too little room for more of the short"
    assert wished(at("9", "1", pays="0")) == ("SELL", "ETH", D(2)), (
        "what an exchange closed is undone by tranches"
    )
    assert wished(at("1.5", "0", pays="0")) == ("SELL", "ETH", D("1.5"))
    assert wished(at("0", "-1")) == ("SELL", "ETH-PERP", D(1))
    assert wished(at("0", "0", usdc="5000")) is None, "a short that could not be covered is not begun"
    with pytest.raises(Denied) as asked:
        wished(at("50", "0"))
    assert asked.value.code == "CARRY_KEEP" and "keep" in asked.value.hint


def test_no_leg_is_turned_round_and_what_is_kept_is_neither_sold_nor_filled() -> None:
    spent = at("-0.5", "0", pays="0")  # gas was paid out of what is kept
    assert wished(spent) is None, "nothing is short: no contract is bought for what is missing"
    assert wished(at("-0.5", "0")) == ("SELL", "ETH-PERP", D(2)), (
        "it is begun as ever, and keep is not filled first"
    )
    assert wished(at("-0.5", "0.3", pays="0")) == ("BUY", "ETH-PERP", D("0.3")), "never more than is short"
    assert wished(at("0", "-1", pays="0")) == ("SELL", "ETH-PERP", D(1)), (
        "keep is not sold for a contract held long"
    )
    assert wished(at("0.5", "-1", pays="0")) == ("SELL", "ETH", D("0.5")), "of the base what is above keep"


def test_what_is_too_little_to_trade_holds_nothing_up() -> None:
    """A fee that was taken of the coin leaves the legs three dollars apart."""
    for dust in ("0.001", "-0.001"):
        long = str(D(4) + D(dust))
        assert wished(at(long, "4")) == ("SELL", "ETH-PERP", D(2)) and wished(at(long, "4", "0")) == (
            "BUY",
            "ETH-PERP",
            D(2),
        )
    assert wished(at("4.004", "4")) == ("SELL", "ETH-PERP", D("0.004"))


def inverse(coins: str, dollars: str, pays: str = "0.2", room: str | None = None) -> State:
    """So many coins beside so many dollars that a short has bought."""
    held = {"ETH": D(5) + D(coins), "ETH-PERP": D(dollars), "USDC": D(900_000)}
    return State(0, PX, held, carry=Carry(D(pays), None if room is None else D(room)), inverse=True)


def test_an_inverse_short_is_dollars_that_coins_were_spent_on() -> None:
    assert wished(inverse("0", "0")) == ("BUY", "ETH-PERP", D(6_000)), "a tranche of two, in dollars"
    assert wished(inverse("-2", "6000")) == ("BUY", "ETH", D(2)), "the coins it sold are bought"
    assert wished(inverse("0", "6000")) == ("BUY", "ETH-PERP", D(6_000))
    assert wished(inverse("0", "30000")) is None, "and no more than its size"
    assert wished(inverse("0", "6000", pays="0")) == ("SELL", "ETH-PERP", D(6_000))
    assert wished(inverse("2", "6000", pays="0")) == ("SELL", "ETH", D(2))
    assert wished(inverse("0", "4001", pays="0")) == ("SELL", "ETH-PERP", D(4_001)), "to the last dollar"
    assert wished(inverse("0", "-4001", pays="0")) is None and wished(inverse("2", "-4001")) == (
        "BUY",
        "ETH-PERP",
        D(4_001),
    )
    assert wished(inverse("0", "6000", room="0.1")) == ("SELL", "ETH-PERP", D(6_000))
    assert wished(inverse("1.3335", "0")) == ("BUY", "ETH-PERP", D(3_999)), (
        "whole steps of the coin, whole dollars"
    )


def test_coins_that_are_there_as_margin_are_the_first_leg_and_sold_by_nobody_while_nothing_is_short() -> None:
    assert wished(inverse("4", "0")) == ("BUY", "ETH-PERP", D(6_000))
    assert wished(inverse("4", "0", pays="0")) is None
    assert "stay as they are" in carry.decide(GIVEN, inverse("4", "0", pays="0")).why


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_at_any_price_an_inverse_carry_is_never_a_tranche_away_from_no_delta(seed: int) -> None:
    """Coins and dollars as the exchange has them: a short gains size·(1/p − 1/entry) of the coin, whatever the policy believes."""
    rng = random.Random(seed)
    px, margin, spot, size, spent, lost = D(3_000), D(4), D(0), D(0), D(0), D(0)
    given = GIVEN | {"keep": "2"}
    for _ in range(150):
        px = (px * (1 + D(rng.gauss(0, 0.03)).quantize(D("0.0001")))).quantize(D("0.01"))
        held = {"ETH": margin + spot - spent, "ETH-PERP": size, "USDC": D(900_000)}
        state = State(
            0,
            {"ETH": px, "USDC": D(1)},
            held,
            carry=Carry(D(rng.choice(["-0.1", "0.05", "0.2"])), None),
            inverse=True,
        )
        for wish in carry.decide(given, state).wishes:
            if rng.random() < 0.3:
                continue
            part = wish.qty if rng.random() < 0.7 else (wish.qty / 3).quantize(D("0.001"))
            if wish.base == "ETH":
                spot += part if wish.side is Side.BUY else -part
            elif wish.side is Side.BUY:
                size, spent = size + part, spent + part / px
            else:  # what is closed is paid what it gained, part · (1/p − 1/entry), and its share is spent no more
                back = spent * part / size
                margin, spent, size = margin + part / px - back, spent - back, size - part
        equity_at = [
            (margin + spot + size * (1 / p - spent / size) if size else margin + spot) * p
            for p in (px, px + 1)
        ]
        delta = equity_at[1] - equity_at[0]
        assert abs(delta - (margin + spot - spent)) < D("1e-9"), (
            "the coins beside it are the delta, at any price"
        )
        if (
            not size
        ):  # a short that was closed alone, at a loss: that was paid in coins, and `keep` is not filled again
            lost = max(2 - delta, D(0))
        assert abs(delta - 2) <= D(given["tranche"]) + lost + D("0.01") and size >= 0


def test_either_account_in_danger_makes_it_smaller_and_unknown_is_not_safe() -> None:
    assert wished(at("6", "6", room="0.149")) == ("BUY", "ETH-PERP", D(2))
    assert wished(at("6", "6", room="0.2")) is None and wished(at("6", "6", room="0.31")) is not None
    blind = replace(at("6", "6"), carry=None)
    assert wished(blind) == ("BUY", "ETH-PERP", D(2)) and wished(replace(at(), carry=None)) is None
    lent = {"chain": "ethereum"}
    loan = Debt(D(15_000), D(8_000), D("0.8"))  # a health of 1.5
    assert wished(replace(at("6", "6", room="0.2"), loan=loan), **lent) is None
    near = replace(loan, debt=D(8_001))
    assert wished(replace(at("6", "6", room="0.2"), loan=near), **lent) == ("BUY", "ETH-PERP", D(2))
    assert wished(at("6", "6", room="0.2"), **lent) == ("BUY", "ETH-PERP", D(2)), "a loan that is not told"
    assert "loan" in carry.decide({**GIVEN, **lent}, replace(at("6", "6"), loan=near)).why


@pytest.mark.parametrize(
    "wrong",
    [
        {"tranche": "11"}, {"tranche": "0.0001"}, {"leave": "8"}, {"room": "31"}, {"health": "1"}, {"instrument": "ETH"}, {"size": "0"},
        {"hours": "1e99999999"}, {"hours": "1001"}, {"hours": "0.5"}, {"enter": "1e1000000"}, {"step": "1e-99"},
        {"hold_days": "0"}, {"unheard": "1"}, {"cost_bps": "-1"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    carry.check(GIVEN)
    with pytest.raises(Usage) as refused:
        carry.check({**GIVEN, **wrong})
    assert refused.value.hint


def in_coins(coins: str, dollars: str) -> State:
    """An inverse contract: so many coins beside `keep` and the dollars that were bought with others."""
    held = {"ETH": D(5) + D(coins), "ETH-PERP": D(dollars), "USDC": D(0)}
    return State(0, PX, held, carry=Carry(D("0.2"), None), inverse=True)


def test_coins_that_are_held_besides_make_it_no_larger_than_its_size() -> None:
    assert wished(in_coins("40", "0")) == ("BUY", "ETH-PERP", D(6_000)), "a tranche of them"
    assert wished(in_coins("33", "27000")) == ("BUY", "ETH-PERP", D(3_000)), "up to its size"
    assert wished(at("40", "9")) == ("SELL", "ETH-PERP", D(1))
    for state in (in_coins("30", "30000"), at("40", "10")):
        with pytest.raises(Denied) as asked:
            carry.decide(GIVEN, state)
        assert asked.value.code == "CARRY_KEEP" and "make size larger" in asked.value.hint
        ends = replace(state, carry=Carry(D("-0.5"), None))
        assert wished(ends) == ("SELL", "ETH", D(2)), "an end waits for nobody"
    # What comes by itself, as funding does, is no reason to stand open.
    assert wished(in_coins("0.5", "30000")) == ("BUY", "ETH-PERP", D(1_500))


@dataclass
class Account:
    """Two legs and the money of both, at one price; `cost` of each trade as a share of it. The short has a margin account of its own."""

    given: dict[str, str]
    money: Decimal
    margin: Decimal
    cost: Decimal
    long: Decimal = D(0)
    short: Decimal = D(0)
    trades: list[tuple[int, str]] = field(default_factory=list)

    def room(self, px: Decimal) -> Decimal | None:
        """Till equity is a hundredth of the notional."""
        return (self.margin / (self.short * px) - D("0.01")) / D("1.01") if self.short > 0 else None

    def state(self, px: Decimal, yearly: Decimal) -> State:
        g = self.given
        held = {g["base"]: self.long + D(g["keep"]), g["instrument"]: -self.short, g["quote"]: self.money}
        return State(0, {g["base"]: px, g["quote"]: D(1)}, held, carry=Carry(yearly, self.room(px)))

    def done(self, wish: Wish, px: Decimal, hour: int = 0) -> None:
        signed = wish.qty if wish.side is Side.BUY else -wish.qty
        if wish.base == self.given["base"]:
            self.long, self.money = self.long + signed, self.money - signed * px
            self.money -= wish.qty * px * self.cost
        else:
            self.short -= signed
            self.margin -= wish.qty * px * self.cost
        self.trades.append((hour, f"{wish.side.value} {wish.base}"))

    def moved(self, before: Decimal, px: Decimal) -> None:
        self.margin -= self.short * (px - before)

    def worth(self, px: Decimal) -> Decimal:
        return self.money + self.margin + self.long * px


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_whatever_is_paid_moves_or_fails_the_legs_are_never_more_than_a_tranche_apart(seed: int) -> None:
    rng = random.Random(seed)
    account = Account(GIVEN, D(60_000), D(10_000), D("0.0005"))
    px, tranche = D(3_000), D(GIVEN["tranche"])
    for _ in range(150):
        after = (px * (1 + D(rng.gauss(0, 0.03)).quantize(D("0.0001")))).quantize(D("0.01"))
        account.moved(px, after)
        px = after
        decided = carry.decide(GIVEN, account.state(px, D(rng.choice(["-0.1", "0.05", "0.2"]))))
        for wish in decided.wishes:
            if rng.random() < 0.7:  # else it was refused, or expired unfilled
                part = wish.qty if rng.random() < 0.7 else (wish.qty / 3).quantize(D("0.001"))
                account.done(replace(wish, qty=part), px)
        assert abs(account.long - account.short) <= tranche and account.short <= D(GIVEN["size"])
        assert account.long >= 0 and account.short >= 0


def recorded() -> list[tuple[int, Decimal, Decimal]]:
    """(hour, the rate paid then, the price) of Bitcoin; hours whose rate is not in the recording are left out."""
    told: dict[int, Decimal] = {}
    for request, answer in cassettes()["test_get_funding_history[None]"]:
        if "fundingHistory" in request and '"BTC"' in request:
            told |= {event.at_ns // (3_600 * 10**9): event.rate for event in funding_history("BTC", answer)}  # type: ignore[union-attr]
    rows = candles("binance-BTCUSDT-1h.parquet", ("Date", "close"))
    closes = {int(at) // 3_600_000_000: D(str(close)) for at, close in rows}
    return [(hour, rate, closes[hour]) for hour, rate in sorted(told.items()) if hour in closes]


def lived(given: dict[str, str], hours: list[tuple[int, Decimal, Decimal]]) -> tuple[Account, Decimal]:
    """An hour after the other, one look each; what came of it."""
    account, before = Account(given, D(120_000), D(60_000), D("0.0005")), hours[0][2]
    begun = account.worth(before)
    times = [hour for hour, _, _ in hours]
    for n, (hour, rate, px) in enumerate(hours):
        account.moved(before, px)
        account.margin += account.short * px * rate
        window = hours[bisect_right(times, hour - 72) : n + 1]
        yearly = sum((r for _, r, _ in window), D(0)) * 8_760 / 72
        room = account.room(px)
        assert room is None or room > 0, "never liquidated"
        for wish in carry.decide(given, account.state(px, yearly)).wishes:
            account.done(wish, px, hour)
        assert abs(account.long - account.short) <= D(given["tranche"])
        before = px
    return account, account.worth(before) - begun


def test_over_the_recorded_funding_it_earns_more_than_being_in_throughout() -> None:
    hours = recorded()
    assert len(hours) > 1_000
    given: dict[str, Any] = {
        "base": "BTC", "quote": "USDC", "instrument": "BTC-PERP", "size": "3", "tranche": "0.5", "keep": "0", "enter": "6", "leave": "1",
        "cost_bps": "20", "step": "0.001",
    }  # fmt: skip
    account, gain = lived(given, hours)
    throughout = sum((3 * px * rate for _, rate, px in hours), D(0)) - 2 * 3 * hours[0][2] * D("0.0005")
    assert account.long == account.short == 3, "it pays at the recording's end"
    first = account.trades[0][0]
    assert sum(rate for hour, rate, _ in hours if hour < first) < 0, (
        "what shorts paid in May was not paid by it"
    )
    assert gain > throughout > 0, (gain, throughout)
    assert len(account.trades) < 60, "and it is not traded back and forth"
