"""What a pool's own events say of its state, as the contracts emit them: a market/1 entry moved on by a block's logs. Pure.

    Uniswap V2   Sync(reserve0, reserve1) ends whatever changes the reserves
    Uniswap V3   Swap tells price, liquidity and tick after it; Mint and Burn move two ticks' liquidity, and the pool's own where the
                 price lies between them
    Uniswap V4   the same of the pool's id at the manager: Swap, and ModifyLiquidity with a signed amount
An event that is known to change none of that is passed over. Any other, and every one of a Balancer pool, makes the entry one that
has to be read: so a fork of these contracts that logs otherwise is read anew, never believed unchanged.
"""

from __future__ import annotations

from typing import Any

from chains.evm import keccak, signed, words
from chains.types import Log


def _topic(signature: str) -> bytes:
    return keccak(signature.encode())


SYNC = _topic("Sync(uint112,uint112)")
V3_SWAP = _topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
V3_MINT = _topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
V3_BURN = _topic("Burn(address,int24,int24,uint128,uint256,uint256)")
V4_SWAP = _topic("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")
V4_MODIFY = _topic("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")
HARMLESS = {
    "uniswap_v2": frozenset(
        map(
            _topic,
            (
                "Transfer(address,address,uint256)",
                "Approval(address,address,uint256)",
                "Mint(address,uint256,uint256)",
                "Burn(address,uint256,uint256,address)",
                "Swap(address,uint256,uint256,uint256,uint256,address)",
            ),
        )
    ),
    "uniswap_v3": frozenset(
        map(
            _topic,
            (
                "Collect(address,address,int24,int24,uint128,uint128)",
                "CollectProtocol(address,address,uint128,uint128)",
                "Flash(address,address,uint256,uint256,uint256,uint256)",
                "IncreaseObservationCardinalityNext(uint16,uint16)",
                "SetFeeProtocol(uint8,uint8,uint8,uint8)",
            ),
        )
    ),
    "uniswap_v4": frozenset({_topic("Donate(bytes32,address,uint256,uint256)")}),
    "curve_stableswap": frozenset(
        map(
            _topic,
            (
                "Transfer(address,address,uint256)",
                "Approval(address,address,uint256)",
                "CommitNewAdmin(uint256,address)",
                "NewAdmin(address)",
                "CommitNewFee(uint256,uint256,uint256)",
            ),
        )
    ),
}
"""By kind of pool, the events that leave reserves, price, liquidity, ticks and fees as they are."""


def moved(entry: dict[str, Any], log: Log) -> dict[str, Any] | None:
    """The entry after the event; the same one where nothing of it changed, None where only reading it can tell."""
    topic = log.topics[0] if log.topics else b""
    kind = entry["kind"]
    if topic in HARMLESS.get(kind, ()):
        return entry
    data = words(log.data)
    if kind == "uniswap_v2" and topic == SYNC and len(data) == 2:
        return {**entry, "reserves_raw": [str(data[0]), str(data[1])]}
    if kind == "uniswap_v3":
        if topic == V3_SWAP and len(data) == 5:
            return _swapped(entry, data[2], data[3], signed(data[4]))
        if topic == V3_MINT and len(log.topics) == 4 and len(data) == 4:
            return _liquidity_moved(entry, *_ends(log), data[1])
        if topic == V3_BURN and len(log.topics) == 4 and len(data) == 3:
            return _liquidity_moved(entry, *_ends(log), -data[0])
    if kind == "uniswap_v4":
        # With a fee of the protocol's own on top, what `Swap` calls the fee is both: only reading tells them apart.
        if topic == V4_SWAP and len(data) == 6:
            return _swapped(entry, data[2], data[3], signed(data[4]))
        if topic == V4_MODIFY and len(data) == 4:
            return _liquidity_moved(entry, signed(data[0]), signed(data[1]), signed(data[2]))
    return None


def consistent(entry: dict[str, Any]) -> bool:
    """Whether a pool's own liquidity is the sum of its ticks' at and below the price, as the contracts keep it."""
    if "ticks" not in entry:
        return True
    at = entry["tick"]
    return sum(int(net) for tick, net in entry["ticks"] if tick <= at) == int(entry["liquidity"])


def doubtful_ticks(before: dict[str, Any], after: dict[str, Any]) -> list[int]:
    """Ticks whose liquidity came to net nothing: where two positions meet there is one still, where the last left there is none."""
    if "ticks" not in after or after["ticks"] is before["ticks"]:
        return []
    was = {tick for tick, net in before["ticks"] if net == "0"}
    return [tick for tick, net in after["ticks"] if net == "0" and tick not in was]


def without_ticks(entry: dict[str, Any], gone: frozenset[int]) -> dict[str, Any]:
    return {**entry, "ticks": [pair for pair in entry["ticks"] if pair[0] not in gone]}


def _ends(log: Log) -> tuple[int, int]:
    return signed(int.from_bytes(log.topics[2], "big")), signed(int.from_bytes(log.topics[3], "big"))


def _swapped(entry: dict[str, Any], price: int, liquidity: int, tick: int) -> dict[str, Any]:
    return {**entry, "sqrt_price_x96": str(price), "liquidity": str(liquidity), "tick": tick}


def _liquidity_moved(entry: dict[str, Any], low: int, high: int, amount: int) -> dict[str, Any] | None:
    """Liquidity `amount` (less than zero where it goes) between two ticks. None where that cannot be what happened."""
    if amount == 0:
        return entry  # a position's fees were counted, nothing else
    nets = {tick: int(net) for tick, net in entry["ticks"]}
    nets[low] = nets.get(low, 0) + amount
    nets[high] = nets.get(high, 0) - amount
    liquidity = int(entry["liquidity"]) + (amount if low <= entry["tick"] < high else 0)
    if liquidity < 0 or low >= high:
        return None
    ticks = [[tick, str(nets[tick])] for tick in sorted(nets)]
    return {**entry, "liquidity": str(liquidity), "ticks": ticks}
