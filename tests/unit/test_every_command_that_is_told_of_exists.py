"""Commands and options that the pages show, and that messages and hints of the code name, are ones that the command line has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from agent.app.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *ROOT.glob("*/README.md"),
    *ROOT.glob("agent/*/README.md"),
]


def shown_on_pages() -> Iterator[tuple[str, str]]:
    """(page, what stands in `…` or on a line of a shown console, without what it answers)."""
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith(("$ fairlead", "fairlead "))]
        for cell in [*re.findall(r"`([^`\n]+)`", text), *typed]:
            for one in re.split(r"&& | · ", cell.split(" #")[0]):
                yield page.relative_to(ROOT).as_posix(), one


def named_by_code() -> Iterator[tuple[str, str]]:
    for folder in ("agent", "chains", "keys"):
        for path in (ROOT / folder).rglob("*.py"):
            for one in re.findall(r"`(fairlead [^`\n]+)`", path.read_text()):
                yield path.relative_to(ROOT).as_posix(), one


def what_is_missing(words: list[str], top: click.Context) -> str | None:
    """The first word that is no command, or option of its command; None where all are. `words` come without `fairlead`."""
    command: click.Command = cli
    within = top
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        found = command.get_command(within, words[0])
        if found is None:
            return words[0]
        within = click.Context(found, info_name=words[0], parent=within)
        command, words = found, words[1:]
    known = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help", "--version"}
    for word in words:
        option = re.match(r"--[a-z][a-z-]*", word)
        if option and option[0] not in known:
            return option[0]
    return None


def test_every_command_that_is_told_of_exists() -> None:
    missing, looked_at = [], 0
    with cli.make_context("fairlead", ["--settings", "none", "doctor"]) as top:
        for where, one in [*shown_on_pages(), *named_by_code()]:
            words = one.split()
            if not words or words[0] not in ("fairlead", *COMMANDS):
                continue
            if words[0] != "fairlead" and len(words) < 2:  # a word like `run` alone may mean anything
                continue
            looked_at += 1
            if told := what_is_missing(words[1:] if words[0] == "fairlead" else words, top):
                missing.append(f"{where}: {told} in `{one}`")
        assert what_is_missing(["trade", "sell", "1", "ETH", "--sideways"], top) == "--sideways"
        assert what_is_missing(["jobs", "paint"], top) == "paint"
    assert not missing
    assert looked_at > 250
