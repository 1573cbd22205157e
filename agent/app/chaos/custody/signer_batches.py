"""Batches as a planner would ask the signer for them, whole and honest, and the pieces an attack is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from agent.app.chaos.custody import wallet as c
from chains.types import Address
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.multisend import Part
from keys import safe
from keys.safe import CALL, SafeTx

NONE = "0x" + "0" * 40
E18, E6 = 10**18, 10**6


def change(tx: SafeTx, **fields: object) -> SafeTx:
    return dataclasses.replace(tx, **fields)  # type: ignore[arg-type]


def funded(
    *commands: ur.Command, amount: int = 5 * E18, deadline: int = c.DEADLINE, value: int = 0
) -> SafeTx:
    """Exact approvals for `amount` WETH, then one router execution of `commands`."""
    return c.batch(
        c.approve(c.WETH, c.PERMIT2, amount),
        c.permit(c.WETH, c.ROUTER, amount),
        c.route(list(commands), deadline, value),
    )


def bent(change: Callable[[bytes], bytes]) -> SafeTx:
    """The honest V3 sale, the bytes of its one command changed: a lax decoder would read the same out of them."""
    code, data = ur.encode_command(c.v3_command(5 * E18))
    call = encode("universal_router", "execute", (bytes([code]), (change(data),), c.DEADLINE))
    whole = c.approve(c.WETH, c.PERMIT2, 5 * E18), c.permit(c.WETH, c.ROUTER, 5 * E18)
    return c.batch(*whole, Part(c.ROUTER, 0, call))


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


def packed(tx: SafeTx, signers: tuple[int, ...] = (0, 1), nonce: int | None = None) -> bytes:
    digest = safe.safe_tx_hash(1, Address(c.SAFE), tx if nonce is None else change(tx, nonce=nonce))
    return safe.pack_signatures(
        digest, [c.OWNERS[i].sign(digest) for i in signers], [o.address for o in c.OWNERS], len(signers)
    )
