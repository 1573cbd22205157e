"""A market narrowed to what the agent's key may trade, the Gate's refusals told before it can make them, and what two books say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import custody as c
import pytest
from planned_legs import BALANCER, HERE, POOLS, USDC, USDT, WETH
from settings_values import values

from agent.app import template
from agent.app.agent_power import Power, ScopedView, Unit, narrowed, refusals
from agent.app.agent_road import by_agent
from agent.app.auditing import Audit
from agent.app.settings_load import parse
from agent.app.unattended import WARN_AT, span, warning_of
from agent.app.watching.check import Level
from agent.app.watching.scope_check import APART_S, DAY_S, ledger_check
from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import Part
from agent.domain.risk import BreachReason
from agent.execution.agent_batch import AgentRoad
from agent.market.view import GasState, MarketView
from chains.types import Address
from keys.scope import ROLE
from keys.scope_state import Change

E18, USD = 10**18, 10**18
A_WETH, A_USDC = Address(c.WETH), Address(c.USDC)
ROAD = AgentRoad(
    Address(c.AGENT.address), Address(c.ROUTER02), Address(c.VAULT), ROLE, frozenset({A_WETH, A_USDC}),
    frozenset({frozenset((A_WETH, A_USDC))}), 600,
)  # fmt: skip
DECIMALS = {WETH: 18, USDC: 6, USDT: 6}
BASE = Place("eip155:8453")
ON_BASE = AssetId(f"{BASE}/erc20:{c.WETH}")
PAPER = AssetId("cex:paper/ETH")


def rule(symbol: str, decimals: int, error: int) -> Any:
    return SimpleNamespace(symbol=symbol, decimals=decimals, feed_error_bps=error)


def power(**changes: Any) -> Power:
    rules = {A_WETH: rule("WETH", 18, 50), A_USDC: rule("USDC", 6, 25)}
    scope: Any = SimpleNamespace(token=lambda address: rules[address])
    units = {(A_WETH, A_USDC): Unit(2_970 * 10**6, 3_000 * USD), (A_USDC, A_WETH): Unit(33 * 10**13, USD)}
    told = Power(
        "ethereum", ROAD, scope, 30_000 * USD, {A_WETH: 1_000 * E18, A_USDC: 10**12}, units, "", 86_400
    )
    return replace(told, **changes)


def view() -> MarketView:
    pools = {name if name == BALANCER else f"{HERE}/{name}": pool for name, pool in POOLS.items()}
    pools[f"{BASE}/v3"] = replace(POOLS["v3"], assets=(ON_BASE, ON_BASE))
    assets = {a: Asset(a, a[-4:], DECIMALS.get(a, 18)) for a in (WETH, USDC, USDT, ON_BASE, PAPER)}
    return MarketView(
        assets=assets,
        pools=pools,
        gas={HERE: GasState(1, 1, 1, WETH, 120_000, 5_000)},
        inventory={WETH: 50 * E18, USDC: 10**12, ON_BASE: 7 * E18, PAPER: 3 * E18},
    )


GROUPS = ((WETH, ON_BASE, PAPER), (USDC,))
NONE = BreachReason("SCOPE_NONE", "base: nothing", "add a scope")


def test_what_the_key_may_not_trade_is_left_out() -> None:
    found = narrowed(view(), {HERE: power(), BASE: NONE}, GROUPS)
    assert isinstance(found, ScopedView)
    left = {name.removeprefix(f"{HERE}/") for name in found.pools}
    assert left == {"v2", "v3", "v4"}, "no Balancer pool, no unlisted token, no chain without a scope"
    assert found.inventory[ON_BASE] == 0 and found.inventory[PAPER] == 3 * E18
    assert found.gas[HERE].tx_gas > 120_000
    assert "SCOPE_NONE" in {reason.rule for reason in found.limits}


def test_the_budget_caps_what_may_be_sold_with_room_for_the_feeds_error() -> None:
    found = narrowed(view(), {HERE: power()}, GROUPS)
    assert found.inventory[WETH] == 9_950_000_000_000_000_000  # 30,000 USD less 0.5 %, at 3,000
    part = part_of(found.inventory[WETH], 29_900 * 10**6)
    assert refusals(part, power(), DECIMALS) == ()
    for scarce in (power(budget=0), power(allowances={})):
        assert narrowed(view(), {HERE: scarce}, GROUPS).inventory[WETH] == 0


def test_a_pair_that_is_not_listed_or_not_priced_leaves_the_chain_out() -> None:
    for found, code in (
        (power(road=replace(ROAD, pairs=frozenset())), "SCOPE_PAIR"),
        (power(units={}, why_not="PriceStale(…)"), "SCOPE_PRICE"),
    ):
        seen = narrowed(view(), {HERE: found}, GROUPS)
        assert not any(name.startswith(HERE) for name in seen.pools) and seen.inventory[WETH] == 0
        (reason,) = seen.limits
        assert reason.rule == code and reason.remedy


def part_of(sold: int, got: int) -> Part:
    return Part(ClOrdId("p"), ClOrdId("c"), HERE, 0, WETH, USDC, sold, got, 1, (0,))


@pytest.mark.parametrize(
    ("sold", "got", "changes", "codes"),
    [
        (E18, 2_990 * 10**6, {}, []),
        (E18, 2_970 * 10**6, {}, []),
        (E18, 2_970 * 10**6 - 1, {}, ["SCOPE_FLOOR"]),
        (11 * E18, 33_000 * 10**6, {}, ["SCOPE_BUDGET"]),
        (10 * E18 + 1, 33_000 * 10**6, {}, ["SCOPE_BUDGET"]),
        (10 * E18, 33_000 * 10**6, {}, []),
        (E18, 2_990 * 10**6, {"allowances": {A_WETH: E18 - 1}}, ["SCOPE_ALLOWANCE"]),
        (E18, 2_990 * 10**6, {"units": {}}, ["SCOPE_PRICE"]),
        (11 * E18, 1, {"allowances": {}}, ["SCOPE_BUDGET", "SCOPE_ALLOWANCE", "SCOPE_FLOOR"]),
    ],
)
def test_the_gates_refusals_are_told_beforehand(
    sold: int, got: int, changes: dict[str, Any], codes: list[str]
) -> None:
    found = refusals(part_of(sold, got), power(**changes), DECIMALS)
    assert [reason.rule for reason in found] == codes
    assert all(reason.message and reason.remedy for reason in found)


def granted(**changes: Any) -> Any:
    told = {
        "none_yet": False, "differs": (), "gate": c.VAULT, "expiry": 2_000, "checked": 25,
        "block": SimpleNamespace(timestamp=1_000),
    }  # fmt: skip
    return SimpleNamespace(**(told | changes))


FROZEN, LIMITS = Change("gate frozen", "True", "False"), Change("gate limits", "1", "2")


@pytest.mark.parametrize(
    ("found", "others", "code"),
    [
        (granted(), (), None),
        (granted(none_yet=True), (), "SCOPE_NOT_GRANTED"),
        (granted(differs=(FROZEN,)), (), "SCOPE_FROZEN"),
        (granted(differs=(LIMITS,)), (), "SCOPE_DRIFT"),
        (granted(differs=(FROZEN, LIMITS)), (), "SCOPE_DRIFT"),
        (granted(), ("module 0x… can act without any owner",), "SCOPE_DRIFT"),
        (granted(expiry=999), (), "SCOPE_LAPSED"),
    ],
)
def test_an_audit_names_one_trouble(found: Any, others: tuple[str, ...], code: str | None) -> None:
    scope: Any = SimpleNamespace(agent=c.AGENT.address)
    nothing: Any = None
    trouble = Audit("ethereum", scope, found, others, nothing).trouble
    assert (trouble.rule if trouble else None) == code
    assert trouble is None or trouble.remedy


def test_the_end_of_the_term_is_warned_of_in_steps() -> None:
    term = 1_000
    assert [warning_of(left, term) for left in (251, 250, 101, 100, 20, 0)] == [
        None, WARN_AT[0], WARN_AT[0], WARN_AT[1], WARN_AT[2], WARN_AT[2],
    ]  # fmt: skip
    assert span(3 * 86_400 + 5) == "3 days" and span(7_300) == "2 hours" and span(59) == "59 seconds"


NOW = 2_000_000


def book(*signed: tuple[int, int, str]) -> Any:
    """(seconds ago, base units, what an owner instructed)."""
    parts = {
        number: SimpleNamespace(
            authorized=SimpleNamespace(at_ns=(NOW - ago) * 10**9), part=part_of(raw, 1), what=what
        )
        for number, (ago, raw, what) in enumerate(signed)
    }
    return SimpleNamespace(parts=parts)


@pytest.mark.parametrize(
    ("signed", "whole", "inner", "level"),
    [
        ([(100, 5, "")], 5, 5, Level.OK),
        ([(100, 5, ""), (DAY_S + 9, 7, "")], 5, 5, Level.OK),
        ([(DAY_S - APART_S // 2, 5, "")], 0, 0, Level.OK),
        ([], 5, 0, Level.OK),
        ([(100, 5, "")], 9, 9, Level.WARN),
        ([], 5, 5, Level.WARN),
        ([(100, 5, "")], 0, 0, Level.FAIL),
        ([(100, 5, "lend supply 5")], 0, 0, Level.OK),
    ],
)
def test_the_signers_book_and_the_journal_are_compared(
    signed: list[tuple[int, int, str]], whole: int, inner: int, level: Level
) -> None:
    (found,) = ledger_check(book(*signed), {1: {c.WETH: whole}}, {1: {c.WETH: inner}}, NOW)
    assert found.level is level, found
    assert level is Level.OK or found.remedy


SCOPE_TABLE: dict[str, Any] = {
    "chain": "ethereum", "per_day_usd": "60000", "burst_usd": "30000",
    "pairs": [{"a": "WETH", "b": "USDC", "source": c.AAVE}],
    "tokens": [{"symbol": "WETH", "allowance": "1"}, {"symbol": "USDC", "allowance": "1"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("authority", "scoped", "attended", "unattended"),
    [
        ("auto", True, False, True),
        ("auto", False, False, False),
        ("owners", True, False, False),
        ("agent", True, True, True),
    ],
)
def test_whose_key_signs_is_chosen_in_the_settings(
    authority: str, scoped: bool, attended: bool, unattended: bool
) -> None:
    settings = parsed(authority, scoped)
    assert by_agent(settings, unattended=False) is attended
    assert by_agent(settings, unattended=True) is unattended


def parsed(authority: str, scoped: bool) -> Any:
    given = values(wallet__authority=authority, **({"scopes": [SCOPE_TABLE]} if scoped else {}))
    path = Path("/nowhere/fairlead.toml")
    return parse(template.render(given, path), path).settings


def test_an_agent_without_a_scope_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(Usage, match="wallet.authority") as wrong:
        parsed("agent", False)
    assert "[[scopes]]" in str(wrong.value)
