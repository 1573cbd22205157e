"""The signer's judgement of a CoW order from its fields, and of what a batch may do for one it signed. Pure.

An order is a bearer instrument until `valid_to`: whoever has seen it may settle it at its limit. So it is judged like a swap: the
wallet itself receives, both tokens are listed, the whole amount counts against the caps of what leaves, and it dies soon. An
allowance to the vault relayer, or a presignature, is signed only for an order judged here, to the unit: never for a bare UID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import FairleadError
from chains.types import CowOrder, Environment
from contracts import leaves as lf
from keys import cow_order
from keys.policy_settings import NATIVE, ChainPolicy, PolicySettings
from keys.policy_state import Flow, Refused

SETTLEMENT, RELAYER = "gpv2_settlement", "gpv2_vault_relayer"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """`now` in seconds of the chain's clock, `wall` in seconds of ours (the ledger's)."""

    environment: Environment
    order: CowOrder
    now: int
    wall: int


@dataclass(frozen=True, slots=True)
class GrantedOrder:
    """An order this signer judged well: what an allowance and a presignature may refer to. `uid` is 0x hex."""

    uid: str
    sell_token: str
    sell_raw: int
    valid_to: int


def check(request: OrderRequest, settings: PolicySettings) -> ChainPolicy:
    """Every rule but the caps. Raises Refused naming the field."""
    order = request.order
    if request.environment is not settings.environment:
        raise Refused(
            "environment",
            f"a {request.environment.value} order reached the {settings.environment.value} signer",
            "Each environment has its own signer, settings and keys.",
        )
    policy = settings.chains.get(order.chain_id)
    if policy is None:
        raise Refused("chain", f"chain id {order.chain_id} is not configured", "Add it to the settings.")
    if policy.contracts.get(order.settlement) != SETTLEMENT:
        raise Refused(
            "order-settlement",
            f"settlement: {order.settlement} is no listed settlement contract",
            f"List CoW Protocol's own as {SETTLEMENT}.",
        )
    if order.owner != policy.safe:
        raise Refused("wallet", f"owner: {order.owner} is not the configured Safe {policy.safe}", "Check it.")
    if order.receiver != policy.safe:
        raise Refused(
            "recipient",
            f"receiver: the proceeds would go to {order.receiver}",
            f"Everything is paid to the wallet {policy.safe}.",
        )
    flow = Flow(policy, request.now)
    for name, token in (("sell_token", order.sell_token), ("buy_token", order.buy_token)):
        flow.token(token, name)
        if token == NATIVE:
            raise Refused("token", f"{name}: the chain's own coin", "Orders trade ERC-20 tokens.")
    if order.sell_token == order.buy_token:
        raise Refused("swap", f"buy_token: {order.buy_token} for itself", "A round trip only pays fees.")
    flow.leave(order.sell_token, order.sell_raw, "sell_raw")
    if order.buy_raw <= 0:
        raise Refused("minimum-out", "buy_raw: it accepts any amount", "Set the minimum from the plan.")
    if order.fee_raw:
        raise Refused("order-fee", f"fee_raw: a fee of {order.fee_raw} beside the price", "It is zero.")
    flow.dated(order.valid_to, "valid_to")
    if order.app_data.lower() != cow_order.APP_DATA_HASH:
        raise Refused(
            "order-app-data",
            f"app_data: {order.app_data} names a document unknown here",
            f"Only {cow_order.APP_DATA_HASH}, the empty one, is signed: others may carry hooks and fees.",
        )
    try:
        cow_order.digest(order)
    except FairleadError as error:
        raise Refused("order-fields", error.message, "Every field must fit its type.") from None
    return policy


def approve(flow: Flow, leaf: lf.Approve, granted: Sequence[GrantedOrder]) -> bool:
    """Whether `leaf` approves the vault relayer, which is then allowed: nothing, or exactly what a granted order sells."""
    if flow.policy.contracts.get(leaf.spender) != RELAYER:
        return False
    flow.token(leaf.target, leaf.path)
    if leaf.amount == 0:
        return True
    flow.harmless = False
    fitting = [o for o in granted if o.sell_token == leaf.target and o.sell_raw == leaf.amount]
    if not any(o.valid_to >= flow.now for o in fitting):
        raise Refused(
            "order-allowance",
            f"{leaf.path} lets the vault relayer take {leaf.amount} of {leaf.target}; no order signed here sells exactly that",
            "Have the order signed first, and approve what it sells.",
        )
    return True


def presign(flow: Flow, leaf: lf.OrderSignature, granted: Sequence[GrantedOrder]) -> None:
    """A presignature needs its order's fields to have been judged; taking one back, or an order, needs nothing."""
    if not leaf.signed:
        return
    flow.harmless = False
    if not any(o.uid == leaf.uid and o.valid_to >= flow.now for o in granted):
        raise Refused(
            "order-presignature",
            f"{leaf.path} signs order {leaf.uid[:18]}… on chain; no order of that UID was judged here",
            "Show the signer the order's fields first.",
        )
