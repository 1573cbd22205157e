"""What the policy is told: plain frozen data. `keys.settings` reads it from the signer's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.types import ZERO_ADDRESS, Address, Environment

NATIVE = ZERO_ADDRESS
OFFICIAL_MULTISEND_CALL_ONLY: frozenset[str] = frozenset(
    {
        "0x9641d764fc13c8B624c04430C7356C1C7C8102e2",  # 1.4.1
        "0x40A2aCCbd92BCA938b02010E17A5b8929b49130D",  # 1.3.0, canonical
        "0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B",  # 1.3.0, EIP-155
    }
)


@dataclass(frozen=True, slots=True)
class Cap:
    """Base units that may leave the wallet in one transaction, and in any 24 hours."""

    per_tx_raw: int
    per_day_raw: int


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """The agent's own road: its `account` calls `gate` through the Roles modifier `roles` under `role` (32 bytes), and nothing else."""

    account: Address
    roles: Address
    gate: Address
    role: bytes


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """What may be signed for one Safe on one chain. `tokens` holds NATIVE too where ether may be spent.

    `agent`: where the owners granted its account a scope; None where everything takes their signatures.
    """

    chain_id: int
    safe: Address
    owners: frozenset[str]
    threshold: int
    contracts: Mapping[str, str]
    spenders: frozenset[str]
    tokens: Mapping[str, Cap]
    weth: Address
    transfer_to: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()
    max_deadline_s: int = 900
    max_gas: int = 10_000_000
    max_fee_wei: int = 500 * 10**9
    gas_per_tx_wei: int = 10**18
    gas_per_day_wei: int = 5 * 10**18
    collateral_switch: bool = False
    agent: AgentPolicy | None = None


@dataclass(frozen=True, slots=True)
class PolicySettings:
    environment: Environment
    chains: Mapping[int, ChainPolicy]
    senders: frozenset[str] = frozenset()
