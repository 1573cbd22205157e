"""The signer's own judgement of a transaction, from its bytes alone. Pure: settings, ledger and time are arguments.

    judge_safe_tx(request, settings, ledger) -> Allowed | Refusal
    judge_outer(request, settings, ledger)   -> Allowed | Refusal
    judge_order(request, settings, ledger)   -> Allowed | Refusal

Whatever is not recognised is refused. A refusal names the rule, what was met (the decoded call) and the remedy.

What this cannot refuse, said plainly. A swap's minimum must be above zero, and no more: the policy knows no price, so whoever
can ask for signatures can sell through a pool of his own, or sandwich his own order, for one base unit; an order that others settle is no better bounded. He is bounded by the
caps: the sum over the listed tokens of `per_day_raw` in any 24 hours (a token reached through another counts against the cap of
what leaves the wallet), `gas_per_day_wei` of each sender, what lies at the exchanges, and, where a lending pool is listed, the
penalty of a liquidation he brings about by borrowing (within the caps) or by withdrawing collateral to the wallet. Give tokens
a cap of nothing where they need not be sold. The caps live by this machine's clock and by the ledger's file: they hold against
a process of another user, not against one that may change the clock, the settings or the ledger. A price floor on chain and
the wallet's own permissions are what lowers the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chains.errors import Denied, FairleadError
from chains.types import Address, Environment, UnsignedTx
from contracts.codec import AbiError, decode_call, selector
from contracts.decode import to_leaves
from contracts.hashing import keccak
from contracts.leaves import Leaf, RouterCall, Swap
from contracts.multisend import Part
from keys import cow_order, policy_agent, policy_flow, policy_orders, policy_signatures
from keys.policy_orders import GrantedOrder, OrderRequest
from keys.policy_settings import OFFICIAL_MULTISEND_CALL_ONLY, ChainPolicy, PolicySettings
from keys.policy_state import Refused
from keys.policy_words import about
from keys.safe import DELEGATECALL, SafeTx, safe_tx_hash

DAY_S = 86_400
ROLE_CALL = selector("zodiac_roles", "execTransactionWithRole")


@dataclass(frozen=True, slots=True)
class SafeTxRequest:
    """`now` in seconds of the chain's clock, `wall` in seconds of ours (the ledger's)."""

    environment: Environment
    chain_id: int
    safe: Address
    tx: SafeTx
    now: int
    wall: int


@dataclass(frozen=True, slots=True)
class OuterRequest:
    """An EIP-1559 transaction of a sending key; `safe_nonce` is the nonce the owners signed.

    `attended`: people read and signed the Safe transaction it carries; see `_owners_own`.
    """

    environment: Environment
    sender: Address
    tx: UnsignedTx
    safe_nonce: int
    now: int
    wall: int
    attended: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """What the ledger says was signed under one nonce: a digest of the content, and the deadline inside it (0: none)."""

    digest: bytes
    deadline: int


class LedgerView(Protocol):
    """What this signer has signed so far. Times are seconds of its own clock."""

    def counted(self, spend_id: bytes) -> bool: ...

    def spent(self, chain_id: int, safe: str, token: str, since: int) -> int: ...

    def gas_spent(self, chain_id: int, sender: str, since: int) -> int: ...

    def safe_nonce(self, chain_id: int, safe: str, nonce: int) -> tuple[Signed, ...]: ...

    def sender_nonce(self, chain_id: int, sender: str, nonce: int) -> tuple[Signed, ...]: ...

    def gas_of_nonce(self, chain_id: int, sender: str, nonce: int, since: int) -> int: ...

    def orders(self, chain_id: int, safe: str) -> tuple[GrantedOrder, ...]: ...


@dataclass(frozen=True, slots=True)
class Allowed:
    """`spend`: base units by token that may leave the wallet, `gas_wei` the most the outer transaction can burn.

    `spend_id` stands for the spend where no Safe transaction does: the agent's own call, whose replacement is the same spend.
    """

    safe_hash: bytes
    content: bytes
    spend: Mapping[str, int] = field(default_factory=dict)
    gas_wei: int = 0
    deadline: int = 0
    leaves: tuple[Leaf, ...] = ()
    cancel: bool = False
    spend_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    rule: str
    what: str
    remedy: str

    def error(self) -> Denied:
        return Denied("POLICY_" + self.rule.upper().replace("-", "_"), self.what, self.remedy)


def judge_safe_tx(request: SafeTxRequest, settings: PolicySettings, ledger: LedgerView) -> Allowed | Refusal:
    """May the owners' throw-away keys sign this Safe transaction?"""
    try:
        return _safe_tx(request, settings, ledger)
    except Refused as refused:
        return Refusal(refused.rule, refused.what, refused.remedy)


