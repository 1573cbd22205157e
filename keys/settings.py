"""The signer's settings: frozen dataclasses and the JSON file they are read from. Unknown keys are refused by name.

    {"environment": "devnet", "ledger": "…/ledger.jsonl", "keystore": "…/keystore",
     "senders": [{"key": "agent", "password": "file:…"}],
     "owners": [{"key": "owner-1", "password": "file:…"}, {"kind": "aws_kms", "environment": "devnet", "address": "0x…", "key_id": "…", …}],
     "relay_auth": {"key": "searcher", "password": "file:…"},
     "exchanges": {"paper": {"dialect": "binance", "api_key": "file:…", "secret": "file:…", "allow": ["GET /api/v3/…"], "symbols": ["ETHUSDC"],
       "limits": {"ETHUSDC": {"per_order": "…", "per_day": "…", "px_from": "…", "px_to": "…", "quote_usd": "1", "market": false}}, "sends_to": "https://…"}},
     "chains": [{"chain_id": 1, "safe": "0x…", "owners": ["0x…"], "threshold": 2, "weth": "0x…",
       "contracts": {"0x…": "universal_router"}, "spenders": ["0x…"],
       "tokens": {"0x…": {"per_tx_raw": "…", "per_day_raw": "…"}}, "native": {"per_tx_raw": "…", "per_day_raw": "…"},
       "transfer_to": [], "hooks": [], "delegates": [], "max_deadline_s": 900, "max_gas": 10000000, "max_fee_wei": "…",
       "gas_per_tx_wei": "…", "gas_per_day_wei": "…", "collateral_switch": false,
       "morpho_markets": ["0x…"], "agent": {"account": "0x…", "roles": "0x…", "gate": "0x…", "role": "0x…", "lends": ["supply", "repay"]}}]}

`maker` (optional) lists the adapters and vaults at Maker that may be paid into (keys/policy_maker.py).
`bridges` (optional) lists the ways to other chains, {"to": 8453, "give": "0x…", "receive": "0x…", "recipient": "0x…", "max_fee_bps": 30} (keys/policy_bridge.py).
`agent` (optional) names the road of the agent's own key, as `fairlead wallet scope` prints it: without it that key signs only what
a threshold of owners signed. `lends` is what it may do at the listed lending pool through the Gate; left out, supply and repay. With
`"offers": true` it may open orders for others to settle there (the settlement contract has to be listed); left out, none. `payments`
(`{"contract": "0x…", "roles": "0x…", "rules": [{"asset": "0x…", "most_raw": "…"}]}`) is what it may pay into loans besides; left out, nothing.
`key` (optional) says that the account is a Safe that takes user operations (ERC-4337, module 0.3.0, EntryPoint 0.7), and that this key of
`senders` is its one owner: then the road is taken by user operations alone (keys/policy_operations.py).

`clients` (optional) lists the OS user ids that may connect; without it only the signer's own user may.
A key is a keystore's (`key`, `password`) or any kind of signer's (`kind` and the options of `keys/<kind>.py`, see `keys.signers`).
An order at an exchange is signed only in an instrument with `limits` (keys/signer/exchange_orders.py says how it is counted); `repeats`
is the most orders the exchange takes of one account in the six seconds a signature lives: 200 where it takes 100 in ten seconds. With
`sends_to` (the exchange's address, or a reference to it) the signer sends orders itself: no signature of one leaves it, and each is carried out once. With
dialect "hyperliquid" `secret` is an agent wallet's key in hex, `api_key` the account's address, instruments are named by asset number,
and `repeats` is 1: its nonces are taken once (keys/signer/hyperliquid.py). With dialect "dydx" `secret` is a key in hex that may sign for the
account, `api_key` the account ("dydx1…/SUBACCOUNT/AUTHENTICATOR"), and a market is its number and the exponent of its quantums, "1@-9"
(keys/signer/dydx.py). With dialect "binance-fix" `secret` is an Ed25519 key in PEM and only log-ons of `senders` are signed by it
(keys/signer/fix_logon.py says what one of them opens). With dialect "deribit" `combos` lists what may be traded of several legs at one price,
{"BTC-FS-27DEC30_PERP": {"legs": {"BTC-27DEC30": 1, "BTC-PERPETUAL": -1}, "per_order": "…", "per_day": "…", "px_from": "-500", "px_to": "3000",
"fees": "0.001", "leg_from": "30000", "leg_to": "150000"}} (keys/signer/deribit_combos.py says how it is counted). With "kraken" `secret` is base64, with "coinbase" the private
key as Coinbase gives it and `api_key` its name.
A password left out or null is asked for by the signer itself when `unlock` is called. Amounts are base units as decimal strings.
Errors: Usage SIGNER_CONFIG_INVALID with the path of the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.bounded_json import loads
from chains.errors import Usage
from chains.types import Address, Environment
from contracts import abi, flash_repay, route_executor
from keys import policy_bridge, policy_flash
from keys.policy_settings import (
    LENDS,
    NATIVE,
    OFFICIAL_MULTISEND_CALL_ONLY,
    SAFER,
    AgentPolicy,
    BridgeWay,
    Cap,
    ChainPolicy,
    MakerPolicy,
    PaymentsPolicy,
    PolicySettings,
)
from keys.settings_exchange import ExchangeReference, exchange_of
from keys.settings_reading import (
    Reader,
    address_of,
    bad,
    bool_of,
    int_of,
    list_of,
    map_of,
    path_of,
    reference_of,
    text_of,
)
from keys.signers import SignerSpec, read_spec, references

__all__ = [
    "NATIVE",
    "OFFICIAL_MULTISEND_CALL_ONLY",
    "AgentPolicy",
    "Cap",
    "ChainPolicy",
    "ExchangeReference",
    "Held",
    "KeyReference",
    "PolicySettings",
    "SignerSettings",
    "chain_policy",
    "environment_names",
    "load",
    "signer_settings",
]


@dataclass(frozen=True, slots=True)
class KeyReference:
    key: str
    password: str | None


Held = KeyReference | SignerSpec
"""A key of the signer's: in its own folder of keystores, or wherever its kind keeps it."""


