"""The agent's scope: refused where no owner should sign it, said in plain words, and bounded by a number that holds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address
from contracts import offers
from contracts.codec import decode_call, encode, selector
from contracts.multisend import unpack
from keys.safe import DELEGATECALL
from keys.scope import (
    GasRule,
    PairRule,
    ReserveRule,
    RouteRule,
    Scope,
    TokenRule,
    agent_call,
    batch,
    check,
    gate_address,
    limits,
    offers_address,
    safe_tx,
)
from keys.scope_bound import bound, loss_share, taken
from keys.scope_state import Reading, changes, holds, readings
from keys.scope_words import sentences

WETH = Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
USDC = Address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
ETH_FEED = Address("0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419")
USDC_FEED = Address("0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6")
POOL = Address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640")
ROUTER = Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45")
AAVE = Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2")
A_WETH = Address("0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8")
DEBT_WETH = Address("0xeA51d7853EEFb32b6ee06b1C12E6dcCA88Be0fFE")
SAFE = Address("0x5aFE3855358E112B5647B952709E6165e1c1eEEe")
AGENT = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
MULTI_SEND = Address("0x9641d764fc13c8B624c04430C7356C1C7C8102e2")
ETH = 10**18

WETH_RULE = TokenRule(WETH, "WETH", 18, ETH_FEED, 8, 3_600, 50, 100 * ETH)
USDC_RULE = TokenRule(USDC, "USDC", 6, USDC_FEED, 8, 86_400, 25, 10**11)
RESERVE = ReserveRule(WETH, A_WETH, DEBT_WETH, ("supply", "withdraw"), 10 * ETH)
SCOPE = Scope(
    chain_id=1,
    safe=SAFE,
    agent=AGENT,
    tokens=(WETH_RULE, USDC_RULE),
    pairs=(PairRule(WETH, USDC, POOL, 1_800),),
    routes=(RouteRule(ROUTER, "swap_router_02", "exactInputSingle"),),
    per_day_usd=Decimal(60_000),
    burst_usd=Decimal(30_000),
    slack_bps=100,
    divergence_bps=200,
    deadline_s=600,
    term_s=7 * 86_400,
    delay_s=86_400,
    lending_pool=AAVE,
    reserves=(RESERVE,),
    gas=GasRule(AGENT, WETH, ETH // 20, ETH // 10, ETH // 5),
    gas_float_wei=ETH // 10,
)


def refused(why: str, **fields: Any) -> None:
    with pytest.raises(Usage, match=why) as told:
        check(replace(SCOPE, **fields))
    assert told.value.code == "SCOPE_INVALID" and told.value.hint


def test_a_sound_scope_passes() -> None:
    check(SCOPE)
    check(replace(SCOPE, gas=None, reserves=(), lending_pool=Address("0x" + "0" * 40)))


def test_what_no_owner_should_sign_is_refused() -> None:
    refused("checksum", agent=Address("0x70997970c51812dc3A010C7d01b50e0d17dc79C8"))
    refused("not checksummed", agent=Address(AGENT.lower()))
    refused("account of its own", agent=SAFE)
    refused("needs tokens", routes=())
    refused("burst", burst_usd=Decimal(60_001))
    refused("burst", burst_usd=Decimal(0))
    refused("slack_bps is 1001", slack_bps=1_001)
    refused("slack_bps is 0", slack_bps=0)
    refused("deadline_s", deadline_s=3_601)
    refused("term_s", term_s=91 * 86_400)
    refused("delay_s", delay_s=3_599)
    refused("health_floor", health_floor=Decimal("1.04"))
    refused("twice", tokens=(WETH_RULE, WETH_RULE, USDC_RULE))
    refused("not among the tokens", tokens=(WETH_RULE,))
    refused("cannot be meant", tokens=(replace(WETH_RULE, allowance_raw=0), USDC_RULE))
    refused("cannot be meant", tokens=(replace(WETH_RULE, max_age_s=0), USDC_RULE))
    refused("one source, not two", pairs=(PairRule(WETH, USDC, ETH_FEED, 0, 3_600, 8),))
    refused("moved too cheaply", pairs=(PairRule(WETH, USDC, POOL, 60),))
    refused("needs max_age_s", pairs=(PairRule(WETH, USDC, POOL, 0),))
    refused("listed once", pairs=(PairRule(WETH, USDC, POOL, 1_800), PairRule(USDC, WETH, POOL, 900)))
    refused("listed once", pairs=(PairRule(WETH, WETH, POOL, 1_800),))
    for part in (WETH, ETH_FEED, SAFE, AAVE, A_WETH, DEBT_WETH):
        refused("another part", routes=(RouteRule(part, "erc20", "transfer"),))
    refused("lists no function", routes=(RouteRule(ROUTER, "swap_router_02", "exactNothing"),))
    refused("paid by approve or push", routes=(replace(SCOPE.routes[0], mode="delegate"),))
    refused("need a lending_pool", lending_pool=Address("0x" + "0" * 40))
    refused("actions are among", reserves=(replace(RESERVE, actions=("flash",)),))
    refused("belong together", reserves=(replace(RESERVE, withdraw_raw=0),))
    refused("belong together", reserves=(replace(RESERVE, borrow_raw=1),))
    a_token = TokenRule(A_WETH, "aWETH", 18, MULTI_SEND, 8, 3_600, 50, 1)
    refused("collateral", tokens=(WETH_RULE, USDC_RULE, a_token))
    refused("gas money", gas=GasRule(AGENT, WETH, 1 << 96, 0, 0))


def test_the_share_a_thief_keeps_of_what_he_trades() -> None:
    """The closed form against a search: feeds anywhere within their errors, a trade that just meets its floor."""
    chance = Random(3)
    for _ in range(300):
        slack, e_in, e_out = chance.randrange(1, 1_000), chance.randrange(0, 500), chance.randrange(0, 500)
        worst = Fraction(0)
        for at_in in (-e_in, 0, e_in):
            for at_out in (-e_out, 0, e_out):
                # True prices are 1. The feeds are off; V = 1 is charged and the floor just met.
                feed_in, feed_out = 1 + Fraction(at_in, 10_000), 1 + Fraction(at_out, 10_000)
                given = 1 / feed_in
                received = (1 - Fraction(slack, 10_000)) / feed_out
                worst = max(worst, given - received)
        told = Fraction(loss_share(slack, e_in, e_out))
        assert worst <= told <= worst + Fraction(1, 10**50)


def test_the_bound_in_dollars() -> None:
    told = bound(SCOPE, Decimal(3_000))
    f = max(
        1 / (1 - Fraction(a, 10_000)) - Fraction(99, 100) / (1 + Fraction(b, 10_000))
        for a, b in ((50, 25), (25, 50))
    )
    # 0.2 ETH may lie on the account, 0.05 come at once, 0.1 in the day.
    assert abs(Fraction(told.per_day_usd) - (60_000 * f + Fraction(35, 100) * 3_000)) <= Fraction(1, 100)
    hour = (30_000 + Fraction(30_000, 24)) * f + (Fraction(1, 4) + Fraction(1, 240)) * 3_000
    assert abs(Fraction(told.per_hour_usd) - hour) <= Fraction(1, 100)
    term = (30_000 + 7 * 30_000) * f + (Fraction(1, 4) + Fraction(7, 10)) * 3_000
    assert abs(Fraction(told.until_lapse_usd) - term) <= Fraction(1, 100)
    assert told.gas_per_day_usd == Decimal("1050.00")
    assert told.ceiling_raw == (("WETH", 100 * ETH), ("USDC", 10**11), ("WETH supplied", 10 * ETH))
    assert told.fall_to_liquidation == Decimal("0.3333")


def test_every_wider_scope_has_a_larger_bound() -> None:
    least = bound(SCOPE, Decimal(3_000))
    wider = (
        {"per_day_usd": Decimal(60_001)},
        {"slack_bps": 101},
        {"tokens": (replace(WETH_RULE, feed_error_bps=51), USDC_RULE)},
        {"tokens": (WETH_RULE, replace(USDC_RULE, feed_error_bps=26))},
        {"gas": replace(SCOPE.gas, burst_wei=ETH // 19)},
        {"gas": replace(SCOPE.gas, float_cap_wei=ETH // 4)},
        {"gas": None, "gas_float_wei": ETH},
    )
    for fields in wider:
        assert bound(replace(SCOPE, **fields), Decimal(3_000)).per_day_usd > least.per_day_usd, fields
    burst = bound(replace(SCOPE, burst_usd=Decimal(40_000)), Decimal(3_000))
    assert burst.per_hour_usd > least.per_hour_usd and burst.per_day_usd == least.per_day_usd
    safe_only = replace(SCOPE, reserves=(replace(RESERVE, actions=("supply",), withdraw_raw=0),))
    assert bound(safe_only, Decimal(3_000)).fall_to_liquidation is None


def test_a_greedy_thief_in_any_window_stays_within_it() -> None:
    """The bucket as the Gate keeps it, spent at random instants; the worst window against `taken`."""
    chance, share = Random(7), Decimal("0.0175")
    values = limits(SCOPE)
    burst, rate = int(values["burst"]), int(values["ratePerDay"])
    for _ in range(20):
        now, level, acts = 0, 0, []
        for _ in range(120):
            step = chance.randrange(0, 7_200)
            now, level = now + step, max(0, level - rate * step // 86_400)
            spend = burst - level if chance.random() < 0.6 else chance.randrange(0, burst - level + 1)
            level += spend
            acts.append((now, spend))
        for span in (3_600, 86_400):
            worst = max(sum(s for t, s in acts if a <= t <= a + span) for a, _ in acts)
            most = taken(replace(SCOPE, gas=None, gas_float_wei=0), share, Decimal(span) / 86_400, Decimal(0))
            assert Decimal(worst) / ETH * share <= most


def test_every_power_has_its_sentence() -> None:
    told = bound(SCOPE, Decimal(3_000))
    said = "\n".join(sentences(SCOPE, told))
    for words in (
        f"The account {AGENT} may trade for the Safe {SAFE} on chain 1",
        "In any 24 hours it may trade $60,000.00, of it $30,000.00 at once.",
        "at least 99 % of its value by the worse of two price sources",
        "differ by more than 2 %",
        "A trade's deadline is at most 10 minutes away.",
        f"the mean of 30 minutes of the pool {POOL}",
        f"It may use exactInputSingle of the router {ROUTER}.",
        "The Gate may take 100 WETH from the Safe in all",
        "It may supply and withdraw WETH on the Safe's account",
        "health may not fall below 1.5",
        "10 WETH may be withdrawn in all",
        "0.05 ETH at once and 0.1 ETH a day",
        "lapses 7 days after the Safe last renewed it",
        "Any one owner, or the Safe, can freeze it at once",
        "has to wait 1 day after the Safe asked for it",
        f"at most ${told.per_day_usd:,.2f} in any 24 hours and ${told.per_hour_usd:,.2f} in any hour",
        "right to within 0.5 % for WETH, 0.25 % for USDC",
        "after a further fall of 33.33 % of collateral",
    ):
        assert words in said, words


def test_orders_for_others_to_settle_are_granted_said_and_bounded(recorded_creation: bytes) -> None:
    holds_orders = compiled("Offers")
    wide = replace(SCOPE, offers=holds_orders)
    at = gate_address(wide, recorded_creation)
    home = offers_address(wide, at)
    assert home == offers.address(holds_orders, at) and offers_address(SCOPE, at) == ZERO_ADDRESS
    plain, more = batch(SCOPE, recorded_creation), batch(wide, recorded_creation)
    added = [part for part in more if part not in plain]
    (creates,) = [part for part in added if part.to == offers.FACTORY]
    assert creates.data == offers.creating(holds_orders, at)
    assert encode("gate", "setOffers", (home,)) in [part.data for part in added if part.to == at]
    functions = [
        decode_call("zodiac_roles", p.data).args["selector"]
        for p in added
        if p.to not in (offers.FACTORY, at)
    ]
    assert functions == [selector("gate", "offer"), selector("gate", "endOffer")]
    assert len(added) == 4 and not any(
        p.to == offers.RELAYER or offers.RELAYER[2:].lower() in p.data.hex() for p in more[1:] if p != creates
    )
    assert [p for p in batch(wide, recorded_creation, {home}) if p.to == offers.FACTORY][1:] == []
    keys = {r.key for r in readings(wide, recorded_creation)} - {
        r.key for r in readings(SCOPE, recorded_creation)
    }
    assert keys == {"offers code", "offers gate", "offers safe"}
    with pytest.raises(Usage) as told:
        batch(replace(SCOPE, offers=holds_orders + b"\0"), recorded_creation)
    assert told.value.code == "GATE_CODE"


def test_what_orders_add_to_the_bound_is_what_a_deadline_refills() -> None:
    wide = replace(SCOPE, offers=b"\1")
    least, more = bound(SCOPE, Decimal(3_000)), bound(wide, Decimal(3_000))
    refilled = (SCOPE.per_day_usd - SCOPE.burst_usd) * SCOPE.deadline_s / 86_400 * least.share
    assert abs(more.per_day_usd - least.per_day_usd - refilled) <= Decimal("0.02")
    assert more.share == least.share and more.ceiling_raw == least.ceiling_raw
    said = "\n".join(sentences(wide, more))
    assert "to others to settle at CoW Protocol, one order of a token at a time" in said
    assert "pays the Safe and nobody else, carries no hooks and no fee, ends within 10 minutes" in said
    assert "CoW" not in "\n".join(sentences(SCOPE, least))


def test_a_thief_whose_orders_are_settled_late_stays_within_it() -> None:
    """Charged when opened, settled at any instant of the next ten minutes: the worst window against `taken`."""
    chance, share = Random(11), Decimal("0.0175")
    wide = replace(SCOPE, offers=b"\1", gas=None, gas_float_wei=0)
    values = limits(wide)
    burst, rate = int(values["burst"]), int(values["ratePerDay"])
    for _ in range(20):
        now, level, acts = 0, 0, []
        for _ in range(120):
            step = chance.randrange(0, 3_600)
            now, level = now + step, max(0, level - rate * step // 86_400)
            spend = burst - level if chance.random() < 0.6 else chance.randrange(0, burst - level + 1)
            level += spend
            acts.append((now + chance.choice((0, 600, chance.randrange(0, 601))), spend))
        for span in (60, 3_600, 86_400):
            worst = max(sum(s for t, s in acts if a <= t <= a + span) for a, _ in acts)
            assert Decimal(worst) / ETH * share <= taken(wide, share, Decimal(span) / 86_400, Decimal(0))


def answer(reading: Reading) -> bytes:
    """What the chain would say if all were as wanted: the outputs encoded as a contract does, statically."""
    from contracts.codec import interface

    return bytes(interface(reading.contract).by_name[reading.function][0].outputs.enc(reading.wanted))


def test_what_differs_on_chain_is_named(recorded_creation: bytes) -> None:
    wanted = tuple(r for r in readings(SCOPE, recorded_creation) if r.kind != "code")
    found = {reading.key: answer(reading) for reading in wanted}
    assert changes(wanted, found) == ()
    assert len(changes(wanted, {})) == len(wanted)
    for reading in wanted:
        other = bytearray(found[reading.key])
        other[31 if reading.key != "roles members" else 95] ^= 1
        told = changes(wanted, found | {reading.key: bytes(other)})
        if reading.kind == "at most" and not bool(reading.wanted[0]):
            assert [c.key for c in told] == [reading.key]
        if reading.kind == "equal":
            assert [c.key for c in told] == [reading.key], reading.key
    allowance = next(r for r in wanted if r.key == "allowance WETH")
    assert holds(allowance, (ETH).to_bytes(32, "big"))
    assert not holds(allowance, (100 * ETH + 1).to_bytes(32, "big"))
    told = changes((allowance,), {"allowance WETH": (101 * ETH).to_bytes(32, "big")})
    assert str(told[0]) == f"allowance WETH: {101 * ETH} → at most {100 * ETH}"


def test_the_batch_says_what_it_does(recorded_creation: bytes) -> None:
    tx = safe_tx(SCOPE, recorded_creation, MULTI_SEND, 7)
    assert (tx.to, tx.operation, tx.value, tx.nonce) == (MULTI_SEND, DELEGATECALL, 0, 7)
    parts = unpack(decode_call("multi_send", tx.data).args["transactions"])
    assert parts == batch(SCOPE, recorded_creation)
    assert all(p.operation == 0 and p.value == 0 for p in parts)
    names = []
    for part in parts[1:]:
        for contract in ("gate", "zodiac_roles", "zodiac_module_factory", "erc20", "aave_debt_token"):
            try:
                names.append(decode_call(contract, part.data).function)
                break
            except ValueError:
                continue
    assert len(names) == len(parts) - 1
    assert names.index("setLimits") < names.index("setAgent") < names.index("renew") < names.index("seal")
    assert names[-3:] == ["approve"] * 3, "allowances come last"
    assert names.count("allowFunction") == 3 and "enableModule" not in names
    standing = {p.to for p in parts if p.data[:4] == encode("gate", "renew")}
    assert len(batch(SCOPE, recorded_creation, standing)) == len(parts) - 1
    inner = encode("gate", "refuel", (1, 2))
    call = agent_call(SCOPE, recorded_creation, inner)
    told = decode_call("zodiac_roles", call.data)
    assert told.args["to"] in standing and told.args["data"] == inner and told.args["shouldRevert"] is True


def test_other_code_than_the_recorded_is_refused(recorded_creation: bytes) -> None:
    with pytest.raises(Usage) as told:
        batch(SCOPE, recorded_creation + b"\x00")
    assert told.value.code == "GATE_CODE"


@pytest.fixture
def recorded_creation() -> bytes:
    """The Gate's creation code out of the cache; these few tests need the set-up's compile."""
    return compiled("Gate")


def compiled(name: str) -> bytes:
    from chains.devnet.artifacts import artifact

    return bytes.fromhex(artifact(name).bytecode)
