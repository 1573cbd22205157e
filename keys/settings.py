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

`bridges` (optional) lists the ways to other chains, {"to": 8453, "give": "0x…", "receive": "0x…", "recipient": "0x…", "max_fee_bps": 30} (keys/policy_bridge.py).
`agent` (optional) names the road of the agent's own key, as `fairlead wallet scope` prints it: without it that key signs only what
a threshold of owners signed. `lends` is what it may do at the listed lending pool through the Gate; left out, supply and repay. With
`"offers": true` it may open orders for others to settle there (the settlement contract has to be listed); left out, none.
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
(keys/signer/fix_logon.py says what one of them opens). With "kraken" `secret` is base64, with "coinbase" the private
key as Coinbase gives it and `api_key` its name.
A password left out or null is asked for by the signer itself when `unlock` is called. Amounts are base units as decimal strings.
Errors: Usage SIGNER_CONFIG_INVALID with the path of the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chains.bounded_json import loads
from chains.errors import Usage
from chains.types import Address, Environment
from contracts import abi, route_executor
from contracts.hashing import to_checksum
from keys import policy_bridge
from keys.policy_settings import (
    LENDS,
    NATIVE,
    OFFICIAL_MULTISEND_CALL_ONLY,
    SAFER,
    AgentPolicy,
    BridgeWay,
    Cap,
    ChainPolicy,
    PolicySettings,
)
from keys.secrets import is_reference
from keys.signer import binance_usdm, ccxt_words, coinbase, deribit, dydx, fix_logon, kraken
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.exchange_wire import checked
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


REPEATS = 200
"""100 orders in ten seconds, as Binance Spot publishes its limit, and a signature's life that touches two such windows."""
_REPEATS = {one.DIALECT: one.REPEATS for one in (binance_usdm, coinbase, deribit, kraken)} | {dydx.DIALECT: 1}


@dataclass(frozen=True, slots=True)
class ExchangeReference:
    """`api_key` and `secret` are secret references; `allow` adds "METHOD path" pairs to the dialect's own; `symbols` that may be
    named, none meaning any; `limits` by symbol, without which no order is signed; `repeats`: how often one signature may be used;
    `sends_to`: where the signer sends orders itself, so that no signature of them leaves it; empty where it does not; `password`: the
    key's passphrase, where the exchange has one; `senders`: the names that sessions may log on with, with dialect "binance-fix" alone."""

    dialect: str
    api_key: str
    secret: str
    allow: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    limits: Mapping[str, SymbolLimit] = field(default_factory=dict)
    repeats: int = REPEATS
    sends_to: str = ""
    password: str | None = None
    senders: tuple[str, ...] = ()


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


_PLAIN = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")


class _Reader:
    """Reads one JSON object key by key; what is left over at the end is refused."""

    def __init__(self, data: Any, path: str, known: str) -> None:
        if not isinstance(data, dict):
            raise _bad(path, "must be an object")
        self.data, self.path, names = data, path, known.split()
        for key in data:
            if key not in names:
                near = get_close_matches(key, names, n=1)
                raise _bad(
                    f"{path}.{key}", "is not a known key" + (f"; did you mean {near[0]}?" if near else "")
                )

    def get(self, key: str, read: Callable[[Any, str], Any], default: Any = ...) -> Any:
        if key not in self.data:
            if default is ...:
                raise _bad(f"{self.path}.{key}", "is missing")
            return default
        return read(self.data[key], f"{self.path}.{key}")


def _bad(path: str, why: str) -> Usage:
    return Usage(
        "SIGNER_CONFIG_INVALID",
        f"{path.removeprefix('$.')} {why}",
        "See keys/settings.py for the file's form.",
    )


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(path, "must be a text")
    return value


def _path(value: Any, path: str) -> Path:
    return Path(_text(value, path)).expanduser()


