"""What is recorded of `contracts/src/Offers.sol`, where the one of a Gate is (`contracts.own`), and what of an order differs.

All have the same runtime code (the Gate is in storage), so one EXTCODEHASH tells a genuine one.
"""

from __future__ import annotations

from contracts.abi_types import Value
from contracts.hashing import address_bytes, keccak
from contracts.own import FACTORY, Own, placed_at

OFFERS = Own("Offers", "offers.json", keccak(b"fairlead.offers.1"))
SETTLEMENT = "0x9008D19f58AAbD9eD0D60971565AA8510560ab41"
RELAYER = "0xC92E8bdf79f0507f65a392b0ab4667716BFE0110"
"""CoW Protocol's, as the code has them: constants."""
__all__ = ["FACTORY", "OFFERS", "RELAYER", "SETTLEMENT", "address", "creating", "order", "signature"]


def init_code(creation: bytes, gate: str) -> bytes:
    """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
    return OFFERS.init_code(creation, bytes(12) + address_bytes(gate))


def creating(creation: bytes, gate: str) -> bytes:
    """The factory's calldata: salt ‖ init code. Raises ValueError as `init_code`."""
    return OFFERS.salt + init_code(creation, gate)


def address(creation: bytes, gate: str) -> str:
    """Where the factory puts the Offers of `gate`, checksummed. Raises ValueError as `init_code`."""
    return placed_at(OFFERS.salt, keccak(init_code(creation, gate)))


def order(
    sell: str, buy: str, sell_raw: int, buy_raw: int, valid_to: int, buys: bool, partially_fillable: bool
) -> dict[str, Value]:
    """IOffers.Order: the fields that differ from order to order."""
    return {
        "sellToken": sell,
        "buyToken": buy,
        "sellAmount": sell_raw,
        "buyAmount": buy_raw,
        "validTo": valid_to,
        "buys": buys,
        "partiallyFillable": partially_fillable,
    }


def signature(sell: str) -> bytes:
    """The bytes of an order's EIP-1271 signature: the token it sells, by which Offers knows it."""
    return bytes(12) + address_bytes(sell)
