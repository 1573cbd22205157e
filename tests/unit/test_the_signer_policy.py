"""A table of attacks, each refused by its rule, and the honest batches, each allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import custody as c
import pytest

from chains.types import Address, Environment
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.multisend import Part, calldata
from keys import safe
from keys.policy import Allowed, OuterRequest, Refusal, SafeTxRequest, Signed, judge_outer, judge_safe_tx
from keys.policy_state import MAX_UINT
from keys.safe import CALL, DELEGATECALL, SafeTx

NONE = "0x" + "0" * 40
E18, E6 = 10**18, 10**6


def judge(tx: SafeTx, ledger: c.EmptyLedger | None = None, **request: object) -> Allowed | Refusal:
    base = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(dataclasses.replace(base, **request), c.settings(), ledger or c.EmptyLedger())


def change(tx: SafeTx, **fields: object) -> SafeTx:
    return dataclasses.replace(tx, **fields)


def funded(
    *commands: ur.Command, amount: int = 5 * E18, deadline: int = c.DEADLINE, value: int = 0
) -> SafeTx:
    """Exact approvals for `amount` WETH, then one router execution of `commands`."""
    return c.batch(
        c.approve(c.WETH, c.PERMIT2, amount),
        c.permit(c.WETH, c.ROUTER, amount),
        c.route(list(commands), deadline, value),
    )


def move(name: str, **args: object) -> ur.Command:
    return ur.Command(name, args)


KEY = {"currency0": NONE, "currency1": c.USDC, "fee": 500, "tickSpacing": 10, "hooks": NONE}
PULL = move("PERMIT2_TRANSFER_FROM", token=c.WETH, recipient=ur.ADDRESS_THIS, amount=5 * E18)
SWAP02 = {
    "tokenIn": c.WETH,
    "tokenOut": c.USDC,
    "fee": 500,
    "recipient": c.SAFE,
    "amountIn": E18,
    "amountOutMinimum": 1,
    "sqrtPriceLimitX96": 0,
}


def router02(deadline: int | None = c.DEADLINE, approved: int = E18, **fields: object) -> SafeTx:
    inner = encode("swap_router_02", "exactInputSingle", (SWAP02 | fields,))
    data = inner if deadline is None else encode("swap_router_02", "multicall", (deadline, (inner,)))
    return c.batch(c.approve(c.WETH, c.ROUTER02, approved), Part(c.ROUTER02, 0, data))


def v2(
    function: str = "swapExactTokensForTokens", to: str = c.SAFE, path: tuple[str, ...] = (c.WETH, c.USDC)
) -> SafeTx:
    swap = c.call(c.V2_ROUTER, "uniswap_v2_router", function, E18, 1, path, to, c.DEADLINE)
    return c.batch(c.approve(c.WETH, c.V2_ROUTER, E18), swap)


def balancer(
    sender: str = c.SAFE, recipient: str = c.SAFE, limit: int = 1, kind: int = 0, internal: bool = False
) -> SafeTx:
    single = {
        "poolId": bytes(32),
        "kind": kind,
        "assetIn": c.WETH,
        "assetOut": c.USDC,
        "amount": E18,
        "userData": b"",
    }
    funds = {
        "sender": sender,
        "fromInternalBalance": internal,
        "recipient": recipient,
        "toInternalBalance": False,
    }
    swap = c.call(c.VAULT, "balancer_v2_vault", "swap", single, funds, limit, c.DEADLINE)
    return c.batch(c.approve(c.WETH, c.VAULT, E18), swap)


GUARD = c.route([move("BALANCE_CHECK_ERC20", owner=c.SAFE, token=c.USDC, minBalance=0)])


def aave(
    function: str,
    *args: object,
    guard: bool = True,
    before: tuple[Part, ...] = (),
    after: tuple[Part, ...] = (),
) -> SafeTx:
    call = c.call(c.AAVE, "aave_v3_pool", function, *args)
    return c.batch(*((GUARD,) if guard else ()), *before, call, *after)


def admin(function: str, *args: object) -> SafeTx:
    return SafeTx(Address(c.SAFE), 0, encode("safe", function, args), CALL, 0)


SUPPLY = aave("supply", c.WETH, E18, c.SAFE, 0, before=(c.approve(c.WETH, c.AAVE, E18),))


def hop(amount: int, minimum: int, tokens: tuple[str, str], last: bool) -> ur.Command:
    """One hop of a path inside the router; the last one pays the wallet."""
    args = {
        "recipient": ur.MSG_SENDER if last else ur.ADDRESS_THIS,
        "amountIn": amount,
        "amountOutMin": minimum,
        "path": tokens,
        "payerIsUser": not last,
    }
    return ur.Command("V2_SWAP_EXACT_IN", args)


V4_TO_ROUTER = ur.v4_swap(
    [
        ur.Command(
            "SWAP_EXACT_IN_SINGLE",
            {
                "swap": {
                    "poolKey": KEY,
                    "zeroForOne": False,
                    "amountIn": 100 * E6,
                    "amountOutMinimum": 9,
                    "hookData": b"",
                }
            },
        ),
        ur.Command("SETTLE_ALL", {"currency": c.USDC, "maxAmount": 100 * E6}),
        ur.Command("TAKE", {"currency": NONE, "recipient": ur.ADDRESS_THIS, "amount": 0}),
    ]
)
BOUGHT_ETHER = (
    c.approve(c.USDC, c.PERMIT2, 100 * E6),
    c.permit(c.USDC, c.ROUTER, 100 * E6),
    c.route([V4_TO_ROUTER, move("WRAP_ETH", recipient=ur.MSG_SENDER, amount=ur.CONTRACT_BALANCE)]),
)

HONEST: dict[str, SafeTx] = {
    "two hops, the last one bounded": funded(
        hop(5 * E18, 0, (c.WETH, c.USDT), False), hop(ur.CONTRACT_BALANCE, 9, (c.USDT, c.USDC), True)
    ),
    "two first hops, two bounded last ones": funded(
        hop(2 * E18, 0, (c.WETH, c.USDT), False),
        hop(3 * E18, 0, (c.WETH, c.USDT), False),
        hop(7, 9, (c.USDT, c.USDC), True),
        hop(ur.CONTRACT_BALANCE, 9, (c.USDT, c.USDC), True),
    ),
    "ether bought on V4 and wrapped": c.batch(*BOUGHT_ETHER),
    "sale over V3 and V2": c.sell(),
    "V3 alone": funded(c.v3_command(5 * E18)),
    "permit for this block only": c.batch(
        c.approve(c.WETH, c.PERMIT2, E18), c.permit(c.WETH, c.ROUTER, E18, 0), c.route([c.v3_command(E18)])
    ),
    "exact out with the rest taken back": c.batch(
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18),
        c.route(
            [
                move(
                    "V3_SWAP_EXACT_OUT",
                    recipient=ur.MSG_SENDER,
                    amountOut=5,
                    amountInMax=E18,
                    path=ur.v3_path([c.USDC, c.WETH], [500]),
                    payerIsUser=True,
                )
            ]
        ),
        c.permit(c.WETH, c.ROUTER, 0, 0),
        c.approve(c.WETH, c.PERMIT2, 0),
    ),
    "ether through V4": c.batch(c.route([ur.v4_exact_in_single(KEY, True, E18, 5)], value=E18)),
    "WETH through V4's ether pool": funded(
        PULL,
        move("UNWRAP_WETH", recipient=ur.ADDRESS_THIS, amountMin=5 * E18),
        ur.v4_swap(
            [
                ur.Command(
                    "SWAP_EXACT_IN_SINGLE",
                    {
                        "swap": {
                            "poolKey": KEY,
                            "zeroForOne": True,
                            "amountIn": 5 * E18,
                            "amountOutMinimum": 9,
                            "hookData": b"",
                        }
                    },
                ),
                ur.Command("SETTLE", {"currency": NONE, "amount": 5 * E18, "payerIsUser": False}),
                ur.Command("TAKE_ALL", {"currency": c.USDC, "minAmount": 9}),
            ]
        ),
    ),
    "ether wrapped in the router": c.batch(
        c.route(
            [
                move("WRAP_ETH", recipient=ur.ADDRESS_THIS, amount=E18),
                c.v3_command(E18, user_pays=False),
            ],
            value=E18,
        )
    ),
    "output swept to the wallet": funded(
        c.v3_command(5 * E18, recipient=ur.ADDRESS_THIS),
        move("SWEEP", token=c.USDC, recipient=c.SAFE, amountMin=1),
    ),
    "SwapRouter02": router02(),
    "V2 router": v2(),
    "ether through the V2 router": c.batch(
        c.call(
            c.V2_ROUTER,
            "uniswap_v2_router",
            "swapExactETHForTokens",
            1,
            (c.WETH, c.USDC),
            c.SAFE,
            c.DEADLINE,
            value=E18,
        )
    ),
    "Balancer": balancer(),
    "wrap, then sell": c.batch(
        c.call(c.WETH, "weth9", "deposit", value=E18),
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18),
        c.route([c.v3_command(E18)]),
    ),
    "Aave supply": SUPPLY,
    "Aave supply as collateral": aave("setUserUseReserveAsCollateral", c.WETH, True),
    "Aave borrow": aave("borrow", c.USDC, 100 * E6, 2, 0, c.SAFE),
    "Aave repay": aave(
        "repay",
        c.USDC,
        MAX_UINT,
        2,
        c.SAFE,
        before=(c.approve(c.USDC, c.AAVE, 100 * E6),),
        after=(c.approve(c.USDC, c.AAVE, 0),),
    ),
    "Aave withdraw": aave("withdraw", c.WETH, MAX_UINT, c.SAFE),
    "leftover approvals taken back": c.batch(
        c.approve(c.WETH, c.PERMIT2, 0), c.permit(c.WETH, c.ROUTER, 0, 0)
    ),
}

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
                c.v3_command(5 * E18).args | {"path": ur.v3_path([c.WETH, c.THIEF, c.USDC], [500, 500])},
            )
        ),
    ),
    "into a thief's token": (
        "token",
        funded(
            ur.Command(
                "V3_SWAP_EXACT_IN",
                c.v3_command(5 * E18).args | {"path": ur.v3_path([c.WETH, c.THIEF], [500])},
            )
        ),
    ),
    "round trip through pools": (
        "swap",
        funded(
            ur.Command(
                "V3_SWAP_EXACT_IN",
                c.v3_command(5 * E18).args | {"path": ur.v3_path([c.WETH, c.USDC, c.WETH], [500, 500])},
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
    "value on a token": (
        "unknown-call",
        c.batch(dataclasses.replace(c.approve(c.WETH, c.PERMIT2, 0), value=1)),
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_batches_are_allowed(name: str) -> None:
    verdict = judge(HONEST[name])
    assert isinstance(verdict, Allowed), verdict


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_by_their_rule(name: str) -> None:
    rule, tx = ATTACKS[name]
    verdict = judge(tx)
    assert isinstance(verdict, Refusal)
    assert verdict.rule == rule, verdict
    assert verdict.what and verdict.remedy


def test_what_leaves_is_counted_to_the_unit() -> None:
    verdict = judge(c.sell(5 * E18 + 3))
    assert isinstance(verdict, Allowed)
    assert dict(verdict.spend) == {c.WETH: 5 * E18 + 3} and verdict.deadline == c.DEADLINE


CONTEXT: dict[str, tuple[str, Callable[[], Allowed | Refusal]]] = {
    "live request to the devnet signer": (
        "environment",
        lambda: judge(c.sell(), environment=Environment.LIVE),
    ),
    "another chain": ("chain", lambda: judge(c.sell(), chain_id=8453)),
    "another Safe": ("wallet", lambda: judge(c.sell(), safe=Address(c.THIEF))),
    "the day's cap": ("cap-per-day", lambda: judge(c.sell(), c.EmptyLedger(spends={c.WETH: 96 * E18}))),
    "the Safe nonce again": (
        "nonce-reused",
        lambda: judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(b"x" * 32, c.DEADLINE),))),
    ),
    "the Safe nonce of an undated one": (
        "nonce-reused",
        lambda: judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(b"x" * 32, 0),))),
    ),
}


@pytest.mark.parametrize("name", CONTEXT)
def test_the_place_and_the_past_are_judged_too(name: str) -> None:
    rule, attack = CONTEXT[name]
    verdict = attack()
    assert isinstance(verdict, Refusal) and verdict.rule == rule


def test_a_nonce_is_free_again_once_what_was_signed_has_expired() -> None:
    assert isinstance(judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(b"x" * 32, c.NOW - 1),))), Allowed)


def packed(tx: SafeTx, signers: tuple[int, ...] = (0, 1), nonce: int | None = None) -> bytes:
    digest = safe.safe_tx_hash(1, Address(c.SAFE), tx if nonce is None else change(tx, nonce=nonce))
    return safe.pack_signatures(
        digest, [c.OWNERS[i].sign(digest) for i in signers], [o.address for o in c.OWNERS], len(signers)
    )


def judged_outer(
    ledger: c.EmptyLedger | None = None, sender: str = c.AGENT.address, **fields: object
) -> Allowed | Refusal:
    tx = dataclasses.replace(c.outer(safe.exec_transaction(c.sell(), packed(c.sell()))), **fields)
    request = OuterRequest(Environment.DEVNET, Address(sender), tx, 0, c.NOW, c.NOW)
    return judge_outer(request, c.settings(), ledger or c.EmptyLedger())


def test_the_outer_transaction_of_a_signed_sale_is_allowed() -> None:
    verdict = judged_outer()
    assert isinstance(verdict, Allowed) and verdict.gas_wei == 1_500_000 * 30 * 10**9


OUTER: dict[str, tuple[str, Callable[[], Allowed | Refusal]]] = {
    "another sender": ("sender", lambda: judged_outer(sender=c.THIEF)),
    "value": ("outer-value", lambda: judged_outer(value=1)),
    "to a thief": ("target", lambda: judged_outer(to=Address(c.THIEF))),
    "another function": (
        "unknown-call",
        lambda: judged_outer(data=encode("safe", "approveHash", (bytes(32),))),
    ),
    "not calldata": ("unknown-call", lambda: judged_outer(data=b"\1")),
    "too much gas": ("gas-cap", lambda: judged_outer(gas=10_000_001)),
    "burnt as fees": (
        "gas-cap",
        lambda: judged_outer(fees=dataclasses.replace(c.outer(b"").fees, max_fee_wei=10**13)),
    ),
    "the day's gas": ("gas-per-day", lambda: judged_outer(c.EmptyLedger(gas=5 * 10**18))),
    "a used nonce": (
        "nonce-reused",
        lambda: judged_outer(c.EmptyLedger(sender_signed=(Signed(b"x" * 32, c.DEADLINE),))),
    ),
    "owners of another nonce": (
        "owner-signatures",
        lambda: judged_outer(data=safe.exec_transaction(c.sell(), packed(c.sell(), nonce=5))),
    ),
    "one owner only": (
        "owner-signatures",
        lambda: judged_outer(data=safe.exec_transaction(c.sell(), packed(c.sell(), (0,)))),
    ),
    "the same owner twice": (
        "owner-signatures",
        lambda: judged_outer(data=safe.exec_transaction(c.sell(), packed(c.sell(), (0,)) * 2)),
    ),
    "a cancel that was never needed": ("cancel", lambda: judged_outer(to=c.AGENT.address, data=b"")),
    "a cancel with data": ("cancel", lambda: judged_outer(to=c.AGENT.address)),
}


@pytest.mark.parametrize("name", OUTER)
def test_outer_attacks_are_refused_by_their_rule(name: str) -> None:
    rule, attack = OUTER[name]
    verdict = attack()
    assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict


def test_a_signed_nonce_may_be_cancelled() -> None:
    ledger = c.EmptyLedger(sender_signed=(Signed(b"x" * 32, c.DEADLINE),))
    verdict = judged_outer(ledger, to=c.AGENT.address, data=b"")
    assert isinstance(verdict, Allowed) and verdict.cancel


REJECTION = SafeTx(Address(c.SAFE), 0, b"", 0, 0)


def test_what_was_signed_may_be_rejected_by_using_its_nonces() -> None:
    """Safe's own way to cancel: an empty call to itself at the same nonce; nothing leaves the wallet."""
    ledger = c.EmptyLedger(
        safe_signed=(Signed(b"x" * 32, c.DEADLINE),), sender_signed=(Signed(b"y" * 32, c.DEADLINE),)
    )
    verdict = judge(REJECTION, ledger)
    assert isinstance(verdict, Allowed) and not verdict.spend and not verdict.leaves
    data = safe.exec_transaction(REJECTION, packed(REJECTION))
    assert isinstance(judged_outer(ledger, data=data), Allowed)


def test_only_what_was_signed_is_rejected_and_a_rejection_carries_nothing() -> None:
    signed = c.EmptyLedger(safe_signed=(Signed(b"x" * 32, c.DEADLINE),))
    assert judge(REJECTION, c.EmptyLedger()).rule == "rejection"  # type: ignore[union-attr]
    for wrong in (
        change(REJECTION, value=1),
        change(REJECTION, data=b"\x00"),
        change(REJECTION, operation=1),
        change(REJECTION, to=Address(c.AGENT.address)),
    ):
        assert isinstance(judge(wrong, signed), Refusal), wrong


def test_after_a_rejection_nothing_else_is_signed_at_that_nonce() -> None:
    rejected = safe.safe_tx_hash(1, Address(c.SAFE), REJECTION)
    assert judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(rejected, 0),))).rule == "nonce-reused"  # type: ignore[union-attr]
