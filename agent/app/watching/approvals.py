"""What others may take out of a wallet: ERC-20 allowances of known spenders, and Permit2's own second level. Reads only.

Asked by name, without a search: what else was ever granted is in the chain's logs (`approval_search`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from agent.app.watching.aave import label
from agent.app.watching.words import amount
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.types import Address, Call
from chains.wallets import Holdings, holdings
from contracts import flash_repay, route_executor
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode

SPENDERS = (
    "permit2", "universal_router", "uniswap_v2_router", "uniswap_v3_router_02", "uniswap_v4_position_manager", "balancer_vault",
    "cow_vault_relayer",
)  # fmt: skip
UNLIMITED = 2**159
"""From here on an allowance is called unlimited: half of what Permit2 can hold, far above any supply."""


@dataclass(frozen=True, slots=True)
class Token:
    """`decimals` None where the contract does not say."""

    address: Address
    symbol: str
    decimals: int | None


class Kind(Enum):
    """How it was allowed: by the token itself, through Permit2, for a whole collection, for one collectible, as credit at Aave."""

    TOKEN = ""
    PERMIT2 = "permit2"
    OPERATOR = "operator"
    ONE = "collectible"
    DELEGATION = "credit"


@dataclass(frozen=True, slots=True)
class Approval:
    """`token` is the collection of an OPERATOR and of ONE (whose id is `number`), Aave's debt token of a DELEGATION. Only PERMIT2 ends,
    at `expires_s`. `intended`: the settings grant it, to the agent's Gate."""

    token: Address
    spender: Address
    spender_name: str
    amount_raw: int
    expires_s: int | None = None
    kind: Kind = Kind.TOKEN
    number: int = 0
    intended: bool = False

    @property
    def unlimited(self) -> bool:
        return self.kind is Kind.OPERATOR or self.amount_raw >= UNLIMITED

    @property
    def via(self) -> str:
        return self.kind.value

    def may(self, token: Token) -> str:
        """What the spender may do, without its name."""
        how_much = (
            f"ALL {token.symbol}"
            if self.unlimited
            else f"{self.amount_raw} raw {token.symbol}"
            if token.decimals is None
            else f"{amount(self.amount_raw, token.decimals)} {token.symbol}"
        )
        return {
            Kind.TOKEN: f"take {how_much}",
            Kind.PERMIT2: f"take {how_much} through Permit2",
            Kind.OPERATOR: f"take EVERYTHING held of {token.symbol}",
            Kind.ONE: f"take number {self.number} of {token.symbol}",
            Kind.DELEGATION: f"borrow {how_much} on the wallet's credit",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Held:
    """Everything a wallet holds and has granted on one chain, among tokens and spenders known here. `unsearched`: why its logs were
    not looked through, empty where they were; None where nobody asked."""

    holdings: Holdings
    tokens: Mapping[Address, Token]
    approvals: tuple[Approval, ...]
    spenders: Mapping[Address, str] = field(default_factory=dict)
    unsearched: str | None = None
    strange: int = 0

    @property
    def left(self) -> tuple[Approval, ...]:
        """What nobody meant to leave."""
        return tuple(a for a in self.approvals if not a.intended)


def known_spenders(profile: ChainProfile) -> dict[Address, str]:
    found = {profile.contracts[name]: name for name in SPENDERS if name in profile.contracts}
    found |= {Address(route_executor.ADDRESS): "route_executor", Address(flash_repay.ADDRESS): "flash_repay"}
    if profile.aave is not None:
        found[profile.aave.pool] = "aave_v3_pool"
    return found


async def known_tokens(
    profile: ChainProfile, gateway: Gateway, more: Sequence[Address] = ()
) -> list[Address]:
    """The profile's tokens, those the chain's Aave market lists, and `more`."""
    found = [profile.wrapped_native, profile.usdc, *more]
    if profile.aave is not None:
        answer = await gateway.call(Call(profile.aave.pool, encode("aave_v3_pool", "getReservesList")))
        try:
            if answer.ok and answer.data:
                found += [
                    Address(str(a)) for a in decode_result("aave_v3_pool", "getReservesList", answer.data)[0]
                ]
        except AbiError:
            pass
    return list(dict.fromkeys(found))


async def held_by(
    profile: ChainProfile, gateway: Gateway, owner: Address, more: Sequence[Address] = ()
) -> Held:
    """Balances, allowances, Permit2 grants still valid, labels and decimals: all of one block."""
    tokens, spenders = await known_tokens(profile, gateway, more), known_spenders(profile)
    found = await holdings(gateway, owner, tokens, list(spenders))
    approvals = [
        Approval(token, spender, spenders[spender], allowed)
        for (token, spender), allowed in found.allowances.items()
        if allowed
    ]
    permit2 = profile.contracts["permit2"]
    pairs = [(t, s) for t in tokens for s in spenders if s != permit2]
    calls = [Call(t, encode("erc20", name)) for t in tokens for name in ("symbol", "decimals")]
    calls += [Call(permit2, encode("permit2", "allowance", (owner, t, s))) for t, s in pairs]
    _, answers = await gateway.multicall(calls, found.block.number)
    infos = {}
    for i, token in enumerate(tokens):
        symbol, digits = answers[2 * i : 2 * i + 2]
        decimals = int.from_bytes(digits.data[:32], "big") if digits.ok and len(digits.data) >= 32 else None
        name = label(symbol.data if symbol.ok else b"", token)
        infos[token] = Token(token, name, decimals if decimals is not None and decimals <= 36 else None)
    for (token, spender), granted in zip(pairs, answers[2 * len(tokens) :], strict=True):
        if not granted.ok or len(granted.data) < 96:
            continue
        taken, expires, _ = (int.from_bytes(granted.data[i : i + 32], "big") for i in (0, 32, 64))
        if taken and expires >= found.block.timestamp:
            approvals.append(Approval(token, spender, spenders[spender], taken, expires, Kind.PERMIT2))
    return Held(found, infos, tuple(approvals), spenders)
