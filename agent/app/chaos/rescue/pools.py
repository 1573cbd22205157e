"""The pools beside a falling price: others trade each of them to where the crisis has it. Cheat methods of the devnet alone.

They are the demo market's own of Uniswap V3, and the trades go through its router: what lies between two prices is what was provided there.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from agent.app.chaos.rescue.crises import TOP_1E8
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import OPERATOR, send_as_operator
from chains.errors import Halt
from contracts.codec import decode_result, encode
from contracts.hashing import checksum

AT = CHAINS[1]
ROUTER = AT.uniswap.router02
TRADER = checksum(bytes.fromhex(OPERATOR[2:]))
PURSE = {AT.weth: 10**6 * 10**18, AT.usdc: 10**10 * 10**6}
"""More than any of the pools holds."""
FOREVER = 2**256 - 1


def sqrt_px_x96(px_1e8: int) -> int:
    """√(WETH wei per USDC unit) in Q64.96, rounded down, from dollars an ether: USDC is the first token of the pair."""
    ratio = Fraction(10**18 * 10**8, px_1e8 * 10**6)
    return isqrt((ratio.numerator << 192) // ratio.denominator)


class Pools:
    """`addresses` are pools of USDC and WETH of chain 1; `url` the relay's admin port, to which a trade is a block."""

    def __init__(self, url: str, rpc: Rpc, addresses: tuple[str, ...]) -> None:
        self._rpc = rpc
        self._fees = {pool: int(self._read(pool, "fee")) for pool in addresses}
        for token, raw in PURSE.items():
            give_token(url, token, OPERATOR, raw)
            send_as_operator(rpc, token, encode("erc20", "approve", (ROUTER, FOREVER)))

    def to(self, px_1e8: int) -> None:
        """Each is traded to that many dollars an ether. Raises Halt CHAOS_WORLD where one does not get there."""
        target = sqrt_px_x96(px_1e8)
        for pool, fee in self._fees.items():
            now = int(self._read(pool, "slot0"))
            if now == target:
                continue
            if not self._read(
                pool, "liquidity"
            ):  # the router takes no trade that begins and ends where nobody provides any
                self._swap(fee, now, sqrt_px_x96(TOP_1E8))
                now = int(self._read(pool, "slot0"))
            self._swap(fee, now, target)
            if int(self._read(pool, "slot0")) != target:
                raise Halt("CHAOS_WORLD", f"the pool {pool} cannot be traded to {px_1e8}e-8 dollars an ether")

    def _swap(self, fee: int, now: int, target: int) -> None:
        """WETH is sold to raise what of it a unit of USDC is worth."""
        sold, bought = (AT.weth, AT.usdc) if target > now else (AT.usdc, AT.weth)
        call = (sold, bought, fee, TRADER, PURSE[sold] // 10, 0, target)
        send_as_operator(self._rpc, ROUTER, encode("swap_router_02", "exactInputSingle", (call,)))

    def _read(self, pool: str, function: str) -> int:
        data = "0x" + encode("uniswap_v3_pool", function).hex()
        answer = bytes.fromhex(self._rpc("eth_call", {"to": pool, "data": data}, "latest")[2:])
        return int(decode_result("uniswap_v3_pool", function, answer)[0])
