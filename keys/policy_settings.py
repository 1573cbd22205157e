"""What the policy is told: plain frozen data. `keys.settings` reads it from the signer's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chains.safe_versions import RELEASES
from chains.types import ZERO_ADDRESS, Address, Environment

NATIVE = ZERO_ADDRESS
SAFER = frozenset({"supply", "repay"})
LENDS = SAFER | {"withdraw", "borrow"}
OFFICIAL_MULTISEND_CALL_ONLY: frozenset[str] = frozenset(r.multi_send_call_only for r in RELEASES)


@dataclass(frozen=True, slots=True)
class Cap:
    """Base units that may leave the wallet in one transaction, and in any 24 hours."""

    per_tx_raw: int
    per_day_raw: int


@dataclass(frozen=True, slots=True)
class PaymentsPolicy:
    """Where the agent's key may pay into the Safe's own loans: `contract` (Payments or FurtherPayments) through the Roles modifier `roles`. `rules`
    are those it was created with, in their order: the asset, and the most base units of it that one payment may be."""

    contract: Address
    roles: Address
    rules: tuple[tuple[Address, int], ...]


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """The agent's own road: its `account` calls `gate` through the Roles modifier `roles` under `role` (32 bytes), and nothing else.

    `lends`: what it may do on the Safe's lending account; without more, only what lowers its risk. `key`: where the account is an ERC-4337
    one (a Safe with the 4337 module), the key that is its one owner; None where the account is a key's own.
    `offers`: whether it may offer what it trades to others to settle. `payments`, `further_payments`: what it may pay into loans beside
    the Gate, by the two contracts for that; None: nothing.
    """

    account: Address
    roles: Address
    gate: Address
    role: bytes
    lends: frozenset[str] = SAFER
    key: Address | None = None
    offers: bool = False
    payments: PaymentsPolicy | None = None
    further_payments: PaymentsPolicy | None = None

    @property
    def payers(self) -> dict[str, PaymentsPolicy]:
        """By their names in the settings."""
        both = {"payments": self.payments, "further_payments": self.further_payments}
        return {name: one for name, one in both.items() if one is not None}


@dataclass(frozen=True, slots=True)
class BridgeWay:
    """Where one token may be sent to from one chain: only to `recipient`, as `receive` of as many decimals, for at most `max_fee_bps` of it.

    What no relayer takes comes back only after the deposit's deadline, which may be no more than `max_fill_s` away.
    """

    recipient: Address
    receive: Address
    max_fee_bps: int
    max_fill_s: int = 3_600


@dataclass(frozen=True, slots=True)
class MakerPolicy:
    """Adapters at Maker to the token that each takes, and the vaults that may be made safer: (ilk, 32 bytes, and urn)."""

    joins: Mapping[str, str] = field(default_factory=dict)
    vaults: frozenset[tuple[bytes, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """What may be signed for one Safe on one chain. `tokens` holds NATIVE too where ether may be spent; `delegates` is the code a key
    may be told to run (EIP-7702).

    `agent`: where the owners granted its account a scope; None where everything takes their signatures. `bridges`: the ways to other
    chains, by (chain id there, token here); none, and nothing leaves for another chain.
    `morpho_markets` are the ids (lower case) of those that may be paid into: who names a market names its price source.
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
    delegates: frozenset[str] = frozenset()
    agent: AgentPolicy | None = None
    bridges: Mapping[tuple[int, str], BridgeWay] = field(default_factory=dict)
    morpho_markets: frozenset[str] = frozenset()
    maker: MakerPolicy = field(default_factory=MakerPolicy)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    environment: Environment
    chains: Mapping[int, ChainPolicy]
    senders: frozenset[str] = frozenset()
