"""Payments into Maker (dss): what the adapters take is booked for the wallet itself, and goes from there into listed vaults alone. Pure.

    "maker": {"joins": {"0xADAPTER": "0xTOKEN"}, "vaults": [{"ilk": "0x…32 bytes", "urn": "0x…"}]}

A vault is only made safer: collateral in, debt off, both out of what the wallet has in the Vat.
"""

from __future__ import annotations

from contracts.leaves import MakerDrip, MakerFrob, MakerJoin
from keys.policy_state import Flow, Refused


def join(flow: Flow, leaf: MakerJoin) -> None:
    """Raises Refused."""
    flow.harmless = False
    token = flow.policy.maker.joins.get(leaf.target)
    if token is None:
        raise Refused(
            "maker-join", f"{leaf.path}: {leaf.target}", "List the adapter under maker.joins if it is meant."
        )
    flow.token(token, leaf.path)
    if leaf.usr != flow.policy.safe:
        raise Refused(
            "recipient",
            f"{leaf.path}: booked for {leaf.usr}",
            f"It is booked for the wallet {flow.policy.safe} only.",
        )
    if leaf.amount == 0:
        raise Refused("amount", f"{leaf.path}: an amount of 0", "Every amount is above zero.")
    flow.pull(token, leaf.amount, leaf.target, False, True, leaf.path)


def frob(flow: Flow, leaf: MakerFrob) -> None:
    """Raises Refused."""
    flow.harmless = False
    if (leaf.ilk, leaf.urn) not in flow.policy.maker.vaults:
        raise Refused(
            "maker-vault", f"{leaf.path}: the vault {leaf.urn}", "List it under maker.vaults if it is meant."
        )
    if leaf.gives != flow.policy.safe or leaf.gets != flow.policy.safe:
        raise Refused(
            "recipient",
            f"{leaf.path}: collateral of {leaf.gives}, money of {leaf.gets}",
            f"Both are the wallet's own, {flow.policy.safe}.",
        )
    if leaf.dink < 0 or leaf.dart > 0 or leaf.dink == leaf.dart:
        raise Refused(
            "maker-vault",
            f"{leaf.path}: collateral {leaf.dink:+}, debt {leaf.dart:+}",
            "A vault is only made safer.",
        )


def drip(flow: Flow, leaf: MakerDrip) -> None:
    """Anybody may accrue a fee, and nothing of the wallet moves."""