def _int(value: Any, path: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is not int or value < 0:
        raise _bad(path, "must be a non-negative integer (as a decimal string where it is money)")
    return value


def _bool(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise _bad(path, "must be true or false")
    return value


def _address(value: Any, path: str) -> Address:
    try:
        return Address(to_checksum(_text(value, path)))
    except ValueError as error:
        raise _bad(path, f"is not an address: {error}") from None


def _list(item: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _bad(path, "must be a list")
        return tuple(item(v, f"{path}[{i}]") for i, v in enumerate(value))

    return read


def _map(
    key: Callable[[Any, str], Any], item: Callable[[Any, str], Any]
) -> Callable[[Any, str], dict[Any, Any]]:
    def read(value: Any, path: str) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _bad(path, "must be an object")
        return {key(k, path): item(v, f"{path}.{k}") for k, v in value.items()}

    return read


def _reference(value: Any, path: str) -> str:
    if not isinstance(value, str) or not is_reference(value):
        raise _bad(
            path,
            "must be a secret reference (env:, file:, credential:, keyring:, keystore:, cmd:), not the secret itself",
        )
    return value


def _cap(value: Any, path: str) -> Cap:
    r = _Reader(value, path, "per_tx_raw per_day_raw")
    return Cap(r.get("per_tx_raw", _int), r.get("per_day_raw", _int))


def _kind(value: Any, path: str) -> str:
    if value not in abi.names():
        raise _bad(path, f"{value!r} is no interface known here; there are {', '.join(abi.names())}")
    return str(value)


def _key(value: Any, path: str) -> KeyReference:
    r = _Reader(value, path, "key password")
    password = r.get("password", lambda v, p: None if v is None else _reference(v, p), None)
    return KeyReference(r.get("key", _text), password)


def _held(value: Any, path: str) -> Held:
    if isinstance(value, dict) and "kind" in value:
        return read_spec(value, path)
    return _key(value, path)


def _host(value: Any, path: str) -> str:
    text = _text(value, path)
    if is_reference(text):
        return text
    try:
        checked(text)
    except ValueError as error:
        raise _bad(path, str(error)) from None
    return text


def _exchange(value: Any, path: str) -> ExchangeReference:
    r = _Reader(value, path, "dialect api_key secret allow symbols limits repeats sends_to password senders")
    dialect = r.get("dialect", _text)
    words = ccxt_words.words_of(dialect)
    read = ExchangeReference(
        dialect,
        r.get("api_key", _reference),
        r.get("secret", _reference),
        r.get("allow", _list(_text), ()),
        r.get("symbols", _list(_text), ()),
        r.get("limits", _map(_text, _symbol_limit), {}),
        r.get("repeats", _int, words.repeats if words else _REPEATS.get(dialect, REPEATS)),
        r.get("sends_to", _host, ""),
        r.get("password", _reference, None),
        r.get("senders", _list(_text), ()),
    )
    _check_senders(read, path)
    for symbol, limit in read.limits.items():
        if limit.inverse and not (dialect == deribit.DIALECT and deribit.IN_COIN.fullmatch(symbol)):
            raise _bad(
                f"{path}.limits.{symbol}.inverse",
                "is for Deribit's contracts in dollars' worth of a coin, named like BTC-PERPETUAL: an amount of coins would count as dollars",
            )
    if read.repeats < 1:
        raise _bad(f"{path}.repeats", "must be 1 or more: a signature is used at least once")
    if read.sends_to and read.dialect in ("hyperliquid", dydx.DIALECT):
        raise _bad(f"{path}.sends_to", "is not for this dialect: its signatures are taken once as it is")
    if read.sends_to and (words is not None or read.dialect in (deribit.DIALECT, kraken.DIALECT)):
        raise _bad(
            f"{path}.sends_to", "is not for this dialect: the signer does not speak to this exchange itself"
        )
    for symbol in read.limits:
        if read.symbols and symbol not in read.symbols:
            raise _bad(f"{path}.limits.{symbol}", "is not among the symbols")
    return read


def _check_senders(read: ExchangeReference, path: str) -> None:
    """A key that logs on signs nothing else, and no other one logs on."""
    if read.dialect != fix_logon.DIALECT:
        if read.senders:
            raise _bad(
                f"{path}.senders",
                f'are for dialect "{fix_logon.DIALECT}", whose key signs log-ons and nothing else',
            )
        return
    if not read.senders:
        raise _bad(f"{path}.senders", "must name the SenderCompIDs that may log on")
    for number, sender in enumerate(read.senders):
        if not fix_logon.SENDER.fullmatch(sender):
            raise _bad(f"{path}.senders[{number}]", "must be 1 to 8 letters, digits, _ or -")
    for name, there in (
        ("allow", read.allow),
        ("symbols", read.symbols),
        ("limits", read.limits),
        ("sends_to", read.sends_to),
    ):
        if there:
            raise _bad(
                f"{path}.{name}",
                "bounds nothing here: a session that is logged on needs no further signature",
            )


def _amount(value: Any, path: str) -> Decimal:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        raise _bad(path, 'must be a decimal number as a text, like "2500.50"')
    return Decimal(value)


def _symbol_limit(value: Any, path: str) -> SymbolLimit:
    r = _Reader(value, path, "per_order per_day px_from px_to quote_usd market inverse")
    read = SymbolLimit(
        r.get("per_order", _amount),
        r.get("per_day", _amount),
        r.get("px_from", _amount),
        r.get("px_to", _amount),
        r.get("quote_usd", _amount, Decimal(1)),
        r.get("market", _bool, False),
        r.get("inverse", _bool, False),
    )
    if not 0 < read.px_from < read.px_to:
        raise _bad(f"{path}.px_to", "must be above px_from, and both above zero")
    if not 0 < read.quote_usd:
        raise _bad(f"{path}.quote_usd", "must be above zero")
    return read


def _role(value: Any, path: str) -> bytes:
    text = _text(value, path)
    try:
        role = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        role = b""
    if len(role) != 32:
        raise _bad(path, "must be 32 bytes of hex")
    return role


def _agent(value: Any, path: str) -> AgentPolicy:
    r = _Reader(value, path, "account key roles gate role lends offers")
    lends = frozenset(r.get("lends", _list(_text), tuple(SAFER)))
    if strange := sorted(lends - LENDS):
        raise _bad(f"{path}.lends", f"{strange[0]!r} is none of {', '.join(sorted(LENDS))}")
    return AgentPolicy(
        r.get("account", _address),
        r.get("roles", _address),
        r.get("gate", _address),
        r.get("role", _role),
        lends,
        r.get("key", _address, None),
        r.get("offers", _bool, False),
    )


def _way(value: Any, path: str) -> tuple[tuple[int, str], BridgeWay]:
    r = _Reader(value, path, "to give receive recipient max_fee_bps max_fill_s")
    numbers = {"max_fill_s": r.get("max_fill_s", _int)} if "max_fill_s" in r.data else {}
    way = BridgeWay(r.get("recipient", _address), r.get("receive", _address), r.get("max_fee_bps", _int), **numbers)  # fmt: skip
    return (r.get("to", _int), r.get("give", _address)), way


_CHAIN_KEYS = (
    "chain_id safe owners threshold weth contracts spenders tokens native transfer_to hooks delegates max_deadline_s max_gas "
    "max_fee_wei gas_per_tx_wei gas_per_day_wei collateral_switch agent bridges morpho_markets"
)


def _chain(value: Any, path: str) -> ChainPolicy:
    r = _Reader(value, path, _CHAIN_KEYS)
    safe: Address = r.get("safe", _address)
    contracts: dict[str, str] = r.get("contracts", _map(_address, _kind))
    for address, kind in contracts.items():
        if kind == "multi_send" and address not in OFFICIAL_MULTISEND_CALL_ONLY:
            raise _bad(f"{path}.contracts.{address}", "is not an official MultiSendCallOnly")
        if kind == "route_executor" and address != route_executor.ADDRESS:
            raise _bad(
                f"{path}.contracts.{address}", f"is not the RouteExecutor, which is {route_executor.ADDRESS}"
            )
        if kind == "safe" and address != safe:
            raise _bad(f"{path}.contracts.{address}", "is a Safe other than the configured one")
    tokens: dict[str, Cap] = r.get("tokens", _map(_address, _cap))
    weth: Address = r.get("weth", _address)
    known = {**{token: "erc20" for token in tokens}, weth: "weth9", **contracts, safe: "safe"}
    if "native" in r.data:
        tokens = {**tokens, NATIVE: r.get("native", _cap)}
    owners = frozenset(r.get("owners", _list(_address)))
    threshold: int = r.get("threshold", _int)
    if not 1 <= threshold <= len(owners):
        raise _bad(f"{path}.threshold", f"of {threshold} does not fit {len(owners)} owners")
    spenders = frozenset(r.get("spenders", _list(_address)))
    for spender in spenders:
        if spender not in contracts:
            raise _bad(f"{path}.spenders", f"names {spender}, which is not among the contracts")
    agent: AgentPolicy | None = r.get("agent", _agent, None)
    if agent is not None:
        for name, address in (("roles", agent.roles), ("gate", agent.gate)):
            if address in known or address in (agent.account, agent.key):
                raise _bad(f"{path}.agent.{name}", "has another part here already")
        if agent.key == agent.account:
            raise _bad(
                f"{path}.agent.key", "is the account itself: leave it out where a key sends for itself"
            )
    numbers = "max_deadline_s max_gas max_fee_wei gas_per_tx_wei gas_per_day_wei".split()
    given: dict[str, Any] = {n: r.get(n, _int) for n in numbers if n in r.data}
    return ChainPolicy(
        chain_id=r.get("chain_id", _int),
        safe=safe,
        owners=owners,
        threshold=threshold,
        contracts=known,
        spenders=spenders,
        tokens=tokens,
        weth=weth,
        transfer_to=frozenset(r.get("transfer_to", _list(_address), ())),
        hooks=frozenset(r.get("hooks", _list(_address), ())),
        delegates=frozenset(r.get("delegates", _list(_address), ())),
        collateral_switch=r.get("collateral_switch", _bool, False),
        agent=agent,
        bridges=dict(r.get("bridges", _list(_way), ())),
        morpho_markets=frozenset("0x" + m.hex() for m in r.get("morpho_markets", _list(_role), ())),
        **given,
    )


def chain_policy(data: Mapping[str, Any]) -> ChainPolicy:
    """One entry of `chains`. Raises Usage SIGNER_CONFIG_INVALID."""
    return _chain(data, "$")


def signer_settings(data: Any) -> SignerSettings:
    """The whole file's object. Raises Usage SIGNER_CONFIG_INVALID."""
    r = _Reader(data, "$", "environment ledger keystore senders owners relay_auth exchanges chains clients")
    name = r.get("environment", _text)
    if name not in {e.value for e in Environment}:
        raise _bad("$.environment", "must be devnet, fork or live")
    chains: tuple[ChainPolicy, ...] = r.get("chains", _list(_chain))
    if len({c.chain_id for c in chains}) != len(chains):
        raise _bad("$.chains", "names a chain id twice")
    for number, chain in enumerate(chains):
        if why := policy_bridge.flaw(chain, {c.chain_id: c.safe for c in chains}):
            raise _bad(f"$.chains[{number}].bridges", f"cannot be: {why}")
    return SignerSettings(
        Environment(name),
        r.get("ledger", _path),
        r.get("keystore", _path),
        {c.chain_id: c for c in chains},
        r.get("senders", _list(_held), ()),
        r.get("owners", _list(_held), ()),
        r.get("relay_auth", _key, None),
        r.get("exchanges", _map(_text, _exchange), {}),
        r.get("clients", _list(_int), ()),
    )


def load(path: Path) -> SignerSettings:
    """Raises Usage SIGNER_CONFIG_INVALID or SIGNER_CONFIG_UNREADABLE."""
    try:
        data = loads(path.read_bytes())
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
