"""Follows the money through a decoded batch: allowances, what a router holds, who receives, what leaves the wallet. Pure.

Every leaf must be understood; allowances granted here must be used up here; everything a router holds must come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chains.types import ZERO_ADDRESS
from contracts import leaves as lf
from contracts.universal_router import ADDRESS_THIS, CONTRACT_BALANCE, MSG_SENDER
from keys import policy_bridge, policy_comet, policy_flash, policy_maker, policy_morpho, policy_orders
from keys.policy_orders import GrantedOrder
from keys.policy_settings import NATIVE, ChainPolicy
from keys.policy_state import Flow, Refused


def follow(
    leaves: Iterable[lf.Leaf],
    policy: ChainPolicy,
    now: int,
    funded: Mapping[str, int] | None = None,
    orders: Sequence[GrantedOrder] = (),
) -> Flow:
    """All leaves in order, then what must be true at the end. `funded`: see `Flow`. `orders`: the CoW orders this signer judged well.
    Raises Refused."""
    flow = Flow(policy, now, funded)
    for leaf in leaves:
        if isinstance(leaf, lf.Approve) and policy_orders.approve(flow, leaf, orders):
            continue
        if isinstance(leaf, lf.OrderSignature):
            policy_orders.presign(flow, leaf, orders)
            continue
        step = _STEPS.get(type(leaf))
        if step is None:
            raise Refused(
                "unknown-call",
                f"{leaf.path}: {type(leaf).__name__} is not signed here",
                "Owners sign this attended.",
            )
        step(flow, leaf)
    for (token, spender), left in [*flow.allowances.items(), *flow.permits.items()]:
        if left != 0:
            how = "an unknown rest" if left is None else str(left)
            raise Refused(
                "allowance-left",
                f"{how} of {token} stays approved to {spender}",
                "Approve exactly what the batch uses, or approve 0 at its end.",
            )
    for token, expiration in flow.expirations:
        if not flow.deadlines or expiration > max(flow.deadlines):
            raise Refused(
                "permit2-expiry",
                f"the Permit2 allowance of {token} outlives the deadline",
                "Let it expire at the deadline.",
            )
    if not flow.deadlines and not flow.harmless:
        raise Refused(
            "deadline",
            "nothing in the batch carries a deadline",
            "Add a deadline guard (router BALANCE_CHECK_ERC20).",
        )
    return flow


def _unknown(flow: Flow, leaf: Any) -> None:
    raise Refused(
        "unknown-call",
        f"{leaf.path or leaf.target} {leaf.target}: {leaf.why}",
        "Only listed calls of listed contracts are signed.",
    )


def _approve(flow: Flow, leaf: Any) -> None:
    flow.token(leaf.target, leaf.path)
    if leaf.spender not in flow.policy.spenders:
        raise Refused(
            "spender",
            f"{leaf.path} approves {leaf.spender}",
            "List the spender in the settings if it is meant.",
        )
    if leaf.amount:
        flow.harmless = False
        cap = flow.policy.tokens[leaf.target].per_tx_raw
        if leaf.amount > cap:
            raise Refused(
                "approval-size",
                f"{leaf.path} approves {leaf.amount} of {leaf.target}",
                f"Approve exactly; the cap is {cap}.",
            )
    flow.allowances[leaf.target, leaf.spender] = leaf.amount


def _permit2(flow: Flow, leaf: Any) -> None:
    flow.token(leaf.token, leaf.path)
    if leaf.spender not in flow.policy.spenders:
        raise Refused(
            "spender",
            f"{leaf.path} approves {leaf.spender}",
            "List the spender in the settings if it is meant.",
        )
    if leaf.amount:
        flow.harmless = False
        cap = flow.policy.tokens[leaf.token].per_tx_raw if leaf.token in flow.policy.tokens else 0
        if leaf.amount > cap:
            raise Refused(
                "approval-size",
                f"{leaf.path} approves {leaf.amount} of {leaf.token}",
                f"Approve exactly; the cap is {cap}.",
            )
        # An expiration of 0 is Permit2's way to say: this block only.
        if leaf.expiration:
            flow.expirations.append((leaf.token, leaf.expiration))
    flow.permits[leaf.token, leaf.spender] = leaf.amount


def _swap(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    kind = flow.policy.contracts.get(leaf.target, "")
    for token in (leaf.token_in, leaf.token_out, *leaf.tokens):
        flow.token(token, leaf.path)
    if leaf.token_in == leaf.token_out:
        raise Refused(
            "swap", f"{leaf.path} swaps {leaf.token_in} for itself", "A round trip only feeds the pools."
        )
    if leaf.hooks not in ("", ZERO_ADDRESS) and leaf.hooks not in flow.policy.hooks:
        raise Refused(
            "hooks",
            f"{leaf.path}: the pool runs hook {leaf.hooks}",
            "List the hook in the settings if it is trusted.",
        )
    if leaf.payer and leaf.payer != flow.policy.safe:
        raise Refused("payer", f"{leaf.path} pulls from {leaf.payer}", "The wallet itself pays.")
    flow.dated(leaf.deadline, leaf.path)
    exact = leaf.exact_in and not leaf.partial
    if leaf.amount_in == 0 or (leaf.amount_in == CONTRACT_BALANCE and not leaf.from_router):
        raise Refused(
            "amount", f"{leaf.path}: an input of {leaf.amount_in}", "Every input is explicit and above zero."
        )
    if leaf.from_router:
        if not flow.router:
            raise Refused(
                "router-balance", f"{leaf.path} spends the router's own balance", "Let the wallet pay."
            )
        flow.use_held(leaf.token_in, leaf.amount_in, exact, leaf.path)
    elif leaf.token_in == NATIVE:
        flow.leave(NATIVE, leaf.value, leaf.path)
    else:
        flow.pull(leaf.token_in, leaf.amount_in, leaf.target, leaf.via_permit2, exact, leaf.path)
    recipient = leaf.recipient
    if kind in ("swap_router_02", "route_executor") and recipient == MSG_SENDER:
        recipient = flow.policy.safe
    _bounded(flow, leaf, recipient)
    flow.give(recipient, leaf.token_out, None, leaf.path)


def _bounded(flow: Flow, leaf: Any, recipient: str) -> None:
    """A hop inside the router may be unbounded, since the swap that uses its output is not; nothing else may."""
    if leaf.amount_out > 0:
        return
    if leaf.amount_out == 0 and leaf.exact_in and flow.router and recipient == ADDRESS_THIS:
        flow.unbounded.add(leaf.token_out)
        return
    raise Refused(
        "minimum-out",
        f"{leaf.path} accepts any amount of {leaf.token_out}",
        "Set the minimum from the simulation.",
    )


def _pay_out(flow: Flow, token: str, path: str, minimum: int) -> None:
    """The router hands over what an unbounded hop gave: then this payment must name the minimum."""
    if token in flow.unbounded and minimum <= 0:
        raise Refused(
            "minimum-out", f"{path} pays out any amount of {token}", "Set the minimum of the swap before it."
        )


def _router_call(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    flow.dated(leaf.deadline, leaf.path)
    flow.router, flow.held, flow.unbounded = leaf.target, dict(flow.funded), set()
    flow.funded = {}
    if leaf.value:
        flow.leave(NATIVE, leaf.value, leaf.path)
        flow.held[NATIVE] = leaf.value


def _router_end(flow: Flow, leaf: Any) -> None:
    for token, left in flow.held.items():
        if left != 0:
            raise Refused(
                "router-leftover",
                f"{leaf.path} leaves {token} in the router",
                "Sweep or unwrap it to the wallet at the end.",
            )
    flow.router, flow.held = "", {}


def _router_move(flow: Flow, leaf: Any) -> None:
    path, weth = leaf.path, flow.policy.weth
    match leaf.kind:
        case "PULL":
            flow.pull(leaf.token, leaf.amount, leaf.target, True, True, path)
            flow.give(leaf.recipient, leaf.token, leaf.amount, path)
        case "WRAP":
            _pay_out(flow, NATIVE, path, 0)
            held = flow.held.get(NATIVE, 0)
            flow.use_held(NATIVE, leaf.amount, True, path)
            flow.give(leaf.recipient, weth, held if leaf.amount == CONTRACT_BALANCE else leaf.amount, path)
        case "UNWRAP":
            _pay_out(flow, weth, path, leaf.amount)
            flow.give(leaf.recipient, NATIVE, flow.take_all(weth, path), path)
        case "SWEEP":
            if leaf.recipient == ADDRESS_THIS:
                raise Refused("recipient", f"{path} sweeps to the router itself", "Sweep to the wallet.")
            _pay_out(flow, leaf.token, path, leaf.amount)
            flow.take_all(leaf.token, path)
            flow.give(leaf.recipient, leaf.token, None, path)
        case "TRANSFER":
            _pay_out(flow, leaf.token, path, 0)
            flow.use_held(leaf.token, leaf.amount, True, path)
            flow.give(leaf.recipient, leaf.token, None, path)
        case "CHECK":
            return
        case _:
            raise Refused(
                "unknown-call",
                f"{path}: {leaf.kind}",
                "The router may only swap, wrap, unwrap and sweep to the wallet.",
            )


def _transfer(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    if leaf.to not in flow.policy.transfer_to:
        raise Refused(
            "recipient",
            f"{leaf.path} sends {leaf.amount} of {leaf.target} to {leaf.to}",
            "List the recipient if it is meant.",
        )
    flow.leave(leaf.target, leaf.amount, leaf.path)


def _native(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    if leaf.target not in flow.policy.transfer_to:
        raise Refused(
            "recipient",
            f"{leaf.path} sends {leaf.value} wei to {leaf.target}",
            "List the recipient if it is meant.",
        )
    flow.leave(NATIVE, leaf.value, leaf.path)


def _wrap(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    if leaf.target != flow.policy.weth or leaf.amount <= 0:
        raise Refused(
            "amount",
            f"{leaf.path}: {leaf.amount} at {leaf.target}",
            "Wrap and unwrap at the configured WETH9, above zero.",
        )


def _lending(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    flow.token(leaf.token, leaf.path)
    own = leaf.action == "REPAY_WITH_COLLATERAL"  # the caller's, and nobody else's
    if leaf.who != flow.policy.safe and not own:
        raise Refused(
            "recipient",
            f"{leaf.path}: {leaf.action} for {leaf.who}",
            f"Lending acts for the wallet {flow.policy.safe} only.",
        )
    if leaf.action in ("BORROW", "REPAY", "REPAY_WITH_COLLATERAL") and leaf.rate_mode != 2:
        raise Refused(
            "rate-mode",
            f"{leaf.path}: interest rate mode {leaf.rate_mode}",
            "Only the variable rate (2) exists.",
        )
    if leaf.amount == 0:
        raise Refused("amount", f"{leaf.path}: an amount of 0", "Every amount is above zero.")
    match leaf.action:
        case "SUPPLY":
            flow.pull(leaf.token, leaf.amount, leaf.target, False, True, leaf.path)
        case "REPAY":
            # A repayment stops at the debt, so what it uses is known only afterwards.
            granted = flow.allowances.get((leaf.token, leaf.target), 0) or 0
            flow.pull(leaf.token, min(leaf.amount, granted) or 1, leaf.target, False, False, leaf.path)
        case "BORROW":
            flow.leave(leaf.token, leaf.amount, leaf.path)
        case "WITHDRAW":
            return


def _switch(flow: Flow, leaf: Any) -> None:
    flow.harmless = False
    if leaf.action != "COLLATERAL_ON" and not flow.policy.collateral_switch:
        raise Refused(
            "lending-switch",
            f"{leaf.path}: {leaf.action} {leaf.token}",
            "Owners sign this attended, or allow it in the settings.",
        )
    if leaf.token:
        flow.token(leaf.token, leaf.path)


def _admin(flow: Flow, leaf: Any) -> None:
    raise Refused(
        "wallet-admin",
        f"{leaf.path}: {leaf.summary}",
        "Owners, modules and guards are changed by the owners, attended.",
    )


_STEPS: dict[type[lf.Leaf], Callable[[Flow, Any], None]] = {
    lf.Unknown: _unknown,
    lf.Approve: _approve,
    lf.Permit2Approve: _permit2,
    lf.Swap: _swap,
    lf.RouterCall: _router_call,
    lf.RouterMove: _router_move,
    lf.RouterEnd: _router_end,
    lf.Transfer: _transfer,
    lf.NativeTransfer: _native,
    lf.Wrap: _wrap,
    lf.Unwrap: _wrap,
    lf.Lending: _lending,
    lf.MorphoPayment: policy_morpho.pay,
    lf.CometPayment: policy_comet.pay,
    lf.MakerJoin: policy_maker.join,
    lf.MakerFrob: policy_maker.frob,
    lf.MakerDrip: policy_maker.drip,
    lf.FlashRepayment: policy_flash.repay,
    lf.LendingSwitch: _switch,
    lf.WalletAdmin: _admin,
    lf.BridgeDeposit: policy_bridge.deposit,
}
