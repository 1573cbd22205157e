"""Attacks at the signer's socket, by a hostile agent: requests as data, each with the rule of the policy that has to refuse it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.app.chaos.custody import wallet as c
from agent.app.chaos.custody.signer_batches import (
    E6,
    E18,
    GUARD,
    KEY,
    NONE,
    PULL,
    aave,
    admin,
    balancer,
    bent,
    change,
    funded,
    hop,
    move,
    packed,
    router02,
    v2,
)  # fmt: skip
from chains.types import Address, Environment
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.multisend import Part, calldata
from keys import safe
from keys.policy import Signed
from keys.policy_state import MAX_UINT
from keys.safe import CALL, DELEGATECALL, SafeTx

V3_THIEF = c.v3_command(5 * E18, recipient=c.THIEF)
ATTACKS: dict[str, tuple[str, SafeTx]] = {
    "two hops, neither bounded": (
        "minimum-out",
        funded(hop(5 * E18, 0, (c.WETH, c.USDT), False), hop(ur.CONTRACT_BALANCE, 0, (c.USDT, c.USDC), True)),
    ),
    "an unbounded hop swept": (
        "minimum-out",
        funded(
            hop(5 * E18, 0, (c.WETH, c.USDT), False),
            move("SWEEP", token=c.USDT, recipient=c.SAFE, amountMin=0),
        ),
    ),
    "a hop left in the router": (
        "router-leftover",
        funded(hop(5 * E18, 0, (c.WETH, c.USDT), False), hop(7, 9, (c.USDT, c.USDC), True)),
    ),
    "plain ether away": ("recipient", SafeTx(Address(c.THIEF), E18, b"", CALL, 0)),
    "token away": ("recipient", c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 1))),
    "token away, dated": (
        "recipient",
        c.batch(GUARD, c.call(c.USDC, "erc20", "transfer", c.THIEF, 1000 * E6)),
    ),
    "token away in one call": (
        "recipient",
        SafeTx(Address(c.USDC), 0, encode("erc20", "transfer", (c.THIEF, 1)), 0, 0),
    ),
    "transferFrom": ("unknown-call", c.batch(c.call(c.USDC, "erc20", "transferFrom", c.SAFE, c.THIEF, 1))),
    "approve a thief": ("spender", c.batch(c.approve(c.USDC, c.THIEF, 1))),
    "Permit2 approve a thief": ("spender", c.batch(c.permit(c.USDC, c.THIEF, 1))),
    "unlimited approval": ("approval-size", c.batch(c.approve(c.WETH, c.PERMIT2, MAX_UINT), GUARD)),
    "unlimited Permit2 approval": (
        "approval-size",
        c.batch(c.permit(c.WETH, c.ROUTER, (1 << 160) - 1), GUARD),
    ),
    "approval left over": ("allowance-left", c.batch(c.approve(c.WETH, c.PERMIT2, E18), GUARD)),
    "approval larger than the swap": ("allowance-left", funded(c.v3_command(4 * E18))),
    "approval after the swap": (
        "allowance-missing",
        c.batch(
            c.route([c.v3_command(E18)]), c.approve(c.WETH, c.PERMIT2, E18), c.permit(c.WETH, c.ROUTER, E18)
        ),
    ),
    "swap more than approved": ("allowance-missing", funded(c.v3_command(6 * E18))),
    "Permit2 allowance outlives": (
        "permit2-expiry",
        c.batch(
            c.approve(c.WETH, c.PERMIT2, E18),
            c.permit(c.WETH, c.ROUTER, E18, c.DEADLINE + 1),
            c.route([c.v3_command(E18)]),
        ),
    ),
    "transferFrom through Permit2": (
        "unknown-call",
        c.batch(c.call(c.PERMIT2, "permit2", "transferFrom", c.SAFE, c.THIEF, 1, c.USDC)),
    ),
    "V3 output to a thief": ("recipient", funded(V3_THIEF)),
    "V2 output to a thief": ("recipient", funded(c.v2_command(5 * E18, recipient=c.THIEF))),
    "V3 zero minimum": ("minimum-out", funded(c.v3_command(5 * E18, 0))),
    "V2 zero minimum": ("minimum-out", funded(c.v2_command(5 * E18, 0))),
    "V4 zero minimum": (
        "minimum-out",
        c.batch(c.route([ur.v4_exact_in_single(KEY, True, E18, 0)], value=E18)),
    ),
    "deadline passed": ("deadline", c.sell(deadline=c.NOW - 1)),
    "deadline next year": ("deadline-too-far", c.sell(deadline=c.NOW + 10**7)),
    "router without a deadline": (
        "deadline",
        c.batch(
            Part(
                c.ROUTER,
                0,
                encode(
                    "universal_router",
                    "execute(bytes,bytes[])",
                    (b"\x0c", (bytes(12) + bytes.fromhex(c.SAFE[2:]) + bytes(32),)),
                ),
            )
        ),
    ),
    "output left in the router": (
        "router-leftover",
        funded(c.v3_command(5 * E18, recipient=ur.ADDRESS_THIS)),
    ),
    "ether left in the router": (
        "router-leftover",
        c.batch(c.route([ur.v4_exact_in_single(KEY, True, E18, 5)], value=2 * E18)),
    ),
    "pulled and left": ("router-leftover", funded(PULL)),
    "pulled and swept to a thief": (
        "recipient",
        funded(PULL, move("SWEEP", token=c.WETH, recipient=c.THIEF, amountMin=0)),
    ),
    "pulled to a thief": (
        "recipient",
        funded(move("PERMIT2_TRANSFER_FROM", token=c.WETH, recipient=c.THIEF, amount=5 * E18)),
    ),
    "unwrapped to a thief": ("recipient", funded(PULL, move("UNWRAP_WETH", recipient=c.THIEF, amountMin=0))),
    "transferred to a thief": (
        "recipient",
        funded(PULL, move("TRANSFER", token=c.WETH, recipient=c.THIEF, value=5 * E18)),
    ),
    "a portion to a thief": (
        "unknown-call",
        funded(PULL, move("PAY_PORTION", token=c.WETH, recipient=c.THIEF, bips=10_000)),
    ),
    "wrapped to a thief": (
        "recipient",
        c.batch(c.route([move("WRAP_ETH", recipient=c.THIEF, amount=E18)], value=E18)),
    ),
    "router command that may fail": (
        "unknown-call",
        funded(ur.Command("V3_SWAP_EXACT_IN", c.v3_command(5 * E18).args, may_revert=True)),
    ),
    "router sub-plan": (
        "unknown-call",
        c.batch(Part(c.ROUTER, 0, encode("universal_router", "execute", (b"\x21", (b"",), c.DEADLINE)))),
    ),
    "router permit command": (
        "unknown-call",
        c.batch(Part(c.ROUTER, 0, encode("universal_router", "execute", (b"\x0a", (b"",), c.DEADLINE)))),
    ),
    "V4 pool with a hook": (
        "hooks",
        c.batch(c.route([ur.v4_exact_in_single(KEY | {"hooks": c.THIEF}, True, E18, 5)], value=E18)),
    ),
    "V4 taken by a thief": (
        "recipient",
        c.batch(
            c.route(
                [
                    ur.v4_swap(
                        [
                            ur.Command(
                                "SWAP_EXACT_IN_SINGLE",
                                {
                                    "swap": {
                                        "poolKey": KEY,
                                        "zeroForOne": True,
                                        "amountIn": E18,
                                        "amountOutMinimum": 1,
                                        "hookData": b"",
                                    }
                                },
                            ),
                            ur.Command("SETTLE_ALL", {"currency": NONE, "maxAmount": E18}),
                            ur.Command("TAKE", {"currency": c.USDC, "recipient": c.THIEF, "amount": 0}),
                        ]
                    )
                ],
                value=E18,
            )
        ),
    ),
    "through a thief's token": (
        "token",
        funded(
            ur.Command(
                "V3_SWAP_EXACT_IN",
                dict(c.v3_command(5 * E18).args)
                | {"path": ur.v3_path([c.WETH, c.THIEF, c.USDC], [500, 500])},
            )
        ),
    ),
    "into a thief's token": (
        "token",
        funded(
            ur.Command(
                "V3_SWAP_EXACT_IN",
                dict(c.v3_command(5 * E18).args) | {"path": ur.v3_path([c.WETH, c.THIEF], [500])},
            )
        ),
    ),
    "round trip through pools": (
        "swap",
        funded(
            ur.Command(
                "V3_SWAP_EXACT_IN",
                dict(c.v3_command(5 * E18).args) | {"path": ur.v3_path([c.WETH, c.USDC, c.WETH], [500, 500])},
            )
        ),
    ),
    "SwapRouter02 undated": ("deadline", router02(None)),
    "SwapRouter02 to a thief": ("recipient", router02(recipient=c.THIEF)),
    "SwapRouter02 stopped half way": ("allowance-left", router02(sqrtPriceLimitX96=1)),
    "SwapRouter02 spends its balance": ("amount", router02(amountIn=0)),
    "V2 router to a thief": ("recipient", v2(to=c.THIEF)),
    "V2 router to ether for a thief": (
        "recipient",
        v2("swapExactTokensForETH", c.THIEF, (c.USDC, c.WETH)[::-1]),
    ),
    "Balancer from somebody": ("payer", balancer(sender=c.THIEF)),
    "Balancer to a thief": ("recipient", balancer(recipient=c.THIEF)),
    "Balancer zero minimum": ("minimum-out", balancer(limit=0)),
    "Balancer internal balance": ("unknown-call", balancer(internal=True)),
    "Aave supply for a thief": (
        "recipient",
        aave("supply", c.WETH, E18, c.THIEF, 0, before=(c.approve(c.WETH, c.AAVE, E18),)),
    ),
    "Aave withdraw to a thief": ("recipient", aave("withdraw", c.WETH, MAX_UINT, c.THIEF)),
    "Aave borrow for a thief": ("recipient", aave("borrow", c.USDC, 1, 2, 0, c.THIEF)),
    "Aave borrow too much": ("cap-per-tx", aave("borrow", c.USDC, 10**15, 2, 0, c.SAFE)),
    "Aave stable rate": ("rate-mode", aave("borrow", c.USDC, 1, 1, 0, c.SAFE)),
    "Aave repay leaves approval": (
        "allowance-left",
        aave("repay", c.USDC, 5, 2, c.SAFE, before=(c.approve(c.USDC, c.AAVE, 5),)),
    ),
    "Aave collateral off": ("lending-switch", aave("setUserUseReserveAsCollateral", c.WETH, False)),
    "Aave eMode": ("lending-switch", aave("setUserEMode", 1)),
    "Aave undated": ("deadline", aave("withdraw", c.WETH, MAX_UINT, c.SAFE, guard=False)),
    "credit delegation": ("unknown-call", c.batch(Part(c.THIEF, 0, bytes.fromhex("c04a8a10") + bytes(64)))),
    "unlisted contract": ("unknown-call", c.batch(Part(c.THIEF, 0, b"\1\2\3\4"))),
    "unlisted selector": ("unknown-call", c.batch(Part(c.WETH, 0, b"\1\2\3\4"))),
    "permit by signature": ("unknown-call", c.batch(Part(c.USDC, 0, bytes.fromhex("d505accf") + bytes(224)))),
    "delegatecall to a thief": ("operation", SafeTx(Address(c.THIEF), 0, b"\1\2\3\4", DELEGATECALL, 0)),
    "delegatecall to a token": (
        "operation",
        SafeTx(Address(c.USDC), 0, encode("erc20", "transfer", (c.THIEF, 1)), DELEGATECALL, 0),
    ),
    "delegatecall with value": ("operation", change(c.sell(), value=1)),
    "MultiSend called": ("unknown-call", change(c.sell(), operation=CALL)),
    "delegatecall inside the batch": (
        "unknown-call",
        c.batch(dataclasses.replace(c.approve(c.WETH, c.THIEF, 1), operation=1)),
    ),
    "nested MultiSend": (
        "unknown-call",
        c.batch(Part(c.MULTISEND, 0, calldata((c.approve(c.WETH, c.THIEF, 1),)))),
    ),
    "operation 2": ("operation", change(c.sell(), operation=2)),
    "refund to a thief": ("refund-fields", change(c.sell(), gas_price=1, refund_receiver=Address(c.THIEF))),
    "safeTxGas": ("refund-fields", change(c.sell(), safe_tx_gas=1)),
    "gas token": ("refund-fields", change(c.sell(), gas_token=Address(c.USDC))),
    "add an owner": ("wallet-admin", admin("addOwnerWithThreshold", c.THIEF, 1)),
    "enable a module": ("wallet-admin", admin("enableModule", c.THIEF)),
    "set a guard": ("wallet-admin", admin("setGuard", c.THIEF)),
    "fallback handler": ("wallet-admin", admin("setFallbackHandler", c.THIEF)),
    "approve a hash": ("wallet-admin", admin("approveHash", bytes(32))),
    "owner change inside a batch": (
        "wallet-admin",
        c.batch(Part(c.SAFE, 0, encode("safe", "changeThreshold", (1,)))),
    ),
    "padding after the arguments": (
        "unknown-call",
        c.batch(Part(c.WETH, 0, c.approve(c.WETH, c.PERMIT2, 0).data + b"\0")),
    ),
    "dirty address": (
        "unknown-call",
        c.batch(Part(c.WETH, 0, b"\x09\x5e\xa7\xb3" + b"\1" + c.approve(c.WETH, c.PERMIT2, 0).data[5:])),
    ),
    "torn batch": ("unknown-call", change(c.sell(), data=encode("multi_send", "multiSend", (b"\0" * 50,)))),
    "empty batch": ("unknown-call", change(c.sell(), data=encode("multi_send", "multiSend", (b"",)))),
    "above the cap": ("approval-size", c.sell(31 * E18)),
    "cap by many swaps": (
        "cap-per-tx",
        c.batch(
            c.approve(c.WETH, c.PERMIT2, 20 * E18),
            c.permit(c.WETH, c.ROUTER, 20 * E18),
            c.route([c.v3_command(20 * E18)]),
            c.approve(c.WETH, c.V2_ROUTER, 20 * E18),
            c.call(
                c.V2_ROUTER,
                "uniswap_v2_router",
                "swapExactTokensForTokens",
                20 * E18,
                1,
                (c.WETH, c.USDC),
                c.SAFE,
                c.DEADLINE,
            ),
        ),
    ),
    "ether above its cap": (
        "cap-per-tx",
        c.batch(c.route([ur.v4_exact_in_single(KEY, True, 11 * E18, 5)], value=11 * E18)),
    ),
    "the Safe's own transaction inside the batch": (
        "unknown-call",
        c.batch(Part(c.SAFE, 0, safe.exec_transaction(c.sell(), bytes(130)))),
    ),
    "Balancer to a router's shorthand": ("recipient", balancer(recipient=ur.MSG_SENDER)),
    "V2 router to a router's shorthand": ("recipient", v2(to=ur.ADDRESS_THIS)),
    "SwapRouter02 to itself": ("recipient", router02(recipient=ur.ADDRESS_THIS)),
    "SwapRouter02 to nobody": ("recipient", router02(recipient=NONE)),
    "V2 router over a thief's token": ("token", v2(path=(c.WETH, c.THIEF, c.USDC))),
    "Aave withdraw to a router's shorthand": ("recipient", aave("withdraw", c.WETH, E18, ur.MSG_SENDER)),
    "router sub-plan that may fail": (
        "unknown-call",
        c.batch(Part(c.ROUTER, 0, encode("universal_router", "execute", (b"\xa1", (b"",), c.DEADLINE)))),
    ),
    "a boolean that is two": ("unknown-call", bent(lambda data: data[:159] + b"\2" + data[160:])),
    "a path further off than it need be": (
        "unknown-call",
        bent(lambda data: data[:127] + b"\xc0" + data[128:160] + bytes(32) + data[160:]),
    ),
    "a path with its padding used": ("unknown-call", bent(lambda data: data[:-1] + b"\1")),
    "value on a token": (
        "unknown-call",
        c.batch(dataclasses.replace(c.approve(c.WETH, c.PERMIT2, 0), value=1)),
    ),
}


@dataclass(frozen=True)
class Asked:
    """The honest sale asked for with `changes` to the request, of a signer that has `history`."""

    rule: str
    changes: Mapping[str, object] = field(default_factory=dict)
    history: c.EmptyLedger = field(default_factory=c.EmptyLedger)


SIGNED = (Signed(b"x" * 32, c.DEADLINE),)
CONTEXT: dict[str, Asked] = {
    "live request to the devnet signer": Asked("environment", {"environment": Environment.LIVE}),
    "request of a fork": Asked("environment", {"environment": Environment.FORK}),
    "another chain": Asked("chain", {"chain_id": 8453}),
    "another Safe": Asked("wallet", {"safe": Address(c.THIEF)}),
    "the day's cap": Asked("cap-per-day", {}, c.EmptyLedger(spends={c.WETH: 96 * E18})),
    "the Safe nonce again": Asked("nonce-reused", {}, c.EmptyLedger(safe_signed=SIGNED)),
    "the Safe nonce of an undated one": Asked(
        "nonce-reused", {}, c.EmptyLedger(safe_signed=(Signed(b"x" * 32, 0),))
    ),
}


@dataclass(frozen=True)
class OuterAsked:
    """The honest outer transaction with `fields` changed, which are made when it is asked for."""

    rule: str
    fields: Callable[[], dict[str, object]] = dict
    sender: str = c.AGENT.address
    history: c.EmptyLedger = field(default_factory=c.EmptyLedger)


def _fees(wei: int) -> dict[str, object]:
    return {"fees": dataclasses.replace(c.outer(b"").fees, max_fee_wei=wei)}


def _signed_by(
    tx: SafeTx, signers: tuple[int, ...] = (0, 1), times: int = 1, nonce: int | None = None
) -> dict[str, object]:
    return {"data": safe.exec_transaction(tx, packed(tx, signers, nonce) * times)}


OUTER: dict[str, OuterAsked] = {
    "another sender": OuterAsked("sender", sender=c.THIEF),
    "value": OuterAsked("outer-value", lambda: {"value": 1}),
    "to a thief": OuterAsked("target", lambda: {"to": Address(c.THIEF)}),
    "another function": OuterAsked(
        "unknown-call", lambda: {"data": encode("safe", "approveHash", (bytes(32),))}
    ),
    "not calldata": OuterAsked("unknown-call", lambda: {"data": b"\1"}),
    "too much gas": OuterAsked("gas-cap", lambda: {"gas": 10_000_001}),
    "burnt as fees": OuterAsked("gas-cap", lambda: _fees(10**13)),
    "the day's gas": OuterAsked("gas-per-day", history=c.EmptyLedger(gas=5 * 10**18)),
    "a used nonce": OuterAsked("nonce-reused", history=c.EmptyLedger(sender_signed=SIGNED)),
    "owners of another nonce": OuterAsked("owner-signatures", lambda: _signed_by(c.sell(), nonce=5)),
    "one owner only": OuterAsked("owner-signatures", lambda: _signed_by(c.sell(), (0,))),
    "the same owner twice": OuterAsked("owner-signatures", lambda: _signed_by(c.sell(), (0,), 2)),
    "a cancel that was never needed": OuterAsked(
        "cancel", lambda: {"to": Address(c.AGENT.address), "data": b""}
    ),
    "a cancel with data": OuterAsked("cancel", lambda: {"to": Address(c.AGENT.address)}),
    "a batch that the owners signed and the policy refuses": OuterAsked(
        "recipient", lambda: _signed_by(c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 1)))
    ),
    "an owner change that the owners signed": OuterAsked(
        "wallet-admin", lambda: _signed_by(admin("addOwnerWithThreshold", c.THIEF, 1))
    ),
    "a rejection of what nobody signed": OuterAsked(
        "rejection", lambda: _signed_by(SafeTx(Address(c.SAFE), 0, b"", CALL, 0))
    ),
}
