"""What others may take out of a wallet: ERC-20 allowances of known spenders, and Permit2's own second level. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.app.watching.aave import label
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.types import Address, Call
from chains.wallets import Holdings, holdings
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


@dataclass(frozen=True, slots=True)
class Approval:
    """`via` is "" for the token's own allowance, "permit2" for the second level, which ends at `expires_s`."""

    token: Address
    spender: Address
    spender_name: str
    amount_raw: int
    via: str = ""
    expires_s: int | None = None

    @property
    def unlimited(self) -> bool:
        return self.amount_raw >= UNLIMITED


@dataclass(frozen=True, slots=True)
class Held:
    """Everything a wallet holds and has granted on one chain, among tokens and spenders known here."""

    holdings: Holdings
    tokens: Mapping[Address, Token]
    approvals: tuple[Approval, ...]


def known_spenders(profile: ChainProfile) -> dict[Address, str]:
    found = {profile.contracts[name]: name for name in SPENDERS if name in profile.contracts}
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
        Approval(token, spender, spenders[spender], amount)
        for (token, spender), amount in found.allowances.items()
        if amount
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
        amount, expires, _ = (int.from_bytes(granted.data[i : i + 32], "big") for i in (0, 32, 64))
        if amount and expires >= found.block.timestamp:
            approvals.append(Approval(token, spender, spenders[spender], amount, "permit2", expires))
    return Held(found, infos, tuple(approvals))
