"""What a protocol takes of a payment where it lets no debt be small. Pure.

Vat.frob of Maker's dss (`Vat/dust`): a vault owes nothing or at least the ilk's dust. A repayment that left less reverts, and so does any
payment but the whole into a vault whose debt is below it, as it is after the dust was raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.margin.aave_moves import REPAY
from agent.margin.maker_vault import RAY, Account, art_repaid, rate_at


def taken(account: Any, do: str, raw: int, times: Sequence[int]) -> bool:
    """Whether `raw` base units are taken in a block of each of `times`."""
    if not isinstance(account, Account):
        return True
    for at in times:
        left = account.art_1e18 - (art_repaid(account, raw, at) if do == REPAY else 0)
        if left and left * rate_at(account, at) < account.dust_1e45:
            return False
    return True


def most_taken(account: Any, do: str, raw: int, times: Sequence[int]) -> int:
    """The largest payment of no more than `raw` base units that is; 0 where none is."""
    if taken(account, do, raw, times):
        return raw
    if do != REPAY:
        return 0
    room: int = min(account.art_1e18 * rate_at(account, at) for at in times) - account.dust_1e45
    return min(max(room // RAY, 0), raw)


__all__ = ["most_taken", "taken"]
