"""What somebody reads who tries the commands for the first time: helps that are not cut, words in their number, an example that works."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from pathlib import Path

import click
import pytest
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from agent.app.cli import COMMANDS, cli
from agent.app.cli.health import value_unit
from agent.app.cli.jobs import to_the_second
from agent.app.cli.output import fitted
from agent.app.market_table import Quoted
from agent.app.watching.words import many
from agent.domain.instruments import Place
from agent.margin.accounts import judge_text
from agent.margin.model import State
from chains.errors import Usage

ROOT = Path(__file__).resolve().parents[2]
USDC = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


def test_no_help_cuts_what_a_command_does() -> None:
    groups = 0
    with cli.make_context("fairlead", ["--settings", "none", "doctor"]) as top:
        assert "..." not in cli.get_help(top).replace("[ARGS]...", "")
        for name in COMMANDS:
            group = cli.get_command(top, name)
            if not isinstance(group, click.Group):
                continue
            groups += 1
            within = click.Context(group, info_name=name, parent=top)
            told = " ".join(group.get_help(within).split())
            assert "..." not in told.replace("[ARGS]...", ""), name
            for one in group.list_commands(within):
                command = group.get_command(within, one)
                assert command is not None and command.help
                first = " ".join(command.help.split("\n\n")[0].split())
                assert first.split(". ")[0].rstrip(".") in told, (name, one)
    assert groups >= 13


def test_one_is_told_in_the_singular() -> None:
    assert [many(n, "leg") for n in (0, 1, 2, 1_000)] == ["0 legs", "1 leg", "2 legs", "1,000 legs"]


@pytest.mark.parametrize(
    ("name", "kind", "short"),
    [
        ("paper:ETH/USDC", "book", "ETH/USDC"),
        ("eip155:1/0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", "uniswap_v3", "0x88e6A0…5640"),
    ],
)
def test_a_market_is_told_by_its_whole_symbol_or_a_short_address(name: str, kind: str, short: str) -> None:
    assert Quoted(Place("cex:paper"), "paper", name, kind, "ETH", "USDC", "3,000", "10", 0).short == short


@pytest.mark.parametrize(
    ("told", "worth", "name"),
    [
        ("USD_1e8", "0.00000001", " USD"),
        (f"raw of {USDC}", "0.000001", " USDC"),
        ("raw of eip155:1/erc20:0x1", "1", " base units of eip155:1/erc20:0x1"),
        ("1e18 of what is borrowed", "1e-18", " of what is borrowed"),
    ],
)
def test_values_are_told_in_what_a_person_counts_in(told: str, worth: str, name: str) -> None:
    assert value_unit(told, {USDC: "USDC"}, {USDC: 6}) == (Decimal(worth), name)


def test_the_file_of_accounts_that_the_documentation_shows_is_judged() -> None:
    page = (ROOT / "agent/margin/README.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.S)
    judged = judge_text(shown)
    assert [(j.id, j.state) for j in judged] == [("loan", State.SAFE), ("perps", State.SAFE)]
    with pytest.raises(Usage) as wrong:
        judge_text(json.dumps({"schema": "accounts/1"}))
    assert (ROOT / wrong.value.hint.split(" ")[0]).is_file()  # what the hint names is there


def test_every_link_of_a_page_leads_somewhere() -> None:
    """Relative links of every README, and the headings they point to, as a reader's browser would look for them."""
    pages = [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("agent/*/README.md"), ROOT / "agent/venues/ADDING.md"]  # fmt: skip
    followed = 0
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if link.startswith("http"):
                continue
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), (page, link)
            if heading:
                titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
                anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
                assert heading in anchors, (page, link)
            followed += 1
    assert followed > 20


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-11-22T20:03:40.612967930Z", "2026-11-22T20:03:40Z"),
        ("2026-11-22T20:00:00Z", "2026-11-22T20:00:00Z"),
        ("–", "–"),
    ],
)
def test_a_jitter_is_shown_to_the_second(told: str, shown: str) -> None:
    assert to_the_second(told) == shown


def test_an_error_of_route_is_not_judged_as_a_route(tmp_path: Path) -> None:
    told = tmp_path / "route.json"
    told.write_text(json.dumps({"error": {"code": "AMBIGUOUS_ASSET", "message": "'ETH' is 2 assets here"}}))
    with cli.make_context("fairlead", ["certificate", "check", str(told), "market.json"]) as context:
        with pytest.raises(Usage, match="an error: 'ETH' is 2 assets here"):
            cli.invoke(context)


def test_a_quote_fits_a_terminal_of_eighty_columns() -> None:
    """The widest table that everybody meets: words were broken in the middle so that the room between columns could stay."""
    heads = ("where", "in ETH", "out USDC", "avg price", "fee USDC", "gas USDC", "impact bps")
    row = ("arbitrum (1 pool)", "1.583281", "21,892.19", "2,996.9434", "35.99", "1.09", "12.0")
    for width, room in ((80, 1), (150, 3)):
        view = Table(box=SIMPLE_HEAD, pad_edge=False)
        for place, head in enumerate(heads):
            view.add_column(head, overflow="fold", no_wrap=place > 0)
        view.add_row(*row)
        written = io.StringIO()
        console = Console(file=written, width=width)
        fitted(view, console)
        console.print(view)
        shown = written.getvalue()
        assert " ".join(row) == " ".join(shown.splitlines()[3].split())
        assert "arbitrum (1 pool)" + " " * room + "1.583281" in shown
