"""What stands at a wallet's address: an account, a Safe with its owners and extensions, or another contract. Reads only.

Slots are Safe's own: the guard at keccak("guard_manager.guard.address"), 1.5.0's module guard likewise, the fallback handler at
keccak("fallback_manager.handler.address"), the singleton at slot 0. A contract is called a Safe only where its singleton
is one of the official ones (`chains.safe_versions`) and tells that version; otherwise its answers are its own claims, and it is OTHER.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from chains.errors import Retry
from chains.evm import address_of, keccak
from chains.multicall import MULTICALL3
from chains.safe_versions import SINGLETONS, VERSIONS
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, ChainReader
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode

SENTINEL = Address("0x0000000000000000000000000000000000000001")
GUARD_SLOT = int.from_bytes(keccak(b"guard_manager.guard.address"), "big")
MODULE_GUARD_SLOT = int.from_bytes(keccak(b"module_manager.module_guard.address"), "big")
FALLBACK_SLOT = int.from_bytes(keccak(b"fallback_manager.handler.address"), "big")
MODULES_AT_ONCE = 50
# A delegation by EIP-7702: an account with a key that runs another's code.
DELEGATION_PREFIX = b"\xef\x01\x00"


class WalletKind(Enum):
    EOA = "EOA"
    DELEGATED_EOA = "DELEGATED_EOA"
    SAFE = "SAFE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class SafeState:
    """`modules` can spend without any owner; `guard` and `fallback_handler` are ZERO_ADDRESS where there is none."""

    version: str
    singleton: Address
    owners: tuple[Address, ...]
    threshold: int
    nonce: int
    modules: tuple[Address, ...]
    guard: Address
    fallback_handler: Address


@dataclass(frozen=True, slots=True)
class Holdings:
    """Base units. `allowances` by (token, spender); a token that does not answer is in `silent`, not counted as zero."""

    block: BlockRef
    native: int
    balances: Mapping[Address, int]
    allowances: Mapping[tuple[Address, Address], int]
    silent: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Wallet:
    """`delegate` is the code an EIP-7702 account runs; `claims` what an OTHER says its Safe version is, if anything."""

    address: Address
    kind: WalletKind
    block: BlockRef
    safe: SafeState | None = None
    delegate: Address | None = None
    claims: str = ""

    @property
    def what(self) -> str:
        """Of what is no Safe that is known here, what it is."""
        if self.claims:
            return (
                f"a Safe {self.claims} whose code is none of the official {', '.join(VERSIONS)}"
                if self.claims in VERSIONS
                else f"a contract that calls itself Safe {self.claims}; {', '.join(VERSIONS)} are known here"
            )
        return "nothing" if self.kind is WalletKind.EOA else self.kind.value


async def identify(chain: ChainReader, address: Address) -> Wallet:
    """What stands there at the head, all of it read at one block. Raises Retry where the chain does not answer."""
    ref = await chain.block()
    code = await chain.code(address, ref.number)
    if not code:
        return Wallet(address, WalletKind.EOA, ref)
    if code[:3] == DELEGATION_PREFIX and len(code) == 23:
        return Wallet(address, WalletKind.DELEGATED_EOA, ref, delegate=address_of(code[3:]))
    singleton = address_of(await chain.storage_at(address, 0, ref.number))
    told = await _version(chain, address, ref)
    if singleton not in SINGLETONS or SINGLETONS[singleton].partition("+")[0] != told:
        return Wallet(address, WalletKind.OTHER, ref, claims=told)
    return Wallet(address, WalletKind.SAFE, ref, await _safe(chain, address, singleton, ref))


async def _version(chain: ChainReader, address: Address, ref: BlockRef) -> str:
    """What VERSION() answers, where that is a word that could be shown; else empty."""
    _, (answer,) = await chain.multicall([Call(address, encode("safe", "VERSION"))], ref.number)
    try:
        told = str(decode_result("safe", "VERSION", answer.data)[0]) if answer.ok else ""
    except AbiError:
        return ""
    return told if re.fullmatch(r"[0-9A-Za-z.+-]{1,20}", told) else ""


async def _safe(chain: ChainReader, address: Address, singleton: Address, ref: BlockRef) -> SafeState:
    def ask(function: str, *args: Any) -> Call:
        return Call(address, encode("safe", function, args))

    asked = [
        ask("getOwners"),
        ask("getThreshold"),
        ask("nonce"),
        ask("getModulesPaginated", SENTINEL, MODULES_AT_ONCE),
    ]
    _, (owners, threshold, nonce, modules) = await chain.multicall(asked, ref.number)
    found, after = _decode("getModulesPaginated", modules)
    extensions = list(found)
    while after not in (SENTINEL, ZERO_ADDRESS):
        _, (more,) = await chain.multicall([ask("getModulesPaginated", after, MODULES_AT_ONCE)], ref.number)
        found, after = _decode("getModulesPaginated", more)
        extensions += found
    guard = address_of(await chain.storage_at(address, GUARD_SLOT, ref.number))
    handler = address_of(await chain.storage_at(address, FALLBACK_SLOT, ref.number))
    return SafeState(
        SINGLETONS[singleton], singleton, tuple(_decode("getOwners", owners)[0]), int(_decode("getThreshold", threshold)[0]),
        int(_decode("nonce", nonce)[0]), tuple(extensions), guard, handler,
    )  # fmt: skip


def _decode(function: str, result: CallResult) -> tuple[Any, ...]:
    try:
        if result.ok:
            return tuple(decode_result("safe", function, result.data))
    except AbiError:
        pass
    raise Retry(
        "MALFORMED_ANSWER", f"the Safe did not answer {function}()", "is the endpoint in step with the chain?"
    )


async def holdings(
    chain: ChainReader,
    owner: Address,
    tokens: Sequence[Address],
    spenders: Sequence[Address] = (),
    block: int | str = "latest",
) -> Holdings:
    """Native and ERC-20 balances, and what each spender may take, by one multicall at one block."""
    wanted = list(dict.fromkeys(tokens))
    pairs = [(t, s) for t in wanted for s in dict.fromkeys(spenders)]
    calls = [Call(MULTICALL3, encode("multicall3", "getEthBalance", (owner,)))]
    calls += [Call(t, encode("erc20", "balanceOf", (owner,))) for t in wanted]
    calls += [Call(t, encode("erc20", "allowance", (owner, s))) for t, s in pairs]
    ref, results = await chain.multicall(calls, block)
    values = [_uint(r) for r in results]
    # Where there is no Multicall3 its own view cannot answer either.
    native = values[0] if values[0] is not None else await chain.balance(owner, ref.number)
    balances = {t: v for t, v in zip(wanted, values[1:], strict=False) if v is not None}
    allowances = {p: v for p, v in zip(pairs, values[1 + len(wanted) :], strict=True) if v is not None}
    silent = tuple(t for t in wanted if t not in balances or any((t, s) not in allowances for s in spenders))
    return Holdings(ref, native, balances, allowances, silent)


def _uint(result: CallResult) -> int | None:
    return int.from_bytes(result.data[:32], "big") if result.ok and len(result.data) >= 32 else None
