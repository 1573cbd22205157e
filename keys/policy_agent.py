"""The agent's own road judged: Roles v2 → Gate.trade → Universal Router, Gate.lend, or Gate.offer, decoded to the leaf. Pure.

    judge(tx, policy, now) -> Flow        what leaves the Safe, and until when the transaction can execute

The chain keeps the same bounds (contracts/src/Gate.sol); this keeps them before a signature exists, and stricter ones: one verb,
the Universal Router (or the RouteExecutor, where the owners list it, which pulls instead of being paid), the signer's own caps, and no output but the one that the Gate pays to the Safe. Inside the trade the Gate is the wallet: the
router is paid beforehand, so nothing is pulled by allowance, and everything it gives has to be paid to the Gate, which forwards it.

Lending happens on the Safe's own account, by calldata the Gate writes itself. Supplying and repaying lower its risk and take nothing from
it: they need a listed token and a deadline, and no cap stops a rescue. Borrowing counts against the caps; both it and withdrawing are
signed only where the settings say so (`lends`), and the Gate keeps health at the owners' floor.

Payments into other loans of the Safe go Roles v2 → Payments.pay, by the number of a rule that the settings list: its lender and account
are the contract's own, so that rule, amount and deadline are all there is to judge. No cap stops them either; the chain counts them.
"""

from __future__ import annotations

from dataclasses import replace

from chains.types import Address, UnsignedTx
from contracts.decode import to_leaves
from contracts.leaves import (
    Approve,
    GateEnd,
    GateLend,
    GateOffer,
    GateTrade,
    Leaf,
    LoanPayment,
    OfferEnd,
    RoleExecution,
    RouterCall,
    RouterEnd,
    Unknown,
)
from keys import policy_orders
from keys.policy_flow import follow
from keys.policy_settings import NATIVE, AgentPolicy, ChainPolicy, PaymentsPolicy
from keys.policy_state import Flow, Refused


def judge(tx: UnsignedTx, sender: Address, policy: ChainPolicy, now: int) -> tuple[Flow, tuple[Leaf, ...]]:
    """The transaction's flow of money and its leaves. Raises Refused, naming the rule, the decoded call and the remedy."""
    agent = policy.agent
    if agent is None or tx.to not in roads(agent):
        raise Refused("agent-road", f"a call to {tx.to}", "Name the agent's road in the signer's settings.")
    if sender != agent.account:
        raise Refused(
            "agent-account",
            f"{sender} is not the agent {agent.account}",
            "Only the role's member may use it.",
        )
    if tx.value:
        raise Refused(
            "outer-value",
            f"the call of the Roles modifier carries {tx.value} wei",
            "The Gate takes no value.",
        )
    for payer in agent.payers.values():
        if tx.to == payer.roles:
            return _paid(tx, agent, payer, policy, now)
    known = {**policy.contracts, agent.roles: "zodiac_roles", agent.gate: "gate"}
    leaves = to_leaves(tx, known)
    if len(leaves) == 2 and isinstance(leaves[1], GateLend):
        _role_call(leaves, agent)
        return _lent(leaves[1], agent, policy, now), leaves
    if len(leaves) == 2 and isinstance(leaves[1], GateOffer | OfferEnd):
        _role_call(leaves, agent)
        return _offered(leaves[1], agent, policy, now), leaves
    trade, inside = _opened(leaves, agent)
    match policy.contracts.get(trade.router):
        case "universal_router":
            if not (isinstance(inside[0], RouterCall) and isinstance(inside[-1], RouterEnd)):
                raise Refused(
                    "unknown-call", f"{trade.path} calls something else there", "Only execute is signed."
                )
        case "route_executor":
            # What the Gate does for a router that pulls: an allowance of exactly what the trade sells, gone when it ends.
            inside = (Approve(trade.path, trade.token_in, trade.router, trade.amount_in), *inside)
        case _:
            raise Refused(
                "agent-router",
                f"{trade.path} goes to {trade.router}",
                "The agent trades through the listed Universal Router and, where it is listed, the RouteExecutor only.",
            )
    return _followed(trade, inside, replace(policy, safe=agent.gate), now), leaves