def judge_order(request: OrderRequest, settings: PolicySettings, ledger: LedgerView) -> Allowed | Refusal:
    """May this CoW order be signed, and what leaves the wallet for it be approved? `safe_hash` is then the order's digest."""
    try:
        policy, order = policy_orders.check(request, settings), request.order
        spend, digest = {str(order.sell_token): order.sell_raw}, cow_order.digest(order)
        _caps(spend, policy, ledger, request.wall, already=ledger.counted(digest))
        return Allowed(digest, digest, spend, deadline=order.valid_to)
    except Refused as refused:
        return Refusal(refused.rule, refused.what, refused.remedy)


def judge_outer(
    request: OuterRequest, settings: PolicySettings, ledger: LedgerView, judged: Allowed | None = None
) -> Allowed | Refusal:
    """May the sending key sign this transaction? It carries a Safe transaction its owners signed, goes the agent's own
    road, or cancels a nonce.

    `judged`: this signer's own verdict a moment ago on the Safe transaction inside, recognised by its hash and not given again.
    """
    try:
        return _outer(request, settings, ledger, judged)
    except Refused as refused:
        return Refusal(refused.rule, refused.what, refused.remedy)


def chain_of(environment: Environment, chain_id: int, settings: PolicySettings) -> ChainPolicy:
    if environment is not settings.environment:
        raise Refused(
            "environment",
            f"a {environment.value} request reached the {settings.environment.value} signer",
            "Each environment has its own signer, settings and keys.",
        )
    policy = settings.chains.get(chain_id)
    if policy is None:
        raise Refused(
            "chain", f"chain id {chain_id} is not configured", "Add the chain to the signer's settings."
        )
    return policy


def _safe_tx(request: SafeTxRequest, settings: PolicySettings, ledger: LedgerView) -> Allowed:
    policy = chain_of(request.environment, request.chain_id, settings)
    tx = request.tx
    if request.safe != policy.safe:
        raise Refused(
            "wallet",
            f"{request.safe} is not the configured Safe {policy.safe}",
            "Check the wallet in the settings.",
        )
    if tx.operation == DELEGATECALL:
        if tx.to not in OFFICIAL_MULTISEND_CALL_ONLY or policy.contracts.get(tx.to) != "multi_send":
            raise Refused(
                "operation",
                f"a delegatecall to {tx.to}",
                "Only the official MultiSendCallOnly may be delegatecalled.",
            )
        if tx.value:
            raise Refused(
                "operation", f"a delegatecall with value {tx.value}", "Put the value into the batch's parts."
            )
    elif tx.operation != 0:
        raise Refused("operation", f"operation {tx.operation}", "Only 0 (call) and 1 (delegatecall) exist.")
    if tx.safe_tx_gas or tx.base_gas or tx.gas_price or int(tx.gas_token, 16) or int(tx.refund_receiver, 16):
        raise Refused(
            "refund-fields",
            f"safeTxGas {tx.safe_tx_gas}, baseGas {tx.base_gas}, gasPrice {tx.gas_price}, refund to {tx.refund_receiver}",
            "All gas and refund fields are zero in what Fairlead builds: they pay whoever submits out of the wallet.",
        )
    digest = safe_tx_hash(request.chain_id, request.safe, tx)
    if is_rejection(tx, policy.safe):
        if not ledger.safe_nonce(request.chain_id, request.safe, tx.nonce):
            raise Refused(
                "rejection",
                f"nothing was signed here at Safe nonce {tx.nonce}",
                "Only what was signed can be rejected.",
            )
        return Allowed(digest, digest)
    leaves = to_leaves(Part(tx.to, tx.value, tx.data), policy.contracts, tx.operation)
    granted = ledger.orders(request.chain_id, request.safe)
    with about(leaves):
        flow = policy_flow.follow(leaves, policy, request.now, orders=granted)
        signed = ledger.safe_nonce(request.chain_id, request.safe, tx.nonce)
        _nonce(digest, signed, request.now, f"Safe nonce {tx.nonce}")
        _caps(flow.spend, policy, ledger, request.wall, already=ledger.counted(digest))
    return Allowed(digest, digest, flow.spend, deadline=flow.deadline, leaves=leaves)


