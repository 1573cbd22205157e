"""`run --shadow`: the real decisions over the live market, no signature, no order, and for each what the market then gave."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from desk import BASE, HERE, LIMITS, PAPER, Office, order, usdc, weth
from settings_values import values
from shadow_office import shadow, told

from agent.amm import Swapped, swap_exact_in
from agent.app.cli import run
from agent.app.shadow.comparing import Comparison, compared
from agent.app.shadow.signer import ReadingSigner
from agent.app.template import write
from agent.domain.errors import Denied, Retry
from agent.domain.events import Authorized, Breach, PartFailed, Shadowed, ShadowSeen, Submitted
from agent.domain.orders import Side
from agent.domain.risk import Ramp
from agent.execution.shadowing import ShadowDesk, work
from agent.execution.spine import work as really
from chains.types import Environment


async def decided(office: Office, *parents: Any, meanwhile: Any = None) -> Comparison:
    """What a shadow makes of these orders, one after the other; `meanwhile` is done once something would have been signed."""
    async with shadow(office) as desk:
        if meanwhile is not None:
            desk.journal.watchers.append(
                lambda event: meanwhile(event) if isinstance(event, Shadowed) else None
            )
        for parent in parents:
            await work(parent, desk)
    return compared(told(office))


def untouched(office: Office, before: tuple[Decimal, Decimal]) -> None:
    assert office.held() == before
    assert office.venue is None or office.venue.sent == []
    assert sum(chain.swaps() for chain in office.chains.values()) == 0
    assert not [event for event in told(office) if isinstance(event, Authorized | Submitted)]


def test_its_desk_has_nothing_that_could_sign_or_send() -> None:
    assert not {field.name for field in fields(ShadowDesk)} & {"authority", "outbox", "tracker", "lanes"}


async def test_its_signer_asks_for_readings_of_an_exchange_and_for_nothing_else(tmp_path: Path) -> None:
    signer = ReadingSigner(tmp_path / "none.sock", Environment.DEVNET)
    for method, params in (
        ("sign_exchange", {"method": "POST"}),
        ("send_exchange", {"method": "DELETE"}),
        ("sign_exchange", {"method": "GET", "path": "/api/v2/private/buy"}),
        ("send_exchange", {"method": "GET", "path": "/api/v2/private/cancel_by_label"}),
        ("sign_exchange", {"method": "POST", "path": "/0/private/AddOrder"}),
        ("sign_exchange", {"method": "POST", "path": "/0/private/CancelAll"}),
        ("send_exchange", {"method": "POST", "path": "/0/private/BalanceEx"}),
        ("sign_exchange", {"method": "POST", "path": "/api/v3/brokerage/orders"}),
        ("sign_tx", {}),
        ("sign_safe_tx", {}),
        ("sign_relay_auth", {}),
    ):
        with pytest.raises(Denied) as no:
            await signer.request("r", method, params)
        assert no.value.code == "SHADOW_SIGNS_NOTHING"
    asked = {
        "method": "POST",
        "path": "/0/private/BalanceEx",
    }  # Kraken is read by POST: asked for, of nobody here
    with pytest.raises(Retry):
        await signer.request("r", "sign_exchange", asked)


async def test_orders_over_every_place_are_decided_and_compared(tmp_path: Path) -> None:
    office = Office(tmp_path)
    before = office.held()
    sale, purchase = order(office, "20"), order(office, "2", Side.BUY, salt="b", slippage_bps=100)
    found = await decided(office, sale, purchase)
    untouched(office, before)
    assert {one.shadowed.part.place for one in found.orders} == {HERE, BASE, PAPER}
    assert found.count("FILLED") == len(found.orders) >= 4
    assert all(abs(bps) < Decimal("0.5") for bps in found.slippage()), "nothing moved, so the plan came true"
    for one in found.orders:
        first = one.first
        assert first is not None and first.fill is not None
        assert [round((seen.at_ns - first.at_ns) / 1e9) for seen in one.later] == [5, 60]
        on_chain = one.shadowed.part.place != PAPER
        assert (first.after_ns > 0) is on_chain, "a transaction takes the next block, an order none"
    async with shadow(office) as desk:
        assert desk.book.parents[sale.cl_ord_id].closed is not None
        assert desk.book.filled_base(sale.cl_ord_id) == 20
        assert sum(desk.book.holdings.get(asset, Decimal(0)) for asset in (weth(1), weth(8453))) < 0


def reported(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    path = folder / "fairlead.toml"
    if not path.exists():
        write(values(journal__path="journal.db"), path)
    capsys.readouterr()
    status = run(["--settings", str(path), "report", "shadow", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


async def test_a_person_reads_what_would_have_been_sent_and_what_it_would_have_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(tmp_path, capsys)[0] == 2 and "no shadow has run" in reported(tmp_path, capsys)[2]
    office = Office(tmp_path)
    found = await decided(office, order(office, "20"))
    status, text, _ = reported(tmp_path, capsys)
    assert status == 0 and f"would have sent {len(found.orders)} orders: {len(found.orders)} filled" in text
    assert "sell 20 ETH for USDC" in text and "at 5 s · " in text
    document = json.loads(reported(tmp_path, capsys, "--json", "--last", "1")[1])
    assert len(document["orders"]) == 1 and document["would_have_sent"] == len(found.orders)
    (one,) = document["orders"]
    assert one["outcome"] == "FILLED" and one["px"] and len(one["looks"]) == 3


async def test_a_book_that_moved_first_leaves_it_unfilled_and_says_by_how_much(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,))
    venue = office.venue
    assert venue is not None
    await venue.start()
    book = (await venue.book("ETHUSDC")).bids

    def others_sell(event: Shadowed) -> None:
        deep = [level for level in book if level[0] >= Decimal(2980)]
        venue.house("SELL", "2980", f"{sum(size for _, size in deep)}")

    found = await decided(office, order(office, "2", salt="m"), meanwhile=others_sell)
    first, *rest = found.orders
    assert first.outcome == "NOT_FILLED" and first.first is not None
    assert "its limit" in first.first.told and first.shadowed.order is not None
    left = [level for level in book if level[0] < Decimal(2980)]
    need, quote = Decimal(2), Decimal(0)
    for px, size in left:
        part = min(size, need)
        need, quote = need - part, quote + part * px
    assert need == 0
    gives = quote / 2 * (1 - Decimal("0.001"))
    worse = (first.shadowed.px - gives) / first.shadowed.px * 10_000
    said = first.worse_bps(first.first.px)
    assert said is not None and abs(said - worse) < Decimal("0.02") and worse > 50
    assert rest and rest[0].outcome == "FILLED" and rest[0].shadowed.px < first.shadowed.px, "decided anew"


async def test_a_pool_that_moved_first_is_told_to_the_unit(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(BASE,))
    chain = office.chains[8453]
    (name,) = chain.world.pools
    expected: list[int] = []

    def others_sell(event: Shadowed) -> None:
        if expected:
            return
        moved = swap_exact_in(chain.world.pools[name], weth(8453), usdc(8453), 60 * 10**18)
        assert isinstance(moved, Swapped)
        chain.world.pools[name] = moved.after
        then = swap_exact_in(moved.after, weth(8453), usdc(8453), event.part.in_raw)
        assert isinstance(then, Swapped)
        expected.append(then.amount_out)

    before = office.held()
    found = await decided(office, order(office, "3", salt="p"), meanwhile=others_sell)
    first = found.orders[0]
    assert first.outcome == "NOT_FILLED" and first.first is not None
    assert first.first.out_raw == expected[0] < first.shadowed.floor_raw
    assert first.first.told == "less than its minimum"
    assert office.held()[0] == before[0]


async def test_a_schedule_goes_on_over_a_restart_and_the_real_desk_beside_it_is_untouched(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    twap = order(office, "4", algo="twap", params=(("over", "40m"), ("slices", "4")), life_s=7200)
    real = order(office, "1", salt="real")
    async with office.open() as desk:
        await really(real, desk)
    live = office.journal_path.read_bytes()

    class Died(Exception):
        pass

    async def dies_after_two() -> None:
        async with shadow(office) as desk:
            seen = 0

            def count(event: object) -> None:
                nonlocal seen
                seen += isinstance(event, ShadowSeen) and event.decides
                if seen == 2:
                    raise Died

            desk.journal.watchers.append(count)
            await work(twap, desk)

    with pytest.raises(BaseException) as death:
        await dies_after_two()
    assert death.group_contains(Died) if isinstance(death.value, BaseExceptionGroup) else True
    async with shadow(office) as desk:
        await work(twap, desk)
        assert desk.book.filled_base(twap.cl_ord_id) == 4
        closed = desk.book.parents[twap.cl_ord_id].closed
        assert closed is not None and closed.status == "FILLED"
    found = compared(told(office))
    assert sum(one.child.qty for one in found.orders) == 4
    assert office.journal_path.read_bytes() == live, "the shadow wrote into the real record"
    assert real.cl_ord_id not in {one.child.parent for one in found.orders}


async def test_what_the_rules_deny_is_denied_in_the_shadow_too(tmp_path: Path) -> None:
    office = Office(tmp_path, limits=replace(LIMITS, per_order_usd=Decimal(100)))
    found = await decided(office, order(office, "1"))
    assert found.orders == [] and found.denied == {"ORDER_TOO_LARGE": 1}
    assert [event for event in told(office) if isinstance(event, Breach)]
    assert not [event for event in told(office) if isinstance(event, PartFailed)]


async def test_what_settled_for_real_raises_the_caps_of_the_shadow_too(tmp_path: Path) -> None:
    ramp = Ramp(Decimal(400), 4, 2, Decimal(1_000))
    office = Office(tmp_path, places=(PAPER,), limits=replace(LIMITS, ramp=ramp))
    async with office.open() as desk:
        for salt in ("a", "b"):
            await really(order(office, "0.1", salt=salt), desk)
    async with shadow(office) as alone:
        await work(order(office, "0.3", salt="c"), alone)
    async with shadow(office, office.read_book()) as beside:
        await work(order(office, "0.3", salt="d"), beside)
    found = compared(told(office))
    assert found.denied == {"RAMP_CAP": 1} and found.count("FILLED") == 1