@dataclass(frozen=True, slots=True)
class SignerSettings:
    environment: Environment
    ledger: Path
    keystore: Path
    chains: Mapping[int, ChainPolicy]
    senders: tuple[Held, ...] = ()
    owners: tuple[Held, ...] = ()
    relay_auth: KeyReference | None = None
    exchanges: Mapping[str, ExchangeReference] = field(default_factory=dict)
    clients: tuple[int, ...] = ()


def _cap(value: Any, path: str) -> Cap:
    r = Reader(value, path, "per_tx_raw per_day_raw")
    return Cap(r.get("per_tx_raw", int_of), r.get("per_day_raw", int_of))


def _kind(value: Any, path: str) -> str:
    if value not in abi.names():
        raise bad(path, f"{value!r} is no interface known here; there are {', '.join(abi.names())}")
    return str(value)


def _key(value: Any, path: str) -> KeyReference:
    r = Reader(value, path, "key password")
    password = r.get("password", lambda v, p: None if v is None else reference_of(v, p), None)
    return KeyReference(r.get("key", text_of), password)


def _held(value: Any, path: str) -> Held:
    if isinstance(value, dict) and "kind" in value:
        return read_spec(value, path)
    return _key(value, path)


def _role(value: Any, path: str) -> bytes:
    text = text_of(value, path)
    try:
        role = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        role = b""
    if len(role) != 32:
        raise bad(path, "must be 32 bytes of hex")
    return role


def _agent(value: Any, path: str) -> AgentPolicy:
    r = Reader(value, path, "account key roles gate role lends offers payments further_payments")
    lends = frozenset(r.get("lends", list_of(text_of), tuple(SAFER)))
    if strange := sorted(lends - LENDS):
        raise bad(f"{path}.lends", f"{strange[0]!r} is none of {', '.join(sorted(LENDS))}")
    return AgentPolicy(
        r.get("account", address_of),
        r.get("roles", address_of),
        r.get("gate", address_of),
        r.get("role", _role),
        lends,
        r.get("key", address_of, None),
        r.get("offers", bool_of, False),
        r.get("payments", _payments, None),
        r.get("further_payments", _payments, None),
    )