def _owners_own(request: SafeTxRequest, policy: ChainPolicy) -> Allowed:
    """A Safe transaction that the owners signed themselves: a payment, a change of owners, anything they wanted.

    The sending key adds nothing to it but gas, which stays capped: whoever holds those signatures can submit them from any
    account. So it is not judged by what it does, and counts against no cap of this signer's; the caller still has a threshold of
    the policy's owners sign this very transaction (`policy_signatures` says what of that is proved here). What pays its submitter, or runs foreign code as the Safe, is
    refused here too.
    """
    tx = request.tx
    if request.safe != policy.safe:
        raise Refused(
            "wallet", f"{request.safe} is not the configured Safe {policy.safe}", "Check the settings."
        )
    if tx.operation == DELEGATECALL and (tx.to not in OFFICIAL_MULTISEND_CALL_ONLY or tx.value):
        raise Refused(
            "operation",
            f"a delegatecall to {tx.to}",
            "Only the official MultiSendCallOnly may be delegatecalled.",
        )
    if tx.safe_tx_gas or tx.base_gas or tx.gas_price or int(tx.gas_token, 16) or int(tx.refund_receiver, 16):
        raise Refused(
            "refund-fields", f"it pays a refund to {tx.refund_receiver}", "Propose it again without refunds."
        )
    known = {**policy.contracts, **dict.fromkeys(OFFICIAL_MULTISEND_CALL_ONLY, "multi_send")}
    leaves = to_leaves(Part(tx.to, tx.value, tx.data), known, tx.operation)
    dated = [x.deadline for x in leaves if isinstance(x, RouterCall | Swap) and x.deadline is not None]
    digest = safe_tx_hash(request.chain_id, request.safe, tx)
    return Allowed(digest, digest, deadline=min(dated, default=0), leaves=leaves)


def is_rejection(tx: SafeTx, safe: str) -> bool:
    """An empty call of the Safe to itself: it does nothing but use its nonce, so that nothing else signed there can execute."""
    return tx.to == safe and not tx.value and not tx.data and tx.operation == 0


def _nonce(content: bytes, signed: tuple[Signed, ...], now: int, name: str) -> None:
    for earlier in signed:
        if earlier.digest != content and not 0 < earlier.deadline < now:
            raise Refused(
                "nonce-reused",
                f"{name} was already signed for something else, which may still execute",
                "Cancel it, wait for its deadline, or use the next nonce.",
            )


def _caps(
    spend: Mapping[str, int], policy: ChainPolicy, ledger: LedgerView, wall: int, already: bool
) -> None:
    for token, amount in spend.items():
        cap = policy.tokens[token]
        if amount > cap.per_tx_raw:
            raise Refused(
                "cap-per-tx",
                f"{amount} of {token} leave, {cap.per_tx_raw} may",
                "Trade less at a time, or raise the cap.",
            )
        if already:
            continue
        before = ledger.spent(policy.chain_id, policy.safe, token, wall - DAY_S)
        if before + amount > cap.per_day_raw:
            raise Refused(
                "cap-per-day",
                f"{amount} of {token} after {before} in the last 24 hours exceed {cap.per_day_raw}",
                "Wait, or raise the cap.",
            )


def _outer(
    request: OuterRequest, settings: PolicySettings, ledger: LedgerView, judged: Allowed | None
) -> Allowed:
    tx = request.tx
    policy = chain_of(request.environment, tx.chain_id, settings)
    if request.sender not in settings.senders:
        raise Refused(
            "sender", f"{request.sender} is not a sending key of this signer", "`status` lists them."
        )
    gas_wei = gas_of(request, policy, ledger)
    content = keccak(b"".join((tx.to.lower().encode(), tx.value.to_bytes(32, "big"), tx.data)))
    earlier = ledger.sender_nonce(tx.chain_id, request.sender, tx.nonce)
    if tx.to == request.sender:
        if tx.value or tx.data:
            raise Refused(
                "cancel",
                "a transaction to the sender itself that carries value or data",
                "A cancel carries neither.",
            )
        if not earlier:
            raise Refused(
                "cancel",
                f"nonce {tx.nonce} was never signed here",
                "Only a signed transaction can be cancelled.",
            )
        return Allowed(b"", content, gas_wei=gas_wei, cancel=True)
    if policy.contracts.get(tx.to) == "safe_proxy_factory":
        return _creation(tx, content, gas_wei, earlier, request.now)
    if policy.agent is not None and tx.to in policy_agent.roads(policy.agent):
        return agents_own(request, policy, ledger, content, gas_wei, earlier)
    if tx.data[:4] == ROLE_CALL:
        raise Refused(
            "agent-road",
            f"execTransactionWithRole at {tx.to}, which is no Roles modifier this signer knows",
            "Name the agent's road in the signer's settings: `fairlead wallet scope` prints it.",
        )
    if tx.to != policy.safe:
        raise Refused("target", f"an outer call to {tx.to}", f"Only the Safe {policy.safe} may be called.")
    if tx.value:
        raise Refused(
            "outer-value",
            f"the outer transaction carries {tx.value} wei",
            "The Safe pays for its calls itself.",
        )
    try:
        call = decode_call("safe", tx.data)
    except AbiError as error:
        raise Refused(
            "unknown-call", f"the outer call cannot be read: {error}", "Only execTransaction is signed."
        ) from None
    if call.function != "execTransaction":
        raise Refused(
            "unknown-call", f"the outer call is {call.signature}", "Only execTransaction is signed."
        )
    a = call.args
    inner = SafeTx(
        a["to"],
        a["value"],
        a["data"],
        a["operation"],
        request.safe_nonce,
        a["safeTxGas"],
        a["baseGas"],
        a["gasPrice"],
        a["gasToken"],
        a["refundReceiver"],
    )
    inner_request = SafeTxRequest(
        request.environment, tx.chain_id, policy.safe, inner, request.now, request.wall
    )
    if request.attended:
        allowed = _owners_own(inner_request, policy)
    elif judged is not None and judged.safe_hash == safe_tx_hash(tx.chain_id, policy.safe, inner):
        allowed = judged
    else:
        allowed = _safe_tx(inner_request, settings, ledger)
    try:
        policy_signatures.check(
            allowed.safe_hash,
            a["signatures"],
            policy.owners,
            policy.threshold,
            request.sender,
            attended=request.attended,
        )
    except FairleadError as error:
        raise Refused(
            "owner-signatures", error.message, "The owners sign this very transaction, with this Safe nonce."
        ) from None
    if all(s.digest != content for s in earlier) and not (earlier and is_rejection(inner, policy.safe)):
        _nonce(content, earlier, request.now, f"nonce {tx.nonce} of {request.sender}")
    return Allowed(allowed.safe_hash, content, allowed.spend, gas_wei, allowed.deadline, allowed.leaves)


