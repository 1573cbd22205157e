"""What a node of dYdX's chain is asked besides: the number of an account, and which keys may sign for it and what. Pure.

Sources: the published definitions of the Cosmos SDK (auth) and of the chain (accountplus). Questions and answers are protocol buffers
inside JSON-RPC (`abci_query`).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.domain.errors import Reject, Retry
from agent.market.reading import understood, whole
from chains.bounded_json import loads
from chains.dydx import Account
from chains.protobuf import count, one, read, text

ACCOUNT = "/cosmos.auth.v1beta1.Query/Account"
AUTHENTICATORS = "/dydxprotocol.accountplus.Query/GetAuthenticators"
ORDERS = "/dydxprotocol.clob.Msg"
DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Said:
    """A line for whoever looks after the account; `hint` where something is to be done."""

    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Power:
    """What a key may sign: kinds of messages, subaccounts and markets, None where nothing bounds them; `keys`: its public keys in hex."""

    messages: frozenset[str] | None = None
    subaccounts: frozenset[str] | None = None
    pairs: frozenset[str] | None = None
    keys: tuple[str, ...] = field(default=())


def account_query(account: Account) -> tuple[str, bytes]:
    return ACCOUNT, text(1, account.address)


def authenticators_query(account: Account) -> tuple[str, bytes]:
    return AUTHENTICATORS, text(1, account.address)


def answered(data: Any) -> bytes:
    """The value of an answer. Raises Retry, Reject UNKNOWN_ACCOUNT."""
    with understood("abci_query"):
        if "error" in data:
            raise Retry("VENUE_ERROR", f"the node says: {str(data['error'])[:160]}", "ask again")
        told = data["result"]["response"]
        code, log = whole(told.get("code", 0)), str(told.get("log", ""))[:160]
        if code:
            raise Reject("UNKNOWN_ACCOUNT", f"the chain says {code}: {log}", "pay something into the account first")  # fmt: skip
        return base64.b64decode(told.get("value") or "", validate=True)


def account_number(account: Account, value: bytes) -> int:
    """Out of QueryAccountResponse. Raises Halt VENUE_DIALECT."""
    with understood("an account"):
        found = read(one(read(one(read(value), 1)), 2))
        if one(found, 1).decode() != account.address:
            raise ValueError("it is another's")
        return count(found, 3)


def power(account: Account, value: bytes) -> Sequence[Said]:
    """Out of GetAuthenticatorsResponse: what the key may do that this account is traded by, and what a thief of it could."""
    if account.authenticator is None:
        return (
            Said(
                "the key is the account's own: it may withdraw and send everything, and nothing on the chain keeps a thief of it from that",
                "add a permissioned key that may place and cancel orders alone, and write its number behind the account: dydx1…/0/NUMBER",
            ),
        )
    with understood("authenticators"):
        for told in read(value).get(1, []):
            row = read(told if isinstance(told, bytes) else b"")
            if count(row, 1) == account.authenticator:
                found = _power(one(row, 2).decode(), one(row, 3), 0)
                return _said(account, found)
    return (Said(f"the account has no authenticator {account.authenticator}: nothing is taken that is signed by it", "look at the account's permissioned keys"),)  # fmt: skip


def _power(kind: str, config: bytes, depth: int) -> Power:
    if depth > DEEPEST:
        raise ValueError("nested too deep")
    if kind in ("AllOf", "AnyOf"):
        rows = [{name.lower(): value for name, value in row.items()} for row in loads(config)]
        parts = [_power(row["type"], base64.b64decode(row["config"]), depth + 1) for row in rows]
        return _both(parts) if kind == "AllOf" else _either(parts)
    if kind == "SignatureVerification":
        return Power(keys=(config.hex(),))
    words = frozenset(word.strip() for word in config.decode().split(","))
    return {
        "MessageFilter": Power(messages=words),
        "SubaccountFilter": Power(subaccounts=words),
        "ClobPairIdFilter": Power(pairs=words),
    }[kind]


Bound = frozenset[str] | None


def _narrowest(bounds: Sequence[Bound]) -> Bound:
    known = [bound for bound in bounds if bound is not None]
    return frozenset.intersection(*known) if known else None


def _widest(bounds: Sequence[Bound]) -> Bound:
    return None if any(bound is None for bound in bounds) else frozenset().union(*(b or () for b in bounds))


def _both(parts: Sequence[Power]) -> Power:
    keys = tuple(key for part in parts for key in part.keys)
    messages, subaccounts, pairs = ([getattr(p, n) for p in parts] for n in ("messages", "subaccounts", "pairs"))  # fmt: skip
    return Power(_narrowest(messages), _narrowest(subaccounts), _narrowest(pairs), keys)


def _either(parts: Sequence[Power]) -> Power:
    keys = tuple(key for part in parts for key in part.keys)
    messages, subaccounts, pairs = ([getattr(p, n) for p in parts] for n in ("messages", "subaccounts", "pairs"))  # fmt: skip
    return Power(_widest(messages), _widest(subaccounts), _widest(pairs), keys)


def _said(account: Account, found: Power) -> Sequence[Said]:
    where = f"in {'any subaccount' if found.subaccounts is None else 'subaccount ' + ', '.join(sorted(found.subaccounts))}"
    where += f", {'any market' if found.pairs is None else 'markets ' + ', '.join(sorted(found.pairs))}"
    key = ", ".join(found.keys) or "any key"
    if found.messages is None or not all(word.startswith(ORDERS) for word in found.messages):
        beyond = "any message" if found.messages is None else ", ".join(sorted(w for w in found.messages if not w.startswith(ORDERS)))  # fmt: skip
        return (
            Said(
                f"authenticator {account.authenticator} lets {key} sign {beyond}: a thief of it may take more than what trading loses",
                "replace it by one whose MessageFilter lists MsgPlaceOrder and MsgCancelOrder of the book alone",
            ),
        )
    names = ", ".join(sorted(word.rpartition(".")[2] for word in found.messages))
    told = [
        Said(
            f"authenticator {account.authenticator} lets {key} sign {names} {where}: it can neither withdraw nor send"
        )
    ]
    if found.subaccounts is None or found.subaccounts != frozenset({str(account.subaccount)}):
        told.append(Said("a thief of the key could trade away what other subaccounts hold, too", "add a SubaccountFilter of this one"))  # fmt: skip
    elif found.pairs is None:
        told.append(Said("a thief of the key could trade away all that this subaccount holds, in any market", "a ClobPairIdFilter leaves your markets"))  # fmt: skip
    return told
