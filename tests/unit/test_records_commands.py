"""`fairlead journal …` and `fairlead config …`: what they print, their JSON, their exit status."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from journal_events import CountingClock
from settings_values import values

from agent.app.cli import run
from agent.app.template import write
from agent.domain import events as ev
from agent.domain.ids import ClOrdId, IntentId
from agent.domain.instruments import AssetId, Place
from agent.domain.orders import ChildOrder, Intent, ParentOrder, Part, Side
from agent.journal.book import Book
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from chains.types import Protection

AT = 1_700_000_000_000_000_000


def accepted(number: int) -> ev.Accepted:
    intent = Intent(
        IntentId(f"i-{number}"), "person", Side.SELL, "ETH", "USDC", Decimal("25"), None, "now", (), 50, Protection.PRIVATE, AT, AT + 10**12
    )  # fmt: skip
    return ev.Accepted(ParentOrder(ClOrdId(f"p-{number}"), intent), AT)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A settings file, and the journal it names: two parents, one closed; the book's hash remembered at the end."""
    write(values(journal__path="journal.db"), tmp_path / "f.toml")

    async def live() -> None:
        journal = Journal.open(
            tmp_path / "journal.db",
            clock=CountingClock(AT),
            environment="devnet",
            codec=event_codec(),
            emergency=tmp_path / "e",
        )
        book = Book()
        journal.remember("book", book.state_hash)
        for event in (
            accepted(1),
            accepted(2),
            ev.ParentClosed(ClOrdId("p-1"), "CANCELED", "asked for", AT),
            ev.Halted("person", "lunch", AT),
        ):
            await journal.record_durably(event)
            book.apply(event)
        journal.close()

    asyncio.run(live())
    return tmp_path


def fairlead(home: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run(["--settings", str(home / "f.toml"), *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return status, said.out, said.err


def document(home: Path, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    got, out, _ = fairlead(home, capsys, *words, "--json")
    assert got == status, out
    return json.loads(out)


def test_show_finds_an_order_with_all_that_came_from_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = document(home, capsys, "journal", "show", "--order", "i-1")["entries"]
    assert [(entry["seq"], entry["kind"]) for entry in entries] == [(1, "Accepted"), (3, "ParentClosed")]
    assert entries[0]["at"] == "2023-11-14T22:13:20.000001000Z"
    assert entries[0]["event"]["parent"]["intent"]["qty"] == "25"
    status, out, _ = fairlead(home, capsys, "journal", "show", "--last", "1")
    assert status == 0 and "Halted" in out and "lunch" in out and "Accepted" not in out
    assert [e["seq"] for e in document(home, capsys, "journal", "show", "--kind", "Accepted")["entries"]] == [
        1,
        2,
    ]
    assert document(home, capsys, "journal", "show", "--since", "2023-11-14T22:13:21Z")["entries"] == []


def test_show_follows_an_order_down_to_its_transactions(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = ChildOrder(
        ClOrdId("c-2"),
        ClOrdId("p-2"),
        0,
        Side.SELL,
        "ETH",
        "USDC",
        Decimal(25),
        None,
        50,
        Protection.PRIVATE,
        AT,
    )
    part = Part(
        ClOrdId("fl-2"), child.cl_ord_id, Place("eip155:1"), 0, AssetId("a"), AssetId("b"), 10**19, 1, 1, (0,)
    )
    sent = ev.Submitted(part.cl_ord_id, part.place, "flashbots", "0x", AT)

    async def more() -> None:
        journal = Journal.open(
            home / "journal.db",
            clock=CountingClock(AT),
            environment="devnet",
            codec=event_codec(),
            emergency=home / "e",
        )
        for event in (ev.Sliced(child, AT), ev.PartFailed(part, "X", "no", AT), sent):
            await journal.record_durably(event)
        journal.close()

    asyncio.run(more())
    for order, seqs in (("p-2", [2, 5, 6, 7]), ("i-2", [2, 5, 6, 7]), ("c-2", [5, 6, 7]), ("fl-2", [6, 7])):
        entries = document(home, capsys, "journal", "show", "--order", order)["entries"]
        assert [entry["seq"] for entry in entries] == seqs, order


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--kind", "Acepted"], "UNKNOWN_KIND", "Accepted"),
        (["--since", "yesterday"], "BAD_TIME", "2026"),
        (["--file", "/nonexistent/j.db"], "JOURNAL_MISSING", "first order"),
    ],
)
def test_bad_input_has_its_one_message(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str, hint: str
) -> None:
    _, out, _ = fairlead(home, capsys, "journal", "show", *words, "--json")
    error = json.loads(out)["error"]
    assert error["code"] == code and hint in error["hint"]


def test_verify_says_whole_and_where_it_ends(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = document(home, capsys, "journal", "verify")
    assert verdict["valid"] and verdict["entries"] == 4 and verdict["last_anchor"] == verdict["head"]
    assert document(home, capsys, "journal", "verify", "--head", verdict["head"])["valid"]
    lie = "4:" + "00" * 32
    assert (
        document(home, capsys, "journal", "verify", "--head", lie, status=6)["faults"][0]["kind"]
        == "REWRITTEN"
    )
    assert document(home, capsys, "journal", "verify", "--head", "4", status=2)["error"]["code"] == "BAD_HEAD"


def test_verify_names_the_altered_entry(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = sqlite3.connect(home / "journal.db")
    with db:
        db.execute("UPDATE entries SET payload = replace(payload, '25', '26') WHERE seq = 2")
    db.close()
    assert document(home, capsys, "journal", "verify", status=6)["faults"][0]["seq"] == 2
    status, out, err = fairlead(home, capsys, "journal", "verify")
    assert status == 6 and "entry 2" in out and "nothing was changed" in err


def test_replay_rebuilds_the_book_that_was_lived(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = document(home, capsys, "journal", "replay")["states"][0]
    assert state["projection"] == "book" and state["same"] is True and state["recorded_seq"] == 4
    assert state["state_hash"] == state["recorded"]


def test_export_writes_every_entry_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = fairlead(home, capsys, "journal", "export")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [line["seq"] for line in lines] == [1, 2, 3, 4]
    _, out, _ = fairlead(home, capsys, "journal", "export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [json.loads(row["event"]) for row in rows] == [line["event"] for line in lines]
    target = str(home / "out.jsonl")
    assert document(home, capsys, "journal", "export", "--out", target)["entries"] == 4
    assert (
        document(home, capsys, "journal", "export", "--out", target, status=2)["error"]["code"]
        == "FILE_EXISTS"
    )


def test_config_check_and_explain(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(home, capsys, "config", "check")["environment"] == "devnet"
    status, out, _ = fairlead(home, capsys, "config", "check")
    assert status == 0 and "chains ethereum, base" in out
    row = document(home, capsys, "config", "explain", "limits.per_order_usd")["keys"][0]
    assert row == {
        "key": "limits.per_order_usd",
        "value": "250000.50",
        "source": "file",
        "meaning": row["meaning"],
    }
    (home / "broken.toml").write_text((home / "f.toml").read_text().replace("per_order_usd", "per_oder_usd"))
    error = document(home, capsys, "config", "check", str(home / "broken.toml"), status=2)["error"]
    assert error["code"] == "SETTINGS_INVALID" and "did you mean 'per_order_usd'?" in error["message"]
