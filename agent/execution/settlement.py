"""What really happened, read from the receipt's own logs; never assumed from what was asked for. Pure."""

from __future__ import annotations

from agent.domain.instruments import AssetId, address_of
from agent.domain.orders import Part
from agent.domain.reports import Fill
from agent.domain.units import qty_exact
from chains.types import Address, Log, Receipt

TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak256("Transfer(address,address,uint256)"), ERC-20."""


def moved_raw(logs: tuple[Log, ...], token: Address, wallet: Address) -> int:
    """What the wallet's balance of a token gained by ERC-20 Transfer logs (negative: lost)."""
    total = 0
    who = bytes.fromhex(wallet[2:])
    for log in logs:
        if log.address.lower() != token.lower() or len(log.topics) != 3 or log.topics[0] != TRANSFER:
            continue
        amount = int.from_bytes(log.data, "big")
        if log.topics[1][12:] == who:
            total -= amount
        if log.topics[2][12:] == who:
            total += amount
    return total


def token_of(asset: AssetId) -> Address:
    address = address_of(asset)
    if address is None:
        raise ValueError(f"{asset} is not an ERC-20")
    return Address(address)


def fill_of(
    part: Part, receipt: Receipt, wallet: Address, decimals_in: int, decimals_out: int, at_ns: int
) -> Fill:
    """The part's fill by the receipt. The same transaction mined in another block is another execution."""
    given = -moved_raw(receipt.logs, token_of(part.asset_in), wallet)
    got = moved_raw(receipt.logs, token_of(part.asset_out), wallet)
    return Fill(
        exec_id=f"{receipt.tx_hash}@{receipt.block_hash}",
        place=part.place,
        asset_in=part.asset_in,
        asset_out=part.asset_out,
        qty_in=qty_exact(given, decimals_in),
        qty_out=qty_exact(got, decimals_out),
        fee_asset=part.asset_out,
        fee_qty=qty_exact(0, decimals_out),
        at_ns=at_ns,
    )
