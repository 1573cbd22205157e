"""Orders of every kind on the devnet, and an independent referee: web3.py asks the chains, the exchange tells its own truth.

What they hold is what the journal says, to the wei; no allowance is left; the sender paid exactly the gas that was booked;
the record verifies, replays to the same state, and no byte of it can be altered, cut off or rewritten unnoticed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tomllib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from forked import Ran
from trading_home import TradingHome
from web3 import HTTPProvider, Web3

from agent.app import template
from agent.app.readonly import read_book
from agent.domain.instruments import chain_of
from agent.journal.book import Book
from agent.journal.records import fill_changes
from chains import profiles

pytestmark = pytest.mark.devnet


def abi(function: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    named = [{"name": f"a{i}", "type": kind} for i, kind in enumerate(inputs)]
    return {
        "name": function, "type": "function", "stateMutability": "view", "inputs": named,
        "outputs": [{"name": f"o{i}", "type": kind} for i, kind in enumerate(outputs)],
    }  # fmt: skip


ERC20 = [abi("balanceOf", ["address"], ["uint256"]), abi("allowance", ["address", "address"], ["uint256"])]
PERMIT2 = [abi("allowance", ["address", "address", "address"], ["uint160", "uint48", "uint48"])]
SAFE = [abi("nonce", [], ["uint256"])]


class Referee:
    """Knows nothing of Fairlead's own reading of chains."""

    def __init__(self, home: TradingHome) -> None:
        self.home = home
        self.chains = {chain_id: Web3(HTTPProvider(url)) for chain_id, url in home.urls.items()}
        self.safe = Web3.to_checksum_address(home.safe)
        self.sender = Web3.to_checksum_address(home.sender)

    def state(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for chain_id, w3 in self.chains.items():
            for symbol in ("WETH", "USDC"):
                token = self.home.token(chain_id, symbol)
                contract = w3.eth.contract(address=Web3.to_checksum_address(token), abi=ERC20)
                found[f"eip155:{chain_id}/erc20:{token}"] = contract.functions.balanceOf(self.safe).call()
            safe = w3.eth.contract(address=self.safe, abi=SAFE)
            found[f"safe nonce {chain_id}"] = safe.functions.nonce().call()
            found[f"sender nonce {chain_id}"] = w3.eth.get_transaction_count(self.sender)
            found[f"gas eip155:{chain_id}"] = -w3.eth.get_balance(self.sender)
        for asset in ("ETH", "USDC"):
            found[f"cex:paper/{asset}"] = int(self.home.paper_balance(asset).scaleb(8))
        return found

    def allowances(self) -> dict[str, int]:
        left: dict[str, int] = {}
        for chain_id, w3 in self.chains.items():
            contracts = profiles.load(chain_id).contracts
            spenders = [
                contracts[n] for n in ("permit2", "universal_router", "balancer_vault") if n in contracts
            ]
            permit2 = w3.eth.contract(address=contracts["permit2"], abi=PERMIT2)
            for symbol in ("WETH", "USDC"):
                token = Web3.to_checksum_address(self.home.token(chain_id, symbol))
                erc20 = w3.eth.contract(address=token, abi=ERC20)
                for spender in spenders:
                    name = f"{chain_id} {symbol} {spender}"
                    left[name] = erc20.functions.allowance(self.safe, spender).call()
                    left["permit2 " + name] = permit2.functions.allowance(self.safe, token, spender).call()[0]
        return left


def told(book: Book) -> dict[str, int]:
    """The same quantities as the journal's own fills, gas and transactions tell them."""
    found: dict[str, int] = defaultdict(int)
    for part in book.parts.values():
        chain_id = chain_of(part.part.place)
        for fill in part.fills.values():
            for asset, change in fill_changes(fill):
                digits = 8 if chain_id is None else 6 if "USDC" in symbol_of(asset) else 18
                raw = change.scaleb(digits)
                assert raw == int(raw), f"{asset} changed by {change}"
                found[asset] += int(raw)
        if chain_id is not None and part.included_in:
            found[f"safe nonce {chain_id}"] += bool(part.fills)
            found[f"sender nonce {chain_id}"] += 1
            found[f"gas eip155:{chain_id}"] += part.gas_wei
    return {name: change for name, change in found.items() if change}


def symbol_of(asset: str) -> str:
    usdc = {profiles.load(c).usdc.lower() for c in (1, 8453, 42161)}
    return "USDC" if asset.rpartition(":")[2].lower() in usdc else asset.rpartition("/")[2]


def with_pools(home: TradingHome, folder: Path, kind: str) -> str:
    """Settings like the home's, in which chain 1 knows pools of one kind only and nothing else is open."""
    values = tomllib.loads(home.settings_path.read_text())
    for chain in values["chains"]:
        chain["pools"] = [p for p in chain["pools"] if chain["chain_id"] == 1 and p["kind"] == kind]
        chain["relays"] = chain["relays"]
    assert any(chain["pools"] for chain in values["chains"]), f"the devnet has no {kind} pool"
    for venue in values["venues"]:
        venue["symbols"] = []
    path = folder / f"{kind}.toml"
    template.write(values, path, note="One kind of pool.", replace=True)
    return str(path)


def traded(run: Ran) -> dict[str, Any]:
    assert run.status == 0, f"{run.status} {run.out[-3000:]} {run.err[-3000:]}"
    found: dict[str, Any] = run.json
    assert found["parent"]["status"] == "FILLED"
    assert found["settlement"]["final"] is True
    return found


LIVE = ("--live", "--yes", "--json", "--max-loss")


@pytest.fixture(scope="module")
def story(trading_home: TradingHome, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Six orders, one after another, each checked by the referee as it ends."""
    home, folder = trading_home, tmp_path_factory.mktemp("variants")
    home.take_over()
    referee = Referee(home)
    found: dict[str, Any] = {"before": referee.state(), "referee": referee}

    def step(name: str, *argv: str, settings: str | None = None) -> None:
        run = home.fairlead(*(("--settings", settings) if settings else ()), *argv)
        found[name] = traded(run)
        book = read_book(home.settings)
        assert book is not None
        now, start = referee.state(), found["before"]
        assert {k: now[k] - start[k] for k in now if now[k] != start[k]} == told(book), f"after: {name}"
        assert not any(referee.allowances().values()), f"after: {name}"

    step("sell", "trade", "sell", "25", "ETH", "--for", "USDC", *LIVE, "600")
    step("buy", "trade", "buy", "3", "ETH", "--for", "USDC", *LIVE, "200")
    step(
        "twap", "trade", "sell", "5", "ETH", "--for", "USDC", "--algo", "twap", "--over", "10s", "--slices", "5",
        *LIVE, "200",
    )  # fmt: skip
    step("limit", "trade", "sell", "2", "ETH", "--for", "USDC", "--limit", "2500", *LIVE, "2000")
    quoted = home.fairlead("quote", "sell", "1.5", "ETH", "--for", "USDC", "--json")
    assert quoted.status == 0, quoted.err
    proof = quoted.json["certificate"]  # whoever decides sees how far from the best it can be
    assert int(proof["bound_raw"]) >= int(quoted.json["net_out_raw"]) > 0 and proof["gap_bps"] < 100
    step("quote", "trade", quoted.json["quote_id"], *LIVE, "100")
    for kind in ("uniswap_v4", "balancer_v2_weighted"):
        step(
            kind,
            "trade",
            "sell",
            "1",
            "ETH",
            "--for",
            "USDC",
            *LIVE,
            "200",
            settings=with_pools(home, folder, kind),
        )
    found["after"] = referee.state()
    return found


def test_twenty_five_ether_over_three_places_and_more(story: dict[str, Any]) -> None:
    places = {execution["place"] for execution in story["sell"]["executions"]}
    assert len(places) >= 3, places
    assert Decimal(story["sell"]["parent"]["filled_base"]) == 25
    assert sum(Decimal(e["qty_in"]) for e in story["sell"]["executions"]) == 25
    floor = Decimal(story["sell"]["floor"])
    assert Decimal(story["sell"]["attribution"]["qty_quote"]) >= floor


def test_a_purchase_brings_what_was_asked(story: dict[str, Any]) -> None:
    assert 3 <= Decimal(story["buy"]["parent"]["filled_base"]) < Decimal("3.001")


def test_a_schedule_sells_in_slices_that_add_up(story: dict[str, Any]) -> None:
    assert len(story["twap"]["children"]) == 5
    assert sum(Decimal(child["qty"]) for child in story["twap"]["children"]) == 5
    assert Decimal(story["twap"]["parent"]["filled_base"]) == 5


def test_a_quote_is_traded_by_its_id(story: dict[str, Any]) -> None:
    assert Decimal(story["quote"]["parent"]["filled_base"]) == Decimal("1.5")


@pytest.mark.parametrize("kind", ["uniswap_v4", "balancer_v2_weighted"])
def test_these_pools_are_really_traded(trading_home: TradingHome, story: dict[str, Any], kind: str) -> None:
    chain = trading_home.settings.chain(1)
    assert chain is not None
    known = {f"eip155:1/{pool.address}".lower() for pool in chain.pools if pool.kind == kind}
    assert {leg["id"].lower() for leg in story[kind]["legs"]} <= known
    assert {e["place"] for e in story[kind]["executions"]} == {"eip155:1"}
    assert Decimal(story[kind]["parent"]["filled_base"]) == 1


def test_costs_add_up(story: dict[str, Any]) -> None:
    for name in ("sell", "buy", "twap", "limit", "quote"):
        a = {k: Decimal(v) for k, v in story[name]["attribution"].items()}
        parts = ("drift_cost", "spread_cost", "impact_cost", "fee_cost", "gas_cost")
        assert abs(sum(a[part] for part in parts) - a["total_cost"]) <= Decimal("0.000004"), name


def test_nobody_took_a_part_of_it_and_every_block_says_so(
    trading_home: TradingHome, story: dict[str, Any]
) -> None:
    """The private road: each fill's block carried out again without what stood before it gives the same, to the wei."""
    run = trading_home.fairlead("report", "mev", "--last", "3", "--json")
    assert run.status == 0, run.err
    assert len(run.json["fills"]) == 3
    for fill in run.json["fills"]:
        assert "error" not in fill, fill
        assert fill["loss_raw"] == "0" and fill["received_raw"] == fill["replayed_raw"] == fill["alone_raw"]
        assert int(fill["received_raw"]) > 0 and fill["sandwich"] is None
    shown = trading_home.fairlead("report", "mev", "--last", "1")
    assert shown.status == 0 and "0.00" in shown.out
    strange = trading_home.fairlead("report", "mev", "fl-nobody", "--json")
    assert (strange.status, strange.json["error"]["code"]) == (2, "UNKNOWN_ORDER")


def test_the_record_verifies_and_replays_to_the_same_state(
    trading_home: TradingHome, story: dict[str, Any]
) -> None:
    verified = trading_home.fairlead("journal", "verify", "--json")
    assert verified.status == 0, verified.out + verified.err
    replayed = trading_home.fairlead("journal", "replay", "--json")
    assert replayed.status == 0, replayed.out + replayed.err
    text = json.dumps(replayed.json)
    book = read_book(trading_home.settings)
    assert book is not None and book.state_hash() in text


def damaged(trading_home: TradingHome, folder: Path, how: str) -> Ran:
    source = trading_home.settings.journal.path
    for path in source.parent.glob(source.name + "*"):
        if not path.name.endswith(".lock"):
            shutil.copy(path, folder / path.name)
    copy = folder / source.name
    db = sqlite3.connect(copy)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    entries = next(
        t for t in tables if {"seq", "payload"} <= {c[1] for c in db.execute(f"PRAGMA table_info({t})")}
    )
    triggers = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]
    for trigger in triggers:
        db.execute(f"DROP TRIGGER {trigger}")
    last = db.execute(f"SELECT max(seq) FROM {entries}").fetchone()[0]
    if how == "byte":
        payload = bytearray(
            db.execute(f"SELECT payload FROM {entries} WHERE seq=?", (last // 2,)).fetchone()[0]
        )
        payload[len(payload) // 2] ^= 1
        db.execute(f"UPDATE {entries} SET payload=? WHERE seq=?", (bytes(payload), last // 2))
    elif how == "truncation":
        db.execute(f"DELETE FROM {entries} WHERE seq > ?", (last - 3,))
    else:
        rewrite(db, entries, last)
    db.commit()
    db.close()
    return trading_home.fairlead("journal", "verify", "--file", str(copy), "--json")


def rewrite(db: sqlite3.Connection, entries: str, last: int) -> None:
    """Makes the last ten entries say something else, with hashes that fit."""
    from agent.journal.chain import Seq, link

    columns = [c[1] for c in db.execute(f"PRAGMA table_info({entries})")]
    rows = db.execute(f"SELECT * FROM {entries} WHERE seq > ? ORDER BY seq", (last - 10,)).fetchall()
    before = dict(zip(columns, rows[0], strict=True))["prev_hash"]
    for row in rows:
        entry = dict(zip(columns, row, strict=True))
        at_ns = entry["at_ns"] + 1
        fresh = link(before, Seq(entry["seq"]), at_ns, entry["kind"], entry["version"], entry["payload"])
        db.execute(
            f"UPDATE {entries} SET at_ns=?, prev_hash=?, hash=? WHERE seq=?",
            (at_ns, before, fresh, entry["seq"]),
        )
        before = fresh


@pytest.mark.parametrize("how", ["byte", "truncation", "rewritten tail"])
def test_what_was_done_to_that_record_is_found(
    trading_home: TradingHome, story: dict[str, Any], tmp_path: Path, how: str
) -> None:
    run = damaged(trading_home, tmp_path, how)
    assert run.status == 6, f"{run.status} {run.out} {run.err}"
    assert "Traceback" not in run.err
