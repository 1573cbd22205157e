"""An empty gas account, a spent budget, a wallet with too little, money still on its way: each alert names what it is and what to bring."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from memory_job_store import MemoryJobStore

from agent.app.jobs.budgets import Budgets
from agent.app.places import Directory
from agent.app.rescue.pricing import LEND_GAS, means_of
from agent.app.rescue.sight import Sight
from agent.app.rescue.watch import RescueWatch
from agent.app.settings_rescue import RescueTable
from agent.domain.errors import Denied
from agent.domain.events import Crossed
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId
from agent.execution.settlement import token_of
from agent.margin import aave_v3_6
from agent.margin.aave_account import Account, Reserve
from agent.margin.ray import RAY
from chains.types import Fees

WETH, USDC = (AssetId(f"eip155:1/erc20:0x{n * 40}") for n in "ab")
THERE = AssetId(f"eip155:8453/erc20:0x{'d' * 40}")
NOW_S, GWEI = 1_700_000_000, 10**9
NEEDED = LEND_GAS * 20 * GWEI
SENDER, NAME = "0x" + "5" * 40, "aave_v3:eip155:1"
RULE = RescueTable(name="house", chain="ethereum", add_collateral=False, swap=False)


class Desk:
    """A journal that keeps what is alerted; its book knows no payment, and the crossings it is given."""

    def __init__(self, *crossings: Crossed) -> None:
        self.alarms: list[tuple[str, str]] = []
        self.journal = self
        self.clock = SimpleNamespace(now_ns=lambda: NOW_S * 10**9)
        parts = {c.cl_ord_id: SimpleNamespace(what=f"bridge 900 USDC from base to ethereum for {NAME}", ended=False, included_in="0xb") for c in crossings}  # fmt: skip
        self.book = SimpleNamespace(parts=parts, parents={}, crossings={c.cl_ord_id: c for c in crossings})

    async def record(self, event: Any) -> None:
        self.alarms.append((event.code, event.message))


def loan() -> Account:
    """An ether at 2,000 dollars against 1,600: a health of 1.03."""
    weth = Reserve(str(WETH), 18, 2_000 * 10**8, 8_000, 8_250, True, NOW_S, 10**18, RAY, 0, 0, RAY, 0)
    usdc = Reserve(str(USDC), 6, 10**8, 0, 0, False, NOW_S, 0, RAY, 0, 1_600 * 10**6, RAY, 0)
    return Account((weth, usdc))


def app(roads: Any = None) -> Any:
    assets = {WETH: Asset(WETH, "WETH", 18), USDC: Asset(USDC, "USDC", 6), THERE: Asset(THERE, "USDC", 6)}
    limits = SimpleNamespace(allow_assets=("WETH", "USDC"), per_order_usd=Decimal(100_000))
    base = SimpleNamespace(name="base", chain_id=8453)
    ethereum = SimpleNamespace(name="ethereum", chain_id=1)
    known = {1: ethereum, 8453: base, "ethereum": ethereum, "base": base}
    bridge = SimpleNamespace(usual_s=15, fee_bps=10, late_s=600)
    return SimpleNamespace(
        directory=Directory({"WETH": (WETH,), "USDC": (USDC, THERE)}, assets), roads=roads,
        settings=SimpleNamespace(limits=limits, bridge=bridge, chain=known.get, chains=(ethereum, base), venues=()),
        clock=SimpleNamespace(now_ns=lambda: NOW_S * 10**9),
    )  # fmt: skip


def sight(held: int, wei: int = NEEDED, payable: int | None = None) -> Sight:
    account, engine = loan(), aave_v3_6.MODEL
    found = SimpleNamespace(block=SimpleNamespace(timestamp=NOW_S, number=100))
    one: Any = SimpleNamespace(
        name=NAME, account=account, engine=engine, found=found, health=engine.health(account, NOW_S), state=None,
        symbols={str(WETH): "WETH", str(USDC): "USDC"}, frozen=frozenset(),
    )  # fmt: skip
    profile = SimpleNamespace(native="ETH", chain_id=1, name="ethereum")
    desk: Any = SimpleNamespace(profile=profile, sender=SENDER, wallet="0xWallet", road=None)
    lender: Any = SimpleNamespace(contract="0xPool", words="Aave V3")
    prices = {"ETH": Decimal(2_000), "WETH": Decimal(2_000), "USDC": Decimal(1)}
    left = {} if payable is None else {("repay", token_of(USDC)): payable}
    return Sight(RULE, desk, lender, one, {USDC: held}, {}, Fees(20 * GWEI, GWEI), wei, prices, (), payable=left)  # fmt: skip


async def alerted(seen: Sight, desk: Desk, roads: Any = None) -> list[tuple[str, str]]:
    """What two looks in a row alert; nothing new may be begun, so that neither signs."""

    async def before() -> None:
        raise Denied("NOT_NOW", "the test begins nothing", "")

    given: Any = desk
    shared = Budgets(MemoryJobStore(), "here:1")
    watch = RescueWatch(app(roads), given, RULE, Decimal(500), lambda line: None, before, shared)
    for _ in range(2):
        try:
            await watch._rescue(seen)
        except Denied as stopped:
            assert stopped.code == "NOT_NOW"
    return desk.alarms


async def test_an_empty_gas_account_stops_and_the_alert_names_the_missing_wei() -> None:
    ((code, text),) = await alerted(sight(2_000 * 10**6, NEEDED - 1), Desk())
    assert code == "RESCUE_IMPOSSIBLE" and "GAS_EMPTY: ethereum: " in text
    assert f"send 0.000000000000000001 ETH to {SENDER}" in text
    assert await alerted(sight(2_000 * 10**6), Desk()) == [], "a wei more, and it is rescued"


async def test_a_wallet_with_too_little_does_what_helps_and_alerts_what_is_missing() -> None:
    ((code, text),) = await alerted(sight(50 * 10**6), Desk())
    assert code == "RESCUE_SHORT" and "the target 1.35 is out of reach" in text
    assert "USDC to 0xWallet on ethereum, to repay it on top of what is there" in text


async def test_a_payment_that_the_agents_budget_has_no_room_for_is_alerted() -> None:
    scope = SimpleNamespace(
        lending_pool="0xPool",
        reserves=(SimpleNamespace(asset=token_of(USDC), actions=("repay",)),),
        payments=(),
    )
    roads = SimpleNamespace(opened={1: SimpleNamespace(scope=scope)})
    ((code, text),) = await alerted(sight(2_000 * 10**6, payable=0), Desk(), roads)
    assert code == "RESCUE_IMPOSSIBLE"
    assert "SCOPE_PAYMENT_SPENT: ethereum: the agent's key may repay no more USDC at Aave V3 now" in text
    assert await alerted(sight(2_000 * 10**6, payable=1_000 * 10**6), Desk(), roads) == []


@pytest.mark.parametrize(("index", "told"), [(RAY, False), (2 * RAY, False), (5 * RAY // 2, True)])
def test_a_pool_that_books_a_payment_too_coarsely_is_named(index: int, told: bool) -> None:
    scope = SimpleNamespace(
        lending_pool="0xPool", reserves=(SimpleNamespace(asset=token_of(USDC), actions=("repay",)),), payments=()
    )  # fmt: skip
    roads = SimpleNamespace(opened={1: SimpleNamespace(scope=scope)})
    seen = sight(2_000 * 10**6)
    weth, usdc = seen.one.account.reserves
    seen.one.account = Account((weth, replace(usdc, borrow_index_1e27=index, scaled_debt_raw=640 * 10**6)))
    found, doubts = means_of(app(roads), seen, NOW_S)
    named = [one.message for one in doubts if one.code == "SCOPE_ROUNDING"]
    assert bool(named) is told and any(one.do == "repay" for one in found)
    assert not told or "books up to 3 base units of USDC less" in named[0]
    assert means_of(app(), seen, NOW_S)[1] == [], "owners' payments go to the pool itself"


@pytest.mark.parametrize("stage", ["SENT", "DEPOSITED"])
async def test_money_on_its_way_is_waited_for_and_told_once(stage: str) -> None:
    crossing = Crossed(
        ClOrdId("c-1"), "across", THERE, USDC, 6, 900 * 10**6, 899 * 10**6, 0, NOW_S + 600, 90, stage, NOW_S * 10**9,
    )  # fmt: skip
    ((code, text),) = await alerted(sight(0), Desk(crossing))
    assert code == "RESCUE_WAITS" and f"{NAME}: on its way: 900.000000 USDC to ethereum: {stage.lower()}" in text  # fmt: skip
    ((code, _),) = await alerted(sight(0), Desk())
    assert code == "RESCUE_IMPOSSIBLE", "nothing on its way, nothing to wait for"
