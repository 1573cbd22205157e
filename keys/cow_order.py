"""CoW Protocol orders: their EIP-712 hash and UID as the settlement contract computes them, and what a Safe's owners sign. Pure.

    digest = keccak(0x19 0x01 ‖ domain{"Gnosis Protocol", "v2", chainId, settlement} ‖ keccak(Order)),  UID = digest ‖ owner ‖ validTo

(GPv2Signing, GPv2Order of CoW Protocol's contracts.) An account signs the digest itself; a Safe answers for it by EIP-1271, so its
owners sign the SafeMessage of the digest (`keys.safe_messages`); or the Safe says so on chain (setPreSignature of the UID).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from chains.errors import Usage
from chains.types import Address, CowOrder, Hash32
from contracts.hashing import address_bytes, keccak, to_checksum
from keys import safe_messages
from keys.safe import domain_separator as safe_domain
from keys.typed import Field, Struct, TypedHash

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_MEMBERS = (
    "address sellToken,address buyToken,address receiver,uint256 sellAmount,uint256 buyAmount,uint32 validTo,bytes32 appData,"
    "uint256 feeAmount,string kind,bool partiallyFillable,string sellTokenBalance,string buyTokenBalance"
)
ORDER_TYPEHASH = keccak(f"Order({_MEMBERS})".encode())
CANCELLATIONS_TYPEHASH = keccak(b"OrderCancellations(bytes[] orderUids)")
KINDS = {name: keccak(name.encode()) for name in ("sell", "buy")}
ERC20 = keccak(b"erc20")
APP_DATA = "{}"
"""The only document our orders name: no hooks, no partner's fee, no slippage that somebody else could act on."""
APP_DATA_HASH = Hash32("0x" + keccak(APP_DATA.encode()).hex())
UID_BYTES = 56
_WIDE = ("sell_raw", "buy_raw", "fee_raw")


def _word(value: int, bits: int = 256) -> bytes:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise Usage("COW_ORDER_INVALID", f"{value!r} is no uint{bits}")
    return value.to_bytes(32, "big")


def _padded(address: str) -> bytes:
    return bytes(12) + address_bytes(address)


def domain_separator(chain_id: int, settlement: Address) -> bytes:
    """As the settlement contract's domainSeparator()."""
    named = keccak(b"Gnosis Protocol") + keccak(b"v2")
    return keccak(_DOMAIN + named + _word(chain_id) + _padded(settlement))


def struct_hash(order: CowOrder) -> bytes:
    """Raises Usage COW_ORDER_INVALID for values out of range."""
    if order.kind not in KINDS:
        raise Usage("COW_ORDER_INVALID", f"kind: {order.kind!r} is neither 'sell' nor 'buy'")
    app_data = bytes.fromhex(order.app_data[2:])
    if len(app_data) != 32:
        raise Usage("COW_ORDER_INVALID", f"app_data has 32 bytes, not {len(app_data)}")
    tokens = _padded(order.sell_token) + _padded(order.buy_token) + _padded(order.receiver)
    amounts = _word(order.sell_raw) + _word(order.buy_raw) + _word(order.valid_to, 32)
    rest = _word(order.fee_raw) + KINDS[order.kind] + _word(int(order.partially_fillable)) + ERC20 + ERC20
    return keccak(ORDER_TYPEHASH + tokens + amounts + app_data + rest)


def digest(order: CowOrder) -> bytes:
    """The 32 bytes an order is known by: an account signs them, a Safe answers for them."""
    return keccak(b"\x19\x01" + domain_separator(order.chain_id, order.settlement) + struct_hash(order))


def uid(order: CowOrder) -> str:
    """56 bytes as 0x hex, known before anybody is asked: digest ‖ owner ‖ validTo."""
    return "0x" + (digest(order) + address_bytes(order.owner) + _word(order.valid_to, 32)[28:]).hex()


def typed(order: CowOrder) -> TypedHash:
    """What an ordinary account signs (scheme eip712)."""
    about = "CoW Protocol order"
    return TypedHash(domain_separator(order.chain_id, order.settlement), struct_hash(order), about)


def safe_typed(order: CowOrder) -> TypedHash:
    """What each owner of the Safe signs (scheme eip1271): SafeMessage(bytes message) over the digest, in the Safe's own domain."""
    message = digest(order)
    struct = keccak(safe_messages.SAFE_MSG_TYPEHASH + keccak(message))
    domain = (
        Field("uint256", "chainId", order.chain_id),
        Field("address", "verifyingContract", address_bytes(order.owner)),
    )
    structs = (
        Struct("EIP712Domain", domain),
        Struct("SafeMessage", (Field("bytes", "message", message),)),
    )
    return TypedHash(
        safe_domain(order.chain_id, order.owner), struct, "CoW Protocol order of a Safe", structs
    )


def safe_signature(
    order: CowOrder, signatures: Iterable[bytes], owners: Collection[str], threshold: int
) -> bytes:
    """The bytes that the Safe's isValidSignature takes. Raises Denied as `safe.pack_signatures`."""
    return safe_messages.signature(order.chain_id, order.owner, digest(order), signatures, owners, threshold)


def cancellation(chain_id: int, settlement: Address, uids: Sequence[str]) -> TypedHash:
    """What an ordinary account signs to take orders back from the order book; solvers at work may settle them all the same."""
    packed = b"".join(keccak(bytes.fromhex(name[2:])) for name in uids)
    struct = keccak(CANCELLATIONS_TYPEHASH + keccak(packed))
    return TypedHash(domain_separator(chain_id, settlement), struct, "CoW Protocol cancellation")


def to_json(order: CowOrder) -> dict[str, Any]:
    """The order as it travels between our processes; amounts as decimal strings."""
    found: dict[str, Any] = {name: getattr(order, name) for name in CowOrder.__slots__}
    return found | {name: str(found[name]) for name in _WIDE}


def from_json(data: Mapping[str, Any]) -> CowOrder:
    """Raises Usage COW_ORDER_INVALID naming the field that is missing, unknown or of another type."""
    strange = sorted(set(data) ^ set(CowOrder.__slots__))
    if strange:
        raise Usage("COW_ORDER_INVALID", f"{strange[0]}: a field that is missing, or not known")
    read: dict[str, Any] = {}
    for name in (*_WIDE, "chain_id", "valid_to"):
        value = data[name]
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
            value = int(value)
        if type(value) is not int or not 0 <= value < 1 << 256:
            raise Usage("COW_ORDER_INVALID", f"{name}: not a non-negative whole number")
        read[name] = value
    for name in ("settlement", "owner", "receiver", "sell_token", "buy_token"):
        try:
            read[name] = Address(to_checksum(str(data[name])))
        except ValueError as error:
            raise Usage("COW_ORDER_INVALID", f"{name}: {error}") from None
    if data["kind"] not in tuple(KINDS):
        raise Usage("COW_ORDER_INVALID", "kind: neither 'sell' nor 'buy'")
    app_data, partial = data["app_data"], data["partially_fillable"]
    if not isinstance(app_data, str) or len(app_data) != 66 or type(partial) is not bool:
        raise Usage("COW_ORDER_INVALID", "app_data or partially_fillable: of another type")
    try:
        bytes.fromhex(app_data[2:])
    except ValueError:
        raise Usage("COW_ORDER_INVALID", "app_data: not 0x hex") from None
    return CowOrder(**read, app_data=Hash32(app_data), partially_fillable=partial, kind=data["kind"])