def agents_own(
    request: OuterRequest,
    policy: ChainPolicy,
    ledger: LedgerView,
    content: bytes,
    gas_wei: int,
    earlier: tuple[Signed, ...],
) -> Allowed:
    """A trade under the agent's role: no owner signs it, so what the chain bounds is bounded here first."""
    tx = request.tx
    flow, leaves = policy_agent.judge(tx, request.sender, policy, request.now)
    with about(leaves):
        _nonce(content, earlier, request.now, f"nonce {tx.nonce} of {request.sender}")
    # Of this chain alone: the same account, Gate and nonce may well stand on another.
    whose = b"".join((tx.chain_id.to_bytes(32, "big"), request.sender.lower().encode()))
    spend_id = keccak(b"".join((whose, tx.nonce.to_bytes(32, "big"), content)))
    with about(leaves):
        _caps(flow.spend, policy, ledger, request.wall, already=ledger.counted(spend_id))
    return Allowed(b"", content, flow.spend, gas_wei, flow.deadline, leaves, spend_id=spend_id)


def _creation(tx: UnsignedTx, content: bytes, gas_wei: int, earlier: tuple[Signed, ...], now: int) -> Allowed:
    """A new Safe by the listed proxy factory: it costs the sender's capped gas and touches no wallet."""
    try:
        call = decode_call("safe_proxy_factory", tx.data)
    except AbiError as error:
        raise Refused(
            "unknown-call", f"the factory's call cannot be read: {error}", "Only createProxyWithNonce."
        ) from None
    if call.function != "createProxyWithNonce" or tx.value:
        raise Refused(
            "unknown-call",
            f"{call.signature} with {tx.value} wei",
            "Only createProxyWithNonce, and no value.",
        )
    _nonce(content, earlier, now, f"nonce {tx.nonce} of the sender")
    return Allowed(b"", content, gas_wei=gas_wei)


def gas_of(request: OuterRequest, policy: ChainPolicy, ledger: LedgerView) -> int:
    tx = request.tx
    gas_wei = tx.gas * tx.fees.max_fee_wei
    if tx.gas > policy.max_gas or tx.fees.max_fee_wei > policy.max_fee_wei or gas_wei > policy.gas_per_tx_wei:
        raise Refused(
            "gas-cap",
            f"{tx.gas} gas at up to {tx.fees.max_fee_wei} wei",
            f"At most {policy.max_gas} gas, {policy.max_fee_wei} wei each, {policy.gas_per_tx_wei} wei together.",
        )
    if tx.fees.max_priority_fee_wei > tx.fees.max_fee_wei:
        raise Refused("gas-cap", "the tip is above the fee cap", "Lower the tip.")
    since = request.wall - DAY_S
    counted = ledger.gas_of_nonce(tx.chain_id, request.sender, tx.nonce, since)
    before = ledger.gas_spent(tx.chain_id, request.sender, since)
    if before + max(0, gas_wei - counted) > policy.gas_per_day_wei:
        raise Refused(
            "gas-per-day",
            f"{gas_wei} wei of gas after {before} in 24 hours",
            f"{policy.gas_per_day_wei} wei are allowed.",
        )
    return gas_wei
