"""Money and accounts for demonstrations and tests on a devnet or fork: ETH, WETH, USDC, mock tokens, Safes, feed prices.

`cheat_url` is `Status.cheat_urls[chain]`: it answers Anvil's cheat methods and mines what is sent to it. Nothing here works
against anything else: every function first asks whether our marker is there, and raises Denied where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains import safe_versions
from chains.devnet.addresses import CHAINS, Chain
from chains.devnet.artifacts import artifact
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import OPERATOR, environment_at, send_as_operator
from chains.errors import Denied, Halt, Usage
from chains.safe_versions import SafeRelease
from chains.types import Address

# Storage slots of the balance mappings: WETH9, Circle's FiatToken (the top bit is the blacklist), the mock ERC-20.
BALANCE_SLOT = {"WETH": 3, "USDC": 9}
_MOCK_SLOT, _MOCK_SUPPLY_SLOT = 3, 2
_ZERO = "0x" + "0" * 40


def give_eth(cheat_url: str, to: str, amount_wei: int) -> None:
    """Add `amount_wei` to the balance of `to`."""
    with _devnet(cheat_url) as rpc:
        balance = int(rpc("eth_getBalance", to, "latest"), 16)
        rpc("anvil_setBalance", to, hex(balance + amount_wei))


_TRIES = 3


def give_token(cheat_url: str, token: str, to: str, amount_raw: int) -> None:
    """Add `amount_raw` of WETH (backed by ETH), USDC or a mock token to the balance of `to`, by storage."""
    with _devnet(cheat_url) as rpc:
        chain = _chain(rpc)
        token = to_checksum_address(token)
        slot = {chain.weth: BALANCE_SLOT["WETH"], chain.usdc: BALANCE_SLOT["USDC"]}.get(token, _MOCK_SLOT)
        for _ in range(_TRIES):  # what is written while a block is being built may be lost with it
            before = token_balance(rpc, token, to)
            rpc("anvil_setStorageAt", token, mapping_slot(to, slot), word(before + amount_raw))
            if amount_raw == 0 or token_balance(rpc, token, to) != before:
                break
        else:
            raise Usage(
                "TOKEN_UNKNOWN",
                f"{token} keeps its balances elsewhere",
                "WETH, USDC and mock tokens can be given",
            )
        if token == chain.weth:
            backing = int(rpc("eth_getBalance", token, "latest"), 16)
            rpc("anvil_setBalance", token, hex(backing + amount_raw))
        elif token != chain.usdc:
            supply = int(rpc("eth_getStorageAt", token, hex(_MOCK_SUPPLY_SLOT), "latest"), 16)
            rpc("anvil_setStorageAt", token, word(_MOCK_SUPPLY_SLOT), word(supply + amount_raw))


def token_balance(rpc: Rpc, token: str, of: str) -> int:
    """ERC-20 balance in base units."""
    erc20 = artifact("MockERC20")
    data = rpc("eth_call", {"to": token, "data": "0x" + erc20.call("balanceOf", of).hex()}, "latest")
    return int(data, 16)


def create_safe(
    cheat_url: str,
    owners: Sequence[str],
    threshold: int,
    salt_nonce: int = 0,
    *,
    layer2: bool = False,
    version: str = "1.4.1",
) -> Address:
    """A Safe by its version's genuine proxy factory, at the address `safe_address` foretells; an existing one is left as it is."""
    release = safe_versions.release(version)
    with _devnet(cheat_url) as rpc:
        address = safe_address(owners, threshold, salt_nonce, layer2=layer2, version=version)
        if rpc("eth_getCode", address, "latest") != "0x":
            return address
        create = artifact("SafeProxyFactory").call(
            "createProxyWithNonce",
            release.safe_l2 if layer2 else release.safe,
            _setup(owners, threshold, release),
            salt_nonce,
        )
        _transact(rpc, release.proxy_factory, create)
        if rpc("eth_getCode", address, "latest") == "0x":
            raise Halt("SAFE_CREATION", f"no Safe came to stand at {address}")
        return address