def roads(agent: AgentPolicy) -> tuple[Address, ...]:
    """The Roles modifiers of which the agent's account is a member."""
    return (agent.roles, *(payer.roles for payer in agent.payers.values()))


def _role_call(leaves: tuple[Leaf, ...], agent: AgentPolicy, target: Address | None = None) -> None:
    """Exactly one call under the role, of the Gate (else of `target`), and nothing in it that is not understood."""
    wanted = agent.gate if target is None else target
    for leaf in leaves:
        if isinstance(leaf, Unknown):
            raise Refused(
                "unknown-call",
                f"{leaf.path or leaf.target} {leaf.target}: {leaf.why}",
                "The agent's key signs Gate.trade, lend and offer, and Payments.pay, through Roles, in its one canonical encoding, and nothing else.",
            )
    opened = leaves[0]
    if not isinstance(opened, RoleExecution):
        raise Refused("unknown-call", opened.path, "Only execTransactionWithRole is signed.")
    if opened.to != wanted:
        only = "the Gate" if target is None else "what pays into loans,"
        raise Refused("agent-gate", f"{opened.path} calls {opened.to}", f"Only {only} {wanted}.")
    if opened.role != agent.role:
        raise Refused(
            "agent-role", f"{opened.path} under role 0x{opened.role.hex()}", f"Only 0x{agent.role.hex()}."
        )
    if opened.operation or opened.value:
        raise Refused(
            "operation",
            f"{opened.path} with operation {opened.operation} and {opened.value} wei",
            "A plain call without value.",
        )
    if not opened.should_revert:
        raise Refused(
            "agent-revert",
            f"{opened.path} would hide a failure",
            "shouldRevert is true in what Fairlead builds.",
        )


def _opened(leaves: tuple[Leaf, ...], agent: AgentPolicy) -> tuple[GateTrade, tuple[Leaf, ...]]:
    """The trade and what happens inside it, where exactly one trade of the Gate stands in exactly one call under the role."""
    _role_call(leaves, agent)
    trade, inside, end = leaves[1], leaves[2:-1], leaves[-1]
    if not isinstance(trade, GateTrade) or not isinstance(end, GateEnd) or not inside:
        raise Refused("unknown-call", trade.path, "Only Gate.trade is signed.")
    return trade, inside


def _lent(leaf: GateLend, agent: AgentPolicy, policy: ChainPolicy, now: int) -> Flow:
    flow, word = Flow(policy, now), leaf.action.lower()
    if word not in agent.lends or "aave_v3_pool" not in policy.contracts.values():
        raise Refused(
            "agent-lending",
            f"{leaf.path}: {word} {leaf.amount} of {leaf.token}",
            f"The agent's key may {' and '.join(sorted(agent.lends))} where a lending pool is listed; `lends` says so in the settings.",
        )
    flow.token(leaf.token, leaf.path)
    if not 0 < leaf.amount < 1 << 128:
        raise Refused(
            "amount", f"{leaf.path}: an amount of {leaf.amount}", "Every amount is explicit and above zero."
        )
    flow.dated(leaf.deadline, leaf.path)
    if word == "borrow":
        flow.leave(leaf.token, leaf.amount, leaf.path)
    return flow


