"""A deposit at a bridge, judged field by field: the money stays the owners', only on another of their chains. Pure.

Denied unless the settings name the way (`bridges`): this token, to that chain, to the owners' Safe there, as that token of as many
decimals, for no more than a bound. Whoever could choose the recipient, the token that arrives or the fee would hold the wallet.
"""

from __future__ import annotations

from collections.abc import Mapping

from chains.bridges.across import SPOKE_POOLS
from chains.types import ZERO_ADDRESS
from contracts.leaves import BridgeDeposit
from keys.policy_settings import ChainPolicy
from keys.policy_state import Flow, Refused

KIND = "across_spoke_pool"
BPS = 10_000


def deposit(flow: Flow, leaf: BridgeDeposit) -> None:
    """Counts what leaves against the token's caps. Raises Refused."""
    flow.harmless = False
    policy, path = flow.policy, leaf.path
    flow.token(leaf.token_in, path)
    way = policy.bridges.get((leaf.destination, leaf.token_in))
    if way is None:
        raise Refused(
            "bridge-way",
            f"{path} sends {leaf.token_in} to chain {leaf.destination}",
            "Add the way to the chain's bridges in the signer's settings, if it is meant.",
        )
    if leaf.depositor != policy.safe:
        raise Refused(
            "bridge-depositor",
            f"{path}: a refund would go to {leaf.depositor}",
            f"The depositor is the wallet {policy.safe}.",
        )
    if leaf.recipient != way.recipient:
        raise Refused(
            "recipient",
            f"{path} pays to {leaf.recipient} on chain {leaf.destination}",
            f"On that chain everything is paid to the wallet {way.recipient}.",
        )
    if leaf.token_out != way.receive:
        raise Refused(
            "bridge-token",
            f"{path}: {leaf.token_out} would arrive for {leaf.token_in}",
            f"It arrives as {way.receive}.",
        )
    least = -(-leaf.amount_in * (BPS - way.max_fee_bps) // BPS)
    if not 0 < least <= leaf.amount_out <= leaf.amount_in:
        raise Refused(
            "bridge-fee",
            f"{path}: {leaf.amount_out} would arrive of {leaf.amount_in}",
            f"At least {least} have to, and no more than are sent: the fee is bounded at {way.max_fee_bps} bps.",
        )
    if leaf.relayer != ZERO_ADDRESS or leaf.exclusivity:
        raise Refused(
            "bridge-exclusive",
            f"{path}: only {leaf.relayer} may pay it out at first ({leaf.exclusivity})",
            "Let any relayer, at once.",
        )
    if leaf.message:
        raise Refused(
            "bridge-message",
            f"{path} carries a message of {len(leaf.message)} bytes, which the recipient would be called with",
            "Send the money alone.",
        )
    if leaf.quoted_at > flow.now:
        raise Refused("bridge-quote", f"{path}: a quote of the future ({leaf.quoted_at})", "Quote again.")
    if not flow.now < leaf.fill_deadline <= flow.now + way.max_fill_s:
        raise Refused(
            "bridge-deadline",
            f"{path}: a relayer may pay it out until {leaf.fill_deadline}, it is {flow.now}",
            f"At most {way.max_fill_s} s: what nobody takes comes back only afterwards.",
        )
    flow.pull(leaf.token_in, leaf.amount_in, leaf.target, False, True, path)


def flaw(policy: ChainPolicy, safes: Mapping[int, str]) -> str:
    """What is wrong with a chain's ways beside the file's Safes by chain; '' where nothing is."""
    pools = [address for address, kind in policy.contracts.items() if kind == KIND]
    if any(pool != SPOKE_POOLS.get(policy.chain_id) for pool in pools):
        return f"contracts name a SpokePool that is not chain {policy.chain_id}'s, {SPOKE_POOLS.get(policy.chain_id)}"
    for (there, give), way in policy.bridges.items():
        where = f"of {give} to chain {there}"
        if there == policy.chain_id or there not in safes:
            return f"the way {where} leads to no other chain of this file"
        if way.recipient != safes[there]:
            return f"the way {where} ends at {way.recipient}, the Safe there is {safes[there]}"
        if give not in policy.tokens:
            return f"the way {where} is of a token without caps"
        if way.max_fee_bps >= BPS:
            return f"the way {where} lets all of it be kept"
        if not pools:
            return f"the way {where} needs the SpokePool among the contracts"
    return ""