def _payments(value: Any, path: str) -> PaymentsPolicy:
    r = Reader(value, path, "contract roles rules")
    rules = r.get("rules", list_of(_payment))
    return PaymentsPolicy(r.get("contract", address_of), r.get("roles", address_of), tuple(rules))


def _payment(value: Any, path: str) -> tuple[Address, int]:
    r = Reader(value, path, "asset most_raw")
    return r.get("asset", address_of), r.get("most_raw", int_of)


def _way(value: Any, path: str) -> tuple[tuple[int, str], BridgeWay]:
    r = Reader(value, path, "to give receive recipient max_fee_bps max_fill_s")
    numbers = {"max_fill_s": r.get("max_fill_s", int_of)} if "max_fill_s" in r.data else {}
    way = BridgeWay(r.get("recipient", address_of), r.get("receive", address_of), r.get("max_fee_bps", int_of), **numbers)  # fmt: skip
    return (r.get("to", int_of), r.get("give", address_of)), way


_CHAIN_KEYS = (
    "chain_id safe owners threshold weth contracts spenders tokens native transfer_to hooks delegates max_deadline_s max_gas "
    "max_fee_wei gas_per_tx_wei gas_per_day_wei collateral_switch agent bridges morpho_markets maker"
)


def _chain(value: Any, path: str) -> ChainPolicy:
    r = Reader(value, path, _CHAIN_KEYS)
    safe: Address = r.get("safe", address_of)
    contracts: dict[str, str] = r.get("contracts", map_of(address_of, _kind))
    for address, kind in contracts.items():
        if kind == "multi_send" and address not in OFFICIAL_MULTISEND_CALL_ONLY:
            raise bad(f"{path}.contracts.{address}", "is not an official MultiSendCallOnly")
        if kind == "route_executor" and address != route_executor.ADDRESS:
            raise bad(
                f"{path}.contracts.{address}", f"is not the RouteExecutor, which is {route_executor.ADDRESS}"
            )
        if kind == policy_flash.KIND and address != flash_repay.ADDRESS:
            raise bad(f"{path}.contracts.{address}", f"is not FlashRepay, which is {flash_repay.ADDRESS}")
        if kind == "safe" and address != safe:
            raise bad(f"{path}.contracts.{address}", "is a Safe other than the configured one")
    tokens: dict[str, Cap] = r.get("tokens", map_of(address_of, _cap))
    weth: Address = r.get("weth", address_of)
    known = {**{token: "erc20" for token in tokens}, weth: "weth9", **contracts, safe: "safe"}
    if "native" in r.data:
        tokens = {**tokens, NATIVE: r.get("native", _cap)}
    owners = frozenset(r.get("owners", list_of(address_of)))
    threshold: int = r.get("threshold", int_of)
    if not 1 <= threshold <= len(owners):
        raise bad(f"{path}.threshold", f"of {threshold} does not fit {len(owners)} owners")
    spenders = frozenset(r.get("spenders", list_of(address_of)))
    for spender in spenders:
        if spender not in contracts:
            raise bad(f"{path}.spenders", f"names {spender}, which is not among the contracts")
    agent: AgentPolicy | None = r.get("agent", _agent, None)
    if agent is not None:
        parts = [("roles", agent.roles), ("gate", agent.gate)]
        for name, payer in agent.payers.items():
            parts += [(f"{name}.roles", payer.roles), (f"{name}.contract", payer.contract)]
        for number, (name, address) in enumerate(parts):
            before = {a for _, a in parts[:number]}
            if address in known or address in before or address in (agent.account, agent.key):
                raise bad(f"{path}.agent.{name}", "has another part here already")
        if agent.key == agent.account:
            raise bad(f"{path}.agent.key", "is the account itself: leave it out where a key sends for itself")
    numbers = "max_deadline_s max_gas max_fee_wei gas_per_tx_wei gas_per_day_wei".split()
    given: dict[str, Any] = {n: r.get(n, int_of) for n in numbers if n in r.data}
    return ChainPolicy(
        chain_id=r.get("chain_id", int_of),
        safe=safe,
        owners=owners,
        threshold=threshold,
        contracts=known,
        spenders=spenders,
        tokens=tokens,
        weth=weth,
        transfer_to=frozenset(r.get("transfer_to", list_of(address_of), ())),
        hooks=frozenset(r.get("hooks", list_of(address_of), ())),
        delegates=frozenset(r.get("delegates", list_of(address_of), ())),
        collateral_switch=r.get("collateral_switch", bool_of, False),
        agent=agent,
        bridges=dict(r.get("bridges", list_of(_way), ())),
        morpho_markets=frozenset("0x" + m.hex() for m in r.get("morpho_markets", list_of(_role), ())),
        maker=r.get("maker", _maker, MakerPolicy()),
        **given,
    )