def _paid(
    tx: UnsignedTx, agent: AgentPolicy, road: PaymentsPolicy, policy: ChainPolicy, now: int
) -> tuple[Flow, tuple[Leaf, ...]]:
    """Exactly one `pay` of a listed rule, of no more than the rule lets pass at once."""
    leaves = to_leaves(tx, {road.roles: "zodiac_roles", road.contract: "payments"})
    _role_call(leaves, agent, road.contract)
    leaf, flow = leaves[-1], Flow(policy, now)
    if len(leaves) != 2 or not isinstance(leaf, LoanPayment):
        raise Refused("unknown-call", leaf.path, "Only Payments.pay is signed.")
    if leaf.rule >= len(road.rules):
        raise Refused(
            "agent-payment",
            f"{leaf.path}: rule {leaf.rule}, and the settings list {len(road.rules)}",
            "`fairlead wallet scope` prints what the signer's settings must say.",
        )
    token, most = road.rules[leaf.rule]
    flow.token(token, leaf.path)
    if not 0 < leaf.amount <= most:
        raise Refused(
            "amount",
            f"{leaf.path}: an amount of {leaf.amount} by rule {leaf.rule}",
            f"Above zero, and at most {most} at once.",
        )
    flow.dated(leaf.deadline, leaf.path)
    return flow, leaves


def _offered(leaf: GateOffer | OfferEnd, agent: AgentPolicy, policy: ChainPolicy, now: int) -> Flow:
    """An order from its fields, as `policy_orders` judges one of the Safe's: what the Gate's contract puts in by itself (receiver, fee, app
    data, balances) is in no call. Ending one gives nothing away and is always signed, until its deadline."""
    flow = Flow(policy, now)
    if isinstance(leaf, OfferEnd):
        flow.dated(leaf.deadline, leaf.path)
        return flow
    if not agent.offers or policy_orders.SETTLEMENT not in policy.contracts.values():
        raise Refused(
            "agent-offer",
            f"{leaf.path}: an order of {leaf.sell_raw} of {leaf.sell_token} for others to settle",
            "The agent's key makes none unless `offers` says so in the signer's settings, and CoW's settlement contract is listed.",
        )
    for name, token in (("sellToken", leaf.sell_token), ("buyToken", leaf.buy_token)):
        if token not in policy.tokens or token == NATIVE:
            raise Refused(
                "token",
                f"{leaf.path}.{name}: {token} is not a listed ERC-20 token",
                "List it with its caps in the settings.",
            )
    if leaf.sell_token == leaf.buy_token:
        raise Refused("swap", f"{leaf.path}: {leaf.sell_token} for itself", "A round trip only pays fees.")
    if leaf.buy_raw <= 0:
        raise Refused(
            "minimum-out", f"{leaf.path}.buyAmount: it accepts any amount", "Set the minimum from the plan."
        )
    flow.leave(leaf.sell_token, leaf.sell_raw, leaf.path)
    flow.dated(leaf.valid_to, leaf.path)
    return flow


def _followed(trade: GateTrade, inside: tuple[Leaf, ...], gate: ChainPolicy, now: int) -> Flow:
    """`gate`: the chain's policy with the Gate as the wallet."""
    for token in (trade.token_in, trade.token_out):
        if token not in gate.tokens:
            raise Refused(
                "token",
                f"{trade.path}: {token} is not a listed token",
                "List it with its caps in the settings.",
            )
    if trade.token_in == trade.token_out:
        raise Refused("swap", f"{trade.path}: {trade.token_in} for itself", "It only feeds the pools.")
    if trade.minimum_out <= 0:
        raise Refused(
            "minimum-out",
            f"{trade.path} accepts any amount of {trade.token_out}",
            "Set the minimum from the simulation.",
        )
    pulled = isinstance(inside[0], Approve)
    flow = follow(inside, gate, now, None if pulled else {trade.token_in: trade.amount_in})
    if not pulled:
        flow.leave(trade.token_in, trade.amount_in, trade.path)
    elif flow.spend != {trade.token_in: trade.amount_in}:
        raise Refused(
            "amount", f"{trade.path} sells something else than it says", "Sell what the trade names."
        )
    flow.dated(trade.deadline, trade.path)
    if trade.token_out not in flow.paid or flow.paid - {trade.token_in, trade.token_out}:
        told = ", ".join(sorted(flow.paid)) or "nothing"
        raise Refused(
            "agent-output",
            f"{trade.path} pays the Gate {told}",
            f"The Gate forwards {trade.token_out} alone: anything else would stay in it.",
        )
    return flow
