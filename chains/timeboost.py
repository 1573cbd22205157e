"""Timeboost's wire, Arbitrum's express lane: `auctioneer_submitBid` and `timeboost_sendExpressLaneTransaction`. Pure.

    bid_digest, bid                what the bidder's key signs (EIP-712), and the request with that signature
    lane_message, lane_digest      what the round's controller signs (EIP-191) over a transaction of anybody's
    lane                           the request with that signature
    read_taken                     what both answer: nothing where they took it, else one of the words below

Keys stay with the signer: these functions make digests and take signatures (r ‖ s ‖ v, 65 bytes). A refused submission has not used its
sequence number, but for SEQUENCE_NUMBER_ALREADY_SEEN, which an earlier one of ours may have. The lane has no way to withdraw.
Source: Offchain Labs' published Timeboost documentation and implementation design.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chains.errors import FairleadError, Reconcile, Reject, Usage
from chains.evm import hex_bytes, keccak, word
from chains.rpc import RpcReject
from chains.types import Address, SignedTx

ROUND_S, CLOSES_S = 60, 15
"""A round lasts a minute; its auction closes a quarter of a minute before it begins."""
DONT_CARE = 2**64 - 1
_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_BID = keccak(b"Bid(uint64 round,address expressLaneController,uint256 amount)")
_TAG = keccak(b"TIMEBOOST_BID")
REFUSALS = (
    "MALFORMED_DATA", "NOT_DEPOSITOR", "WRONG_CHAIN_ID", "WRONG_SIGNATURE", "BAD_ROUND_NUMBER", "RESERVE_PRICE_NOT_MET",
    "INSUFFICIENT_BALANCE", "NOT_EXPRESS_LANE_CONTROLLER", "NO_ONCHAIN_CONTROLLER", "SEQUENCE_NUMBER_TOO_LOW",
)  # fmt: skip
SEEN = "SEQUENCE_NUMBER_ALREADY_SEEN"


@dataclass(frozen=True, slots=True)
class Bid:
    """`amount_wei` of the auction's token for the lane in `round`. Raises Usage BID_INVALID."""

    chain_id: int
    auction: Address
    round: int
    controller: Address
    amount_wei: int

    def __post_init__(self) -> None:
        if not 0 < self.round < 2**64 or not 0 < self.amount_wei < 2**256 or self.chain_id <= 0:
            raise Usage(
                "BID_INVALID", f"a bid of {self.amount_wei} for round {self.round}", "both are above zero"
            )


@dataclass(frozen=True, slots=True)
class LaneTx:
    """A transaction for the lane in `round`; `sequence` counts from 0 in each round, DONT_CARE takes any order. Raises Usage LANE_INVALID."""

    auction: Address
    round: int
    sequence: int
    signed: SignedTx

    def __post_init__(self) -> None:
        if not 0 < self.round < 2**64 or not 0 <= self.sequence < 2**64:
            raise Usage(
                "LANE_INVALID", f"round {self.round}, sequence number {self.sequence}", "both fit 64 bits"
            )


def bid_digest(offer: Bid) -> bytes:
    """EIP-712, as the auction contract's `getBidHash`."""
    domain = keccak(
        _DOMAIN + keccak(b"ExpressLaneAuction") + keccak(b"1") + word(offer.chain_id) + word(offer.auction)
    )
    struct = keccak(_BID + word(offer.round) + word(offer.controller) + word(offer.amount_wei))
    return keccak(b"\x19\x01" + domain + struct)


def bid(offer: Bid, signature: bytes) -> dict[str, Any]:
    """The one parameter of `auctioneer_submitBid`. Raises Usage BAD_SIGNATURE_LENGTH."""
    return {
        "chainId": hex(offer.chain_id),
        "expressLaneController": offer.controller,
        "auctionContractAddress": offer.auction,
        "round": hex(offer.round),
        "amount": hex(offer.amount_wei),
        "signature": _signature(signature),
    }


def lane_message(lane_tx: LaneTx) -> bytes:
    """The bytes the round's controller signs."""
    return (
        _TAG
        + word(lane_tx.signed.chain_id)
        + bytes.fromhex(lane_tx.auction[2:])
        + lane_tx.round.to_bytes(8, "big")
        + lane_tx.sequence.to_bytes(8, "big")
        + lane_tx.signed.raw
    )


def lane_digest(lane_tx: LaneTx) -> bytes:
    """EIP-191 of `lane_message`."""
    message = lane_message(lane_tx)
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def lane(lane_tx: LaneTx, signature: bytes) -> dict[str, Any]:
    """The one parameter of `timeboost_sendExpressLaneTransaction`. Raises Usage BAD_SIGNATURE_LENGTH."""
    return {
        "chainId": hex(lane_tx.signed.chain_id),
        "round": hex(lane_tx.round),
        "auctionContractAddress": lane_tx.auction,
        "sequenceNumber": hex(lane_tx.sequence),
        "transaction": hex_bytes(lane_tx.signed.raw),
        "options": {},
        "signature": _signature(signature),
    }


def read_taken(result: object) -> None:
    """An empty result is a receipt for having arrived. Raises Reconcile MALFORMED_ANSWER for anything else."""
    if result is None or result == "" or (isinstance(result, Mapping) and not result):
        return
    raise Reconcile(
        "MALFORMED_ANSWER",
        "the express lane answered something where nothing is documented",
        "look it up by hash",
    )


def refusal(error: RpcReject) -> FairleadError:
    """What a refusal means: Reject with their own word as CODE, Reconcile where the sequence number was used already."""
    said = error.rpc_message
    if SEEN in said:
        return Reconcile(
            SEEN,
            "that sequence number of the round was used already",
            "look the transaction up by hash first",
        )
    code = next((word_ for word_ in REFUSALS if word_ in said), "EXPRESS_LANE_REFUSED")
    return Reject(code, f"the express lane refused it: {said[:200]}", "the ordinary road is open")


def _signature(signature: bytes) -> str:
    if len(signature) != 65:
        raise Usage("BAD_SIGNATURE_LENGTH", f"a signature of {len(signature)} bytes", "r, s and v are 65")
    return hex_bytes(signature)
