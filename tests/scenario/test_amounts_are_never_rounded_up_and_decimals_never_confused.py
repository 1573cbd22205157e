"""Eighteen decimals here, six there, eight at the exchange, lots and ticks: what is spent is never more than was asked for, a
minimum never less than was promised, from the plan to the calldata and the order."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from desk import BASE, HERE, PAPER, Office, order, usdc, weth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.algos.step import slice_of
from agent.domain.events import Approved, Breach, Planned, Prepared, Simulated
from agent.domain.instruments import AssetId
from agent.domain.orders import Side
from agent.domain.units import qty_exact
from agent.execution.desk import Desk
from chains.types import Call
from contracts.decode import to_leaves
from contracts.leaves import Approve, Permit2Approve, Swap
from contracts.multisend import Part as Sent
from contracts.multisend import calldata
from keys.safe import DELEGATECALL

DECIMALS = {weth(1): 18, weth(8453): 18, usdc(1): 6, usdc(8453): 6}


async def rehearsed(
    desk: Desk, office: Office, qty: str, side: Side, slippage: int
) -> list[tuple[Planned, Prepared, Simulated]]:
    parent = order(office, qty, side, slippage_bps=slippage)
    child = slice_of(parent, 0, parent.qty, parent.intent.expire_ns)
    planned = await desk.plan(child)
    if isinstance(planned, Breach):
        return []
    approved = await desk.review(planned)
    assert isinstance(approved, Approved), approved
    found = []
    for part in planned.parts:
        prepared = await desk.prepare(part, approved)
        simulated = await desk.simulate(prepared, approved)
        assert isinstance(simulated, Simulated), simulated
        found.append((planned, prepared, simulated))
    return found


def digits(asset: AssetId) -> int:
    return DECIMALS.get(asset, 8)


quantities = st.decimals("0.02", "30", places=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(quantities, st.sampled_from(list(Side)), st.integers(1, 300))
async def test_from_the_plan_to_the_calldata(tmp_path: Path, qty: Decimal, side: Side, slippage: int) -> None:
    office = Office(tmp_path)
    async with office.open() as desk:
        parts = await rehearsed(desk, office, str(qty), side, slippage)
    given_total = got_total = Decimal(0)
    for planned, prepared, simulated in parts:
        part = prepared.part
        given, got = (
            qty_exact(part.in_raw, digits(part.asset_in)),
            qty_exact(part.out_raw, digits(part.asset_out)),
        )
        given_total, got_total = given_total + given, got_total + got
        assert Decimal(2800) < (got / given if side is Side.SELL else given / got) < Decimal(3200), (
            "decimals were confused"
        )
        assert part.floor_raw * 10_000 <= part.out_raw * (10_000 - slippage) < (part.floor_raw + 1) * 10_000
        if prepared.order is not None:
            sent, leg = prepared.order, planned.route.legs[part.legs[0]]
            assert sent.px is not None and leg.px is not None
            assert sent.order_qty % Decimal("0.0001") == 0 and sent.px % Decimal("0.01") == 0
            if side is Side.SELL:
                assert sent.order_qty <= given, "the lot was rounded up"
                exact = leg.px * (10_000 - slippage) / 10_000
                assert exact <= sent.px < exact + Decimal("0.01"), (
                    "the limit must not fall below the worst accepted price"
                )
            else:
                exact = leg.px * (10_000 + slippage) / 10_000
                assert exact - Decimal("0.01") < sent.px <= exact
            continue
        batch = simulated.chain
        assert batch is not None
        known = office.chains[batch.chain_id].known
        raw = calldata([Sent(call.to, call.value, call.data) for call in batch.calls])
        multi = next(a for a, kind in known.items() if kind == "multi_send")
        leaves = to_leaves(Call(multi, raw), known, DELEGATECALL)  # type: ignore[arg-type]
        swaps = [leaf for leaf in leaves if isinstance(leaf, Swap)]
        assert sum(swap.amount_in for swap in swaps) == part.in_raw
        assert sum(swap.amount_out for swap in swaps) == simulated.floor_raw
        assert simulated.floor_raw * 10_000 <= simulated.out_raw * (10_000 - slippage)
        assert all(swap.amount_out > 0 for swap in swaps), "a swap without a minimum"
        assert [leaf.amount for leaf in leaves if isinstance(leaf, Approve | Permit2Approve)] == [
            part.in_raw
        ] * 2
    if parts and side is Side.SELL:
        assert given_total <= qty
        assert qty - given_total < Decimal("0.0001") + Decimal("1e-12")
    if parts and side is Side.BUY:
        assert got_total >= qty or parts[0][0].route.out_raw >= 0


async def test_an_odd_quantity_is_split_and_no_dust_is_invented(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE, BASE, PAPER))
    before = office.held()
    parent = order(office, "7.123456789012345678")
    from agent.execution.spine import work

    async with office.open() as desk:
        await work(parent, desk)
    sold = before[0] - office.held()[0]
    assert sold <= parent.qty and parent.qty - sold <= Decimal("0.000001")
