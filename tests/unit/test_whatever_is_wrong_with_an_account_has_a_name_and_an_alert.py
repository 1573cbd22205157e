"""Wrong and hostile figures, one after another: the account's state is named, UNKNOWN is not SAFE, and somebody is alerted of it."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fake_comet import BASE, WBTC, FakeComet
from fake_comet import WETH as ETHER
from margin_book import CHAIN, RAY, USDC, WETH, every_model, reserve
from settings_values import values

from agent.app import template
from agent.app.health_alerts import tell
from agent.app.settings import parse
from agent.app.settings_tree import Chain
from agent.app.watching.loans import Loan, loans_of
from agent.domain.errors import Usage
from agent.margin.accounts import Judged, judge
from agent.margin.model import State
from chains.types import Address

NOW = 1_700_000_100


def changed(name: str, way: tuple[Any, ...], value: Any) -> Judged:
    """That account of the book, one of its figures changed."""
    found = copy.deepcopy(every_model())
    (account,) = [a for a in found["accounts"] if a["id"] == name]
    at = account
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = value
    (judged,) = judge(found | {"accounts": [account]})
    return judged


def alerts(judged: Judged, folder: Path) -> list[dict[str, Any]]:
    path = folder / "alerts.jsonl"
    journal = {"path": str(folder / "journal.db"), "emergency_path": str(folder / "e.bin")}
    given = parse(
        template.render(values(alerts={"file": str(path)}, journal=journal), folder / "fairlead.toml"), folder
    ).settings
    tell(given, [], [Loan(judged, None)], NOW)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("name", "way", "value", "why"),
    [
        ("aave", ("model",), "aave_v4", "no margin model 'aave_v4'"),
        ("aave", ("reserves", 0, "paused"), True, "paused"),
        ("comet", ("paused",), True, "paused"),
        ("aave", ("reserves", 1, "active"), False, "not active"),
        ("aave", ("reserves", 0, "price_1e8"), "0", "price is zero"),
        ("morpho", ("oracle_price_1e36",), "0", "price is zero"),
        ("comet", ("base_price_1e8",), "0", "price is zero"),
        ("aave", ("reserves", 0, "price_1e8"), str(10**38), "beyond any asset's"),
        ("vault", ("price_1e18",), str(10**48), "beyond any asset's"),
        ("aave", ("reserves", 1, "borrow_rate_1e27"), "-1", "below zero"),
        ("spark", ("reserves", 0, "liquidity_rate_1e27"), "-1", "below zero"),
        ("comet", ("borrow_rate_1e18",), "-1", "below zero"),
        ("morpho", ("borrow_rate_1e18",), "-1", "below zero"),
    ],
)
def test_what_cannot_be_computed_is_unknown_and_alerted(
    name: str, way: tuple[Any, ...], value: Any, why: str, tmp_path: Path
) -> None:
    judged = changed(name, way, value)
    assert judged.state is State.UNKNOWN and why in judged.why
    (alert,) = alerts(judged, tmp_path)
    assert (
        alert["code"] == "HEALTH_UNKNOWN"
        and why in alert["message"]
        and "not taken for safe" in alert["message"]
    )


STRANGE = f"{CHAIN}/erc20:0x{'9' * 40}"
"""A reserve that no file lists."""


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("aave", ("reserves", 0, "asset")),
        ("comet", ("base",)),
        ("comet", ("collateral", 0, "asset")),
        ("morpho", ("loan",)),
        ("vault", ("collateral",)),
    ],
)
def test_a_reserve_that_the_file_does_not_list_is_of_an_unknown_account_and_the_others_are_judged(
    name: str, way: tuple[Any, ...], tmp_path: Path
) -> None:
    found = copy.deepcopy(every_model())
    before = {one.id: one.state for one in judge(found)}
    at = next(a for a in found["accounts"] if a["id"] == name)
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = STRANGE
    after = {one.id: one for one in judge(found)}
    assert after[name].state is State.UNKNOWN
    assert after[name].why == f"reserve {STRANGE} is not listed in assets"
    assert {one: after[one].state for one in after} == before | {name: State.UNKNOWN}
    assert any(state is not State.UNKNOWN for one, state in before.items() if one != name)
    (alert,) = alerts(after[name], tmp_path)
    assert alert["code"] == "HEALTH_UNKNOWN" and STRANGE in alert["message"]


@pytest.mark.parametrize(
    ("way", "value", "why"),
    [
        (("reserves", 0, "asset"), "WETH", "not listed in assets"),
        (("reserves", 0, "ltv_bps"), "much", "ltv_bps"),
        (("reserves", 1, "price_1e8"), None, "price_1e8"),
    ],
)
def test_an_account_that_is_malformed_is_refused_beside_a_strange_reserve_too(
    way: tuple[Any, ...], value: Any, why: str
) -> None:
    found = copy.deepcopy(every_model())
    (account,) = [a for a in found["accounts"] if a["id"] == "aave"]
    account["reserves"][0]["asset"] = STRANGE
    account[way[0]][way[1]][way[2]] = value
    with pytest.raises(Usage) as caught:
        judge(found | {"accounts": [account]})
    assert caught.value.code == "BAD_ACCOUNTS_FILE" and why in caught.value.message


def test_an_account_with_a_hundred_positions_is_computed_whole(tmp_path: Path) -> None:
    """Fifty deposits and fifty debts: no line is left out, and the last dollar of debt decides."""
    found = every_model()
    assets = [{"id": f"{CHAIN}/erc20:0x{n:040x}", "symbol": f"T{n}", "decimals": 18} for n in range(100, 200)]
    held = 10**18 * RAY // RAY

    def judged(last_debt: int) -> Judged:
        rows = [
            reserve(a["id"], 10**8, **{"scaled_supply_raw" if n < 50 else "scaled_debt_raw": str(held)})
            for n, a in enumerate(assets)
        ]
        for row in rows[50:]:
            row["scaled_debt_raw"] = str(held * 825 // 1000)
        rows[-1]["scaled_debt_raw"] = str(last_debt)
        account = {"id": "many", "model": "aave_v3_6", "chain": CHAIN, "emode": 0, "reserves": rows}
        (one,) = judge(found | {"assets": assets, "accounts": [account]})
        return one

    edge = judged(held * 825 // 1000)
    assert edge.health is not None and edge.health.health_1e18 == 10**18 and edge.state is State.AT_RISK
    fallen = judged(held * 825 // 1000 + 10**10)
    assert (
        fallen.state is State.LIQUIDATABLE
        and fallen.health is not None
        and len(fallen.health.liquidation_px) == 100
    )
    (alert,) = alerts(fallen, tmp_path)
    assert alert["code"] == "HEALTH_LIQUIDATABLE"
    assert WETH not in alert["message"] and USDC not in alert["message"]


async def test_a_block_replaced_under_a_read_tells_nothing_of_an_account(tmp_path: Path) -> None:
    """What is asked by the block's hash is answered of another block: that is no account, and no safe one."""
    comet = Address("0x" + "c0" * 20)
    chain = Chain.model_validate(
        {"name": "ethereum", "chain_id": 1, "rpc": ["http://127.0.0.1:1"], "comets": [comet]}
    )
    market = FakeComet(
        -20_000 * 10**6, {ETHER: 10**19}, {BASE: 10**8, ETHER: 3_000 * 10**8, WBTC: 60_000 * 10**8}
    )
    market.reorganised = True
    (loan,) = await loans_of(chain, market, Address("0x" + "ab" * 20))  # type: ignore[arg-type]
    assert loan.judged.state is State.UNKNOWN and loan.judged.why
    (alert,) = await asyncio.to_thread(alerts, loan.judged, tmp_path)
    assert alert["code"] == "HEALTH_UNKNOWN"
