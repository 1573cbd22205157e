"""Payments into Compound III: what `supply` takes goes into its caller's own account, so that only the token and the amount are to be judged. Pure.

The market itself is one that the settings list among their contracts and spenders.
"""

from __future__ import annotations

from contracts.leaves import CometPayment
from keys.policy_state import Flow, Refused

ALL_OWED = 2**256 - 1


def pay(flow: Flow, leaf: CometPayment) -> None:
    """Raises Refused."""
    flow.harmless = False
    flow.token(leaf.token, leaf.path)
    if leaf.amount == 0:
        raise Refused("amount", f"{leaf.path}: an amount of 0", "Every amount is above zero.")
    if leaf.amount == ALL_OWED:
        # What is owed is known only afterwards: no more than was approved for it.
        granted = flow.allowances.get((leaf.token, leaf.target), 0) or 0
        flow.pull(leaf.token, granted or 1, leaf.target, False, False, leaf.path)
    else:
        flow.pull(leaf.token, leaf.amount, leaf.target, False, True, leaf.path)
