"""Payments into Morpho Blue: only repaying and adding collateral, of the wallet's own position, in a listed market. Pure.

A market is its five parameters, and whoever chooses them chooses the price source that the position is liquidated by: so the id that
they give must be one of the settings'.
"""

from __future__ import annotations

from contracts.leaves import MorphoPayment
from keys.policy_state import Flow, Refused


def pay(flow: Flow, leaf: MorphoPayment) -> None:
    """Raises Refused."""
    flow.harmless = False
    flow.token(leaf.token, leaf.path)
    if leaf.market not in flow.policy.morpho_markets:
        raise Refused(
            "morpho-market",
            f"{leaf.path}: the market {leaf.market}",
            "List it under morpho_markets if it is meant.",
        )
    if leaf.who != flow.policy.safe:
        raise Refused(
            "recipient",
            f"{leaf.path}: {leaf.action} for {leaf.who}",
            f"Lending acts for the wallet {flow.policy.safe} only.",
        )
    if leaf.calls_back:
        raise Refused(
            "callback",
            f"{leaf.path} has the contract call the wallet",
            "Its data is empty in what Fairlead builds.",
        )
    if (leaf.amount == 0) == (leaf.shares == 0):
        raise Refused(
            "amount",
            f"{leaf.path}: an amount of {leaf.amount} and {leaf.shares} shares",
            "Exactly one of them is above zero.",
        )
    if leaf.amount:
        flow.pull(leaf.token, leaf.amount, leaf.target, False, True, leaf.path)
    else:
        # Shares are paid at what they are then worth: no more than was approved for them.
        granted = flow.allowances.get((leaf.token, leaf.target), 0) or 0
        flow.pull(leaf.token, granted or 1, leaf.target, False, False, leaf.path)
