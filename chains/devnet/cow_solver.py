"""A small solver for the local order book: it trades through one Uniswap pool and settles by GPv2Settlement.settle.

One order a settlement: a sale is paid the whole of what the pool gives for it less the network's share, a purchase costs what the
pool takes and that share. It acts as the devnet's OPERATOR, whom
the solvers' list admits at the start, and mines its own settlements (`chains.devnet.nodes.send_as_operator`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chains.devnet.addresses import CHAINS, COW, COW_MANAGER
from chains.devnet.artifacts import artifact
from chains.devnet.cow_orders import SETTLEMENT, Order, trade
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import OPERATOR, send_as_operator

FEE_BPS = 2
"""What the network's share is said to be, of what is sold."""
_TIERS = (100, 500, 3000, 10_000)


@dataclass(frozen=True, slots=True)
class Swap:
    """The best pool: `fee_pips` is 0 for a V2 pair."""

    fee_pips: int
    in_raw: int
    out_raw: int


def admit(rpc: Rpc) -> None:
    """Puts OPERATOR on the settlement's list of solvers, in the name of the list's manager."""
    lists, at = artifact("GPv2AllowListAuthentication"), COW["GPv2AllowListAuthentication"]
    if int(_call(rpc, at, lists.call("isSolver", OPERATOR)).hex(), 16):
        return
    rpc("anvil_impersonateAccount", COW_MANAGER)
    rpc("anvil_setBalance", COW_MANAGER, hex(10**20))
    data = "0x" + lists.call("addSolver", OPERATOR).hex()
    rpc("eth_sendTransaction", {"from": COW_MANAGER, "to": at, "data": data, "gas": hex(200_000)})
    rpc("evm_mine")


def network_share(sell_raw: int) -> int:
    return sell_raw * FEE_BPS // 10_000


def best_swap(rpc: Rpc, sell: str, buy: str, sell_raw: int) -> Swap | None:
    """None where no pool of the pair gives anything."""
    found, at = [], CHAINS[1].uniswap
    quoter, router = artifact("QuoterV2"), artifact("UniswapV2Router02")
    for fee in _TIERS:
        try:
            data = _call(
                rpc, at.quoter_v2, quoter.call("quoteExactInputSingle", (sell, buy, sell_raw, fee, 0))
            )
            found.append(Swap(fee, sell_raw, int(quoter.read("quoteExactInputSingle", data, 1)[0])))
        except RpcError:
            continue
    try:
        data = _call(rpc, at.v2_router, router.call("getAmountsOut", sell_raw, [sell, buy]))
        found.append(Swap(0, sell_raw, int(router.read("getAmountsOut", data, 2)[0][-1])))
    except RpcError:
        pass
    return max((swap for swap in found if swap.out_raw > 0), key=lambda swap: swap.out_raw, default=None)


def cheapest_swap(rpc: Rpc, sell: str, buy: str, buy_raw: int) -> Swap | None:
    """The pool that gives exactly `buy_raw` for the least. None where no pool of the pair holds that much."""
    found, at = [], CHAINS[1].uniswap
    quoter, router = artifact("QuoterV2"), artifact("UniswapV2Router02")
    for fee in _TIERS:
        try:
            asked = quoter.call("quoteExactOutputSingle", (sell, buy, buy_raw, fee, 0))
            data = _call(rpc, at.quoter_v2, asked)
            found.append(Swap(fee, int(quoter.read("quoteExactOutputSingle", data, 1)[0]), buy_raw))
        except RpcError:
            continue
    try:
        data = _call(rpc, at.v2_router, router.call("getAmountsIn", buy_raw, [sell, buy]))
        found.append(Swap(0, int(router.read("getAmountsIn", data, 2)[0][0]), buy_raw))
    except RpcError:
        pass
    return min((swap for swap in found if swap.in_raw > 0), key=lambda swap: swap.in_raw, default=None)


def settle(rpc: Rpc, order: Order, executed_raw: int) -> str | None:
    """Settles that much of what an order fixes, and mines it. None where it cannot be: no pool, a price past its limit, no money, no signature."""
    if order.buys:
        swap = cheapest_swap(rpc, order.sell, order.buy, executed_raw)
    else:
        swap = best_swap(rpc, order.sell, order.buy, executed_raw - network_share(executed_raw))
    if swap is None:
        return None
    sold = swap.in_raw + network_share(swap.in_raw) if order.buys else executed_raw
    if swap.out_raw * order.sell_raw < order.buy_raw * sold:
        return None
    data = settlement(order, executed_raw, sold, swap)
    try:
        rpc("eth_call", {"from": OPERATOR, "to": SETTLEMENT, "data": "0x" + data.hex()}, "latest")
    except RpcError:
        return None
    tx_hash = send_as_operator(rpc, SETTLEMENT, data)
    rpc("evm_mine")
    return tx_hash


def settlement(order: Order, executed_raw: int, sold_raw: int, swap: Swap) -> bytes:
    """settle()'s calldata: prices that take `sold_raw` and pay out exactly what the pool gives."""
    interactions = [
        (order.sell, 0, artifact("MockERC20").call("approve", CHAINS[1].uniswap.router02, swap.in_raw)),
        (CHAINS[1].uniswap.router02, 0, _swap_call(order, swap)),
    ]
    return artifact("GPv2Settlement").call(
        "settle",
        [order.sell, order.buy],
        [swap.out_raw, sold_raw],
        [trade(order, executed_raw)],
        [[], interactions, []],
    )


def _swap_call(order: Order, swap: Swap) -> bytes:
    router, path = artifact("SwapRouter02"), [order.sell, order.buy]
    if swap.fee_pips == 0 and order.buys:
        return router.call("swapTokensForExactTokens", swap.out_raw, swap.in_raw, path, SETTLEMENT)
    if swap.fee_pips == 0:
        return router.call("swapExactTokensForTokens", swap.in_raw, swap.out_raw, path, SETTLEMENT)
    given, taken = (swap.out_raw, swap.in_raw) if order.buys else (swap.in_raw, swap.out_raw)
    single: tuple[Any, ...] = (*path, swap.fee_pips, SETTLEMENT, given, taken, 0)
    return router.call("exactOutputSingle" if order.buys else "exactInputSingle", single)


def _call(rpc: Rpc, to: str, data: bytes) -> bytes:
    answer: str = rpc("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
    return bytes.fromhex(answer[2:])