def safe_address(
    owners: Sequence[str],
    threshold: int,
    salt_nonce: int = 0,
    *,
    layer2: bool = False,
    version: str = "1.4.1",
) -> Address:
    """Where the proxy factory puts that Safe, on every chain: keccak(0xff ‖ factory ‖ salt ‖ keccak(init code))."""
    release = safe_versions.release(version)
    singleton = release.safe_l2 if layer2 else release.safe
    salt = keccak(keccak(_setup(owners, threshold, release)) + salt_nonce.to_bytes(32, "big"))
    proxy = artifact("SafeProxy" if version == "1.4.1" else f"SafeProxy-{version}")
    code = bytes.fromhex(proxy.bytecode) + bytes(12) + bytes.fromhex(singleton[2:])
    digest = keccak(b"\xff" + bytes.fromhex(release.proxy_factory[2:]) + salt + keccak(code))
    return Address(to_checksum_address(digest[12:]))


def remember_prices(cheat_url: str, pool: str, slots: int = 64) -> None:
    """Let a Uniswap V3 pool keep that many observations: a fresh one keeps one, and forgets its mean price at its first trade."""
    grow = keccak(b"increaseObservationCardinalityNext(uint16)")[:4] + slots.to_bytes(32, "big")
    with _devnet(cheat_url) as rpc:
        send_as_operator(rpc, pool, grow)


def set_feed_price(cheat_url: str, symbol: str, usd_1e8: int) -> None:
    """Post a new answer, in 1e-8 USD, on the chain's `symbol`/USD feed. Raises Usage for a symbol without feed."""
    with _devnet(cheat_url) as rpc:
        chain = _chain(rpc)
        if symbol not in chain.feeds:
            raise Usage(
                "FEED_UNKNOWN",
                f"chain {chain.id} has no {symbol}/USD feed",
                f"there is {', '.join(chain.feeds)}",
            )
        feed, update = chain.feeds[symbol], artifact("MockV3Aggregator").call("updateAnswer", usd_1e8)
        try:
            rpc("eth_call", {"from": OPERATOR, "to": feed, "data": "0x" + update.hex()}, "latest")
        except RpcError as why:
            raise Usage(
                "FEED_GENUINE", f"the {symbol}/USD feed here takes no answers from us: it is not the mock"
            ) from why
        _transact(rpc, feed, update)


def mapping_slot(key: str, slot: int) -> str:
    """Where Solidity keeps mapping[address key] of the mapping at `slot`."""
    return "0x" + keccak(bytes(12) + bytes.fromhex(key[2:]) + slot.to_bytes(32, "big")).hex()


def word(value: int) -> str:
    """A 32-byte word in hex."""
    return "0x" + value.to_bytes(32, "big").hex()


def _setup(owners: Sequence[str], threshold: int, release: SafeRelease) -> bytes:
    """The same call in every version known here."""
    handler = release.fallback_handler
    return artifact("Safe").call("setup", list(owners), threshold, _ZERO, b"", handler, _ZERO, 0, _ZERO)


def _devnet(cheat_url: str) -> Rpc:
    if environment_at(cheat_url) is None:
        raise Denied("NOT_A_DEVNET", "this works on the devnet and on forks only", "the url given is neither")
    return Rpc(cheat_url)


def _chain(rpc: Rpc) -> Chain:
    chain_id = int(rpc("eth_chainId"), 16)
    if chain_id not in CHAINS:
        raise Usage("CHAIN_UNKNOWN", f"tokens and feeds of chain {chain_id} are not known here")
    return CHAINS[chain_id]


def _transact(rpc: Rpc, to: str, data: bytes) -> dict[str, Any]:
    """Send from the devnet's own account and see it mined, whatever the node's way of mining."""
    import time

    tx_hash = send_as_operator(rpc, to, data)
    for attempt in range(200):
        receipt: dict[str, Any] | None = rpc("eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            if receipt["status"] != "0x1":
                raise Halt("DEVNET_TX", f"a devnet transaction to {to} reverted")
            return receipt
        if attempt == 2:
            rpc("evm_mine")
        time.sleep(0.01)
    raise Halt("DEVNET_TX", f"a devnet transaction to {to} was not mined")
