"""All of a wallet's accounts as one book, for the surface: what falls first, and what a shock would do."""

from __future__ import annotations

from collections.abc import Sequence

from agent.app.watching.aave import ChainHealth, name_of
from agent.app.watching.loans import Loan
from agent.margin.surface import Member


def members_of(found: Sequence[ChainHealth], loans: Sequence[Loan]) -> tuple[list[Member], dict[str, str]]:
    """The accounts, and what their assets are called; an UNKNOWN one stays in it as such."""
    members: list[Member] = []
    symbols: dict[str, str] = {}
    for one in found:
        if one.empty:
            continue
        known = not one.trouble and one.account is not None and one.found is not None
        at = one.found.block.timestamp if one.found is not None else 0
        engine, account = (one.engine, one.account) if known else (None, None)
        members.append(Member(name_of(one), engine, account, at, one.trouble))
        symbols |= one.symbols
    for loan in loans:
        judged = loan.judged
        members.append(judged.member or Member(judged.id, None, None, 0, judged.why))
        symbols |= judged.symbols
    return members, symbols
