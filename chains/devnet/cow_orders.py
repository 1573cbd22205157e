"""CoW orders as the local order book sees them: read from a request, hashed, put into the settlement's calldata.

Shares no code with the client it is spoken to by: hashes are made with eth-abi from the struct of CoW Protocol's contracts (GPv2Order,
GPv2Trade), and the settlement contract itself refuses a trade whose signature or presignature belongs to another hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coincurve import PublicKey
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chains.devnet.addresses import COW
from chains.errors import Usage
from chains.evm import checksum

SETTLEMENT = COW["GPv2Settlement"]
MAX_UINT = 2**256 - 1
SCHEMES = ("eip712", "ethsign", "eip1271", "presign")
_TYPE = (
    "Order(address sellToken,address buyToken,address receiver,uint256 sellAmount,uint256 buyAmount,uint32 validTo,bytes32 appData,"
    "uint256 feeAmount,string kind,bool partiallyFillable,string sellTokenBalance,string buyTokenBalance)"
)
_WORDS = ["bytes32", "address", "address", "address", "uint256", "uint256", "uint32", "bytes32", "uint256", "bytes32", "bool", "bytes32", "bytes32"]  # fmt: skip
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Refused(Exception):
    """An answer that is an error: the status, and {"errorType", "description"}."""

    def __init__(self, status: int, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.status, self.body = status, {"errorType": kind, "description": why}


@dataclass(frozen=True, slots=True)
class Order:
    """An order of kind "sell", or "buy" where `buys`; amounts in base units, `body` as it was posted."""

    sell: str
    buy: str
    receiver: str
    sell_raw: int
    buy_raw: int
    valid_to: int
    app_data: bytes
    partially: bool
    scheme: str
    signature: bytes
    owner: str
    digest: bytes
    body: Mapping[str, Any]
    buys: bool

    @property
    def whole_raw(self) -> int:
        """What filledAmount counts up to: the amount that is fixed."""
        return self.buy_raw if self.buys else self.sell_raw

    @property
    def uid(self) -> str:
        return "0x" + (self.digest + bytes.fromhex(self.owner[2:]) + self.valid_to.to_bytes(4, "big")).hex()


def domain(chain_id: int) -> bytes:
    kind = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    named = [kind, keccak(text="Gnosis Protocol"), keccak(text="v2"), chain_id, SETTLEMENT]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], named))


def digest_of(chain_id: int, struct: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain(chain_id) + struct)


def read(chain_id: int, body: Mapping[str, Any]) -> Order:
    """The order of a POST. Raises Refused for every field that cannot be; the signature is not judged here but for the signer."""
    buys = kind(body) == "buy"
    for name, refusal in (
        ("sellTokenBalance", "UnsupportedSellTokenSource"),
        ("buyTokenBalance", "UnsupportedBuyTokenDestination"),
    ):
        if body.get(name, "erc20") != "erc20":
            raise Refused(400, refusal, f"{name} {body[name]}")
    sell, buy = address(body, "sellToken"), address(body, "buyToken")
    if sell == buy:
        raise Refused(400, "SameBuyAndSellToken", sell)
    sell_raw, buy_raw = amount(body, "sellAmount"), amount(body, "buyAmount")
    if not sell_raw or not buy_raw:
        raise Refused(400, "ZeroAmount", "sellAmount and buyAmount are above zero")
    if amount(body, "feeAmount"):
        raise Refused(400, "NonZeroFee", "feeAmount is zero")
    valid_to, partially = body.get("validTo"), body.get("partiallyFillable")
    if type(valid_to) is not int or not 0 <= valid_to < 1 << 32 or type(partially) is not bool:
        raise Refused(422, "InvalidBody", "validTo or partiallyFillable")
    app_data = app_data_hash(body)
    scheme, signature = body.get("signingScheme"), hexadecimal(body, "signature")
    if scheme not in SCHEMES:
        raise Refused(422, "InvalidBody", "signingScheme")
    zero = "0x" + "0" * 40
    receiver = address(body, "receiver") if body.get("receiver") is not None else zero
    words = [
        keccak(text=_TYPE), sell, buy, receiver, sell_raw, buy_raw, valid_to, app_data, 0, keccak(text=kind(body)),
        partially, keccak(text="erc20"), keccak(text="erc20"),
    ]  # fmt: skip
    digest = digest_of(chain_id, keccak(encode(_WORDS, words)))
    owner = address(body, "from") if body.get("from") is not None else ""
    if scheme in ("eip712", "ethsign"):
        signer = recover(digest, signature, scheme)
        if owner and signer != owner:
            raise Refused(400, "WrongOwner", f"recovered signer {signer} is not from address {owner}")
        owner = signer
    elif not owner:
        raise Refused(400, "MissingFrom", f"from is needed for {scheme}")
    if scheme == "presign" and signature not in (b"", bytes.fromhex(owner[2:])):
        raise Refused(400, "InvalidSignature", "a presignature has no bytes")
    return Order(
        sell, buy, receiver, sell_raw, buy_raw, valid_to, app_data, partially, scheme, signature, owner, digest, dict(body), buys
    )  # fmt: skip


def kind(body: Mapping[str, Any]) -> str:
    value = body.get("kind")
    if value not in ("sell", "buy"):
        raise Refused(400, "UnsupportedOrderType", "kind is sell or buy")
    return str(value)


def app_data_hash(body: Mapping[str, Any]) -> bytes:
    given = body.get("appData")
    if not isinstance(given, str):
        raise Refused(422, "InvalidBody", "appData")
    if given.startswith("0x"):
        return hexadecimal(body, "appData").rjust(32, b"\0")
    found = keccak(text=given)
    if body.get("appDataHash") not in (None, "0x" + found.hex()):
        raise Refused(400, "AppDataHashMismatch", f"calculated app data hash 0x{found.hex()}")
    return found


def cancellation_digest(chain_id: int, uids: list[str]) -> bytes:
    packed = b"".join(keccak(bytes.fromhex(uid[2:])) for uid in uids)
    kind = keccak(text="OrderCancellations(bytes[] orderUids)")
    return digest_of(chain_id, keccak(kind + keccak(packed)))


def recover(digest: bytes, signature: bytes, scheme: str) -> str:
    """Who signed. Raises Refused InvalidSignature."""
    signed = digest if scheme == "eip712" else keccak(b"\x19Ethereum Signed Message:\n32" + digest)
    try:
        if len(signature) != 65 or signature[64] not in (27, 28):
            raise ValueError
        if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
            raise ValueError
        recoverable = signature[:64] + bytes((signature[64] - 27,))
        public = PublicKey.from_signature_and_message(recoverable, signed, hasher=None)
    except ValueError:
        raise Refused(400, "InvalidSignature", "not 65 bytes r ‖ s ‖ v of a signature") from None
    return checksum("0x" + keccak(public.format(compressed=False)[1:])[12:].hex())


def trade(order: Order, executed_raw: int) -> tuple[Any, ...]:
    """GPv2Trade.Data with token 0 sold and token 1 bought; `executed_raw`, of what is fixed, counts only where it may be filled in parts."""
    flags = int(order.buys) | (2 if order.partially else 0) | SCHEMES.index(order.scheme) << 5
    signature = order.signature
    if order.scheme in ("eip1271", "presign"):
        signature = bytes.fromhex(order.owner[2:]) + (order.signature if order.scheme == "eip1271" else b"")
    return (
        0, 1, order.receiver, order.sell_raw, order.buy_raw, order.valid_to, order.app_data, 0, flags, executed_raw, signature,
    )  # fmt: skip


# ---------------------------------------------------------------------- values


def address(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    try:
        return checksum(value.lower() if isinstance(value, str) else "")
    except Usage:
        raise Refused(422, "InvalidBody", name) from None


def amount(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or int(value) > MAX_UINT:
        raise Refused(422, "InvalidBody", name)
    return int(value)


def hexadecimal(body: Mapping[str, Any], name: str) -> bytes:
    value = body.get(name)
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        return bytes.fromhex(value[2:])
    except ValueError:
        raise Refused(422, "InvalidBody", name) from None
