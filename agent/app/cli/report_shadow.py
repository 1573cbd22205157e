"""The shadow's report: its orders as a table, then what they came to."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.cli.output import NO_CHAIN, emit_json, header, read_px, table

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.shadow.comparing import Compared, Comparison

WORDS = {"FILLED": "filled", "PARTLY": "in part", "NOT_FILLED": "not filled", "OPEN": "not looked at"}


def show(settings: Settings, last: int, as_json: bool) -> None:
    """Raises Usage NO_SHADOW where none ran."""
    from agent.app.readonly import read_events
    from agent.app.shadow.comparing import compared
    from agent.app.shadow.running import journal_of
    from agent.domain.errors import Usage

    events = read_events(journal_of(settings))
    if events is None:
        raise Usage("NO_SHADOW", "no shadow has run with these settings", "`fairlead run --shadow` is one")
    found = compared(events)
    if as_json:
        document = found.json()
        emit_json(document | {"orders": document["orders"][-last:]})
        return
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    shown = found.orders[-last:][::-1]
    if shown:
        columns = ("when", "where", "what", "planned", "then", "worse bps", "outcome", "later bps")
        table(columns, [_row(one) for one in shown], right=(3, 4, 5))
        for one in shown:
            if one.first is not None and one.first.told:
                print(f"{one.shadowed.part.cl_ord_id}: {one.first.told}")
    _sum(found)


def _row(one: Compared) -> list[str]:
    child, first = one.child, one.first
    when = datetime.fromtimestamp(one.shadowed.at_ns // 10**9, UTC)
    later = " · ".join(f"{_bps(one.worse_bps(x.px))} at {x.after_ns / 1e9:.0f} s" for x in one.later)
    return [
        f"{when:%m-%d %H:%M:%S}",
        one.shadowed.part.place,
        f"{child.side.value.lower()} {child.qty.normalize():f} {child.base} for {child.quote}",
        read_px(one.shadowed.px),
        read_px(first.px) if first is not None and first.px is not None else "–",
        _bps(one.worse_bps(first.px) if first is not None else None),
        WORDS[one.outcome],
        later or "–",
    ]


def _bps(value: Decimal | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _sum(found: Comparison) -> None:
    from agent.app.shadow.comparing import middle

    counts = ", ".join(f"{n} {words}" for key, words in WORDS.items() if (n := found.count(key)))
    print(f"\nwould have sent {len(found.orders)} orders{f': {counts}' if counts else ''}")
    bps = found.slippage()
    if bps:
        print(
            f"of those filled the price was {_bps(middle(bps))} bps from the plan in the middle, {_bps(bps[-1])} at worst"
        )
    for told, many in (("denied by your own rules", found.denied), ("could not be made", found.failed)):
        if many:
            print(f"{told}: " + ", ".join(f"{rule} {n}" for rule, n in sorted(many.items())))