def _maker(value: Any, path: str) -> MakerPolicy:
    r = Reader(value, path, "joins vaults")
    return MakerPolicy(
        r.get("joins", map_of(address_of, address_of)), frozenset(r.get("vaults", list_of(_vault)))
    )


def _vault(value: Any, path: str) -> tuple[bytes, str]:
    r = Reader(value, path, "ilk urn")
    return r.get("ilk", _role), r.get("urn", address_of)


def chain_policy(data: Mapping[str, Any]) -> ChainPolicy:
    """One entry of `chains`. Raises Usage SIGNER_CONFIG_INVALID."""
    return _chain(data, "$")


def signer_settings(data: Any) -> SignerSettings:
    """The whole file's object. Raises Usage SIGNER_CONFIG_INVALID."""
    r = Reader(data, "$", "environment ledger keystore senders owners relay_auth exchanges chains clients")
    name = r.get("environment", text_of)
    if name not in {e.value for e in Environment}:
        raise bad("$.environment", "must be devnet, fork or live")
    chains: tuple[ChainPolicy, ...] = r.get("chains", list_of(_chain))
    if len({c.chain_id for c in chains}) != len(chains):
        raise bad("$.chains", "names a chain id twice")
    for number, chain in enumerate(chains):
        if why := policy_bridge.flaw(chain, {c.chain_id: c.safe for c in chains}):
            raise bad(f"$.chains[{number}].bridges", f"cannot be: {why}")
    return SignerSettings(
        Environment(name),
        r.get("ledger", path_of),
        r.get("keystore", path_of),
        {c.chain_id: c for c in chains},
        r.get("senders", list_of(_held), ()),
        r.get("owners", list_of(_held), ()),
        r.get("relay_auth", _key, None),
        r.get("exchanges", map_of(text_of, exchange_of), {}),
        r.get("clients", list_of(int_of), ()),
    )


def load(path: Path) -> SignerSettings:
    """Raises Usage SIGNER_CONFIG_INVALID or SIGNER_CONFIG_UNREADABLE."""
    try:
        data = loads(read_at_most(path, SETTINGS_BYTES))
    except OSError as error:
        raise Usage("SIGNER_CONFIG_UNREADABLE", f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Usage("SIGNER_CONFIG_INVALID", f"{path} is not JSON: {error}") from None
    return signer_settings(data)


def environment_names(settings: SignerSettings) -> tuple[str, ...]:
    """The variables that env: references need: the only ones a signer's process gets besides the plain ones."""
    held = [*settings.senders, *settings.owners, *([settings.relay_auth] if settings.relay_auth else [])]
    named = [text for key in held for text in _references(key)]
    named += [
        text
        for e in settings.exchanges.values()
        for text in (e.api_key, e.secret, e.sends_to, e.password or "")
    ]
    return tuple(sorted({r[4:] for r in named if r.startswith("env:")}))


def _references(key: Held) -> tuple[str, ...]:
    if isinstance(key, SignerSpec):
        return references(key)
    return (key.password,) if key.password else ()
