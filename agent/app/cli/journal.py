"""`fairlead journal`: show, verify, export and replay the record. Reads only; works beside a running Fairlead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import NO_CHAIN, emit_json, header, note, table
from chains.errors import Usage

F = TypeVar("F", bound=Callable[..., Any])


def _journal(ctx: click.Context, file: str | None, headed: bool = False) -> Path:
    """The journal's file; with `headed` the header line is printed first, where the settings name it."""
    if file:
        return Path(file).expanduser().absolute()
    from agent.app.cli.common import load_settings

    settings = load_settings(ctx)
    if headed:
        header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    return settings.journal.path


def _instant(text: str | None) -> int | None:
    """RFC 3339, or a date, as nanoseconds of Unix time; UTC where no zone is given. Usage BAD_TIME."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Usage(
            "BAD_TIME", f"'{text}' is no time", "write it like 2026-01-31T12:00:00Z, or 2026-01-31"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1_000


def _filters(function: F) -> F:
    for option in (
        click.option("--file", metavar="FILE", help="The journal's file; without it, that of the settings."),
        click.option("--until", metavar="TIME", help="Entries before TIME."),
        click.option("--since", metavar="TIME", help="Entries from TIME on (RFC 3339)."),
        click.option(
            "--kind", "kinds", multiple=True, metavar="KIND", help="Only this event type; may be repeated."
        ),
        click.option(
            "--order",
            metavar="ID",
            help="An intent, parent, child, part or quote, with all that came from it.",
        ),
    ):
        function = option(function)
    return function


@contextmanager
def _entries(
    path: Path, order: str | None, kinds: tuple[str, ...], since: str | None, until: str | None
) -> Iterator[Iterator[Any]]:
    from agent.journal.query import read_entries
    from agent.journal.registry import event_codec
    from agent.journal.schema import connect_read_only

    known = event_codec().kinds
    for kind in kinds:
        if kind not in known:
            from difflib import get_close_matches

            near = get_close_matches(kind, known, n=1)
            raise Usage(
                "UNKNOWN_KIND",
                f"there is no event type '{kind}'",
                f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}",
            )
    bounds = _instant(since), _instant(until)
    db = connect_read_only(path)
    try:
        yield read_entries(db, order=order, kinds=kinds, since_ns=bounds[0], until_ns=bounds[1])
    finally:
        db.close()


@click.group(name="journal", cls=Sentences)
def command() -> None:
    """Show, verify, export and replay the record."""


@command.command()
@_filters
@click.option("--last", "last", type=click.IntRange(1), metavar="N", help="Only the newest N of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(
    ctx: click.Context,
    file: str | None,
    order: str | None,
    kinds: tuple[str, ...],
    since: str | None,
    until: str | None,
    last: int | None,
    as_json: bool,
) -> int:
    """The events, in the order they happened."""
    from collections import deque

    from agent.journal.export import as_plain

    path = _journal(ctx, file, headed=not as_json)
    with _entries(path, order, kinds, since, until) as entries:
        rows = [as_plain(entry) for entry in (deque(entries, last) if last else entries)]
    if as_json:
        emit_json({"journal": str(path), "entries": rows})
    elif not rows:
        note("no entries" + (f" of {order}" if order else "") + f" in {path}")
    else:
        table(
            ["seq", "at", "event", "what"],
            [[str(row["seq"]), row["at"], row["kind"], _brief(row["event"])] for row in rows],
            right=[0],
        )
    return 0


def _brief(event: Any) -> str:
    """The simple fields of an event, and the ids of those inside."""
    said = []
    for name, value in event.items():
        if name == "at_ns" or value is None or value == "" or value == [] or value == {}:
            continue
        if isinstance(value, dict):
            inner = value.get("cl_ord_id") or value.get("id")
            if inner:
                said.append(f"{name}={inner}")
            elif "child" in value and isinstance(value["child"], dict):
                said.append(f"{name}={value['child'].get('cl_ord_id', '…')}")
        elif isinstance(value, list):
            said.append(f"{name}×{len(value)}")
        else:
            text = str(value)
            said.append(f"{name}={text if len(text) <= 44 else text[:20] + '…' + text[-6:]}")
    return "  ".join(said)


@command.command()
@click.option("--file", metavar="FILE", help="The journal's file; without it, that of the settings.")
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="SEQ:HASH",
    help="A head seen elsewhere, as every alert carries it; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def verify(ctx: click.Context, file: str | None, heads: tuple[str, ...], as_json: bool) -> int:
    """Is every entry the one that was written, and is none missing? Exit 6 where not."""
    from agent.journal.heads import parse_head
    from agent.journal.verify import verify as check

    path = _journal(ctx, file, headed=not as_json)
    verdict = check(path, anchors=[parse_head(text) for text in heads])
    anchor = str(verdict.last_anchor) if verdict.last_anchor else None
    faults = [
        {"kind": fault.kind, "seq": fault.seq, "after": fault.after, "message": fault.message}
        for fault in verdict.faults
    ]
    if as_json:
        emit_json({
            "valid": verdict.ok, "journal": str(path), "environment": verdict.environment, "entries": verdict.entries, "head": str(verdict.head),
            "anchors": verdict.anchors, "last_anchor": anchor, "faults": faults,
        })  # fmt: skip
    elif verdict.ok:
        click.echo(f"{path} is whole: {verdict.entries} entries, environment {verdict.environment}")
        click.echo(f"head         {verdict.head}")
        click.echo(
            f"last anchor  {anchor or 'none: compare the head with one from an alert (--head)'} ({verdict.anchors} compared)"
        )
    else:
        click.echo(f"{path} is NOT as it was written:")
        for fault in verdict.faults:
            click.echo(f"  {fault.kind}: {fault.message}")
        click.echo(f"good up to entry {verdict.head.seq}; last anchor {anchor or 'none'}")
    if not verdict.ok:
        note(
            "nothing was changed. Keep a copy of the file, restore a backup, then `fairlead reconcile` before trading."
        )
    return 0 if verdict.ok else 6


@command.command()
@_filters
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--out", metavar="FILE", help="Write there instead of to stdout.")
@click.option("--json", "as_json", is_flag=True, help="With --out: tell as a JSON document what was written.")
@click.pass_context
def export(
    ctx: click.Context,
    file: str | None,
    order: str | None,
    kinds: tuple[str, ...],
    since: str | None,
    until: str | None,
    form: str,
    out: str | None,
    as_json: bool,
) -> int:
    """The entries as JSON Lines or CSV."""
    from agent.journal.export import write_csv, write_jsonl

    if as_json and not out:
        raise Usage(
            "BAD_USAGE", "--json needs --out: without it the export itself is on stdout", "add --out FILE"
        )
    path, write = _journal(ctx, file), write_csv if form == "csv" else write_jsonl
    with _entries(path, order, kinds, since, until) as entries:
        if out is None:
            write(entries, sys.stdout)
            return 0
        try:
            with open(out, "x", encoding="utf-8", newline="") as handle:
                count = write(entries, handle)
        except FileExistsError:
            raise Usage(
                "FILE_EXISTS", f"{out} is there already and was left as it is", "name another file"
            ) from None
        except OSError as wrong:
            raise Usage(
                "FILE_UNWRITABLE", f"{out} cannot be written: {wrong.strerror}", "name another file"
            ) from None
    if as_json:
        emit_json({"journal": str(path), "out": out, "format": form, "entries": count})
    else:
        note(f"{count} entries written to {out}")
    return 0


@command.command()
@click.option("--file", metavar="FILE", help="The journal's file; without it, that of the settings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def replay(ctx: click.Context, file: str | None, as_json: bool) -> int:
    """Rebuild every state from the first entry and compare it with the one that was lived. Exit 6 where they differ."""
    from agent.journal.projections import PROJECTIONS
    from agent.journal.registry import event_codec
    from agent.journal.replay import replay as rebuild

    path = _journal(ctx, file, headed=not as_json)
    result = rebuild(path, event_codec(), PROJECTIONS)
    states = [
        {"projection": s.name, "seq": s.seq, "state_hash": s.state_hash, "recorded_seq": s.recorded_seq, "recorded": s.recorded, "replayed_there": s.replayed_there, "same": s.same}
        for s in result.states
    ]  # fmt: skip
    if as_json:
        emit_json(
            {
                "ok": result.ok,
                "journal": str(path),
                "environment": result.environment,
                "head": str(result.head),
                "states": states,
            }
        )
    else:
        click.echo(f"{path}: {result.head.seq} entries replayed, environment {result.environment}")
        words = {True: "the same", False: "DIFFERENT", None: "nothing recorded to compare with"}
        table(
            ["state", "entry", "hash", "lived"],
            [
                [
                    s.name,
                    str(s.seq),
                    s.state_hash,
                    words[s.same] + (f" at entry {s.recorded_seq}" if s.recorded_seq else ""),
                ]
                for s in result.states
            ],
        )
    return 0 if result.ok else 6
