"""A Safe transaction in plain words, by this installation's own knowledge of addresses: what every owner and every share's holder reads. Pure.

    known_of(chain_id, wallet, tx, tokens, creation)   what stands at which address, and what of it is only claimed

Contracts are named by the chains' profiles and by the wallet itself. A wallet's own Gate and Roles modifier follow from its address
and the Gate's creation code (`creation`, where set-up compiled it), or from the transaction where that creates them. What else speaks the
words of a Gate, a Roles modifier or a debt token is read by those words and said to be unknown: an owner has to see them all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.types import Address
from contracts import gate
from contracts.codec import AbiError, decode_call, interface
from contracts.decode import to_leaves
from contracts.decode_powers import POWERS, create2
from contracts.leaves import Deployment, Leaf, PaymentsCreated
from contracts.multisend import Part, unpack
from keys import landmarks
from keys.policy_settings import OFFICIAL_MULTISEND_CALL_ONLY
from keys.safe import SafeTx
from keys.scope import roles_of
from keys.sentences import describe
from keys.sentences_words import Tokens


@dataclass(frozen=True, slots=True)
class Known:
    """`contracts`: address to interface name; `names`: address to the words for it; `claimed`: what is read by its words alone."""

    contracts: Mapping[str, str]
    names: Mapping[str, str]
    claimed: tuple[tuple[str, str], ...]


def known_of(chain_id: int, wallet: Address, tx: SafeTx, tokens: Tokens, creation: bytes = b"") -> Known:
    """`creation`: the Gate's creation code; another one is of no use and is left aside. Never raises."""
    known = {a: "multi_send" for a in OFFICIAL_MULTISEND_CALL_ONLY} | dict.fromkeys(tokens, "erc20")
    known |= landmarks.contracts(chain_id) | {wallet: "safe"}
    names = landmarks.names(chain_id)
    parts = _parts(tx)
    for at in _gates(wallet, parts, creation):
        roles = roles_of(wallet, at)
        known |= {at: "gate", roles: "zodiac_roles"}
        names |= {at: "this wallet's own Gate", roles: "this wallet's own Roles modifier"}
        for asset, supplied, owed in _reserves(at, parts):
            symbol = tokens[asset][0] if asset in tokens else asset
            known = {supplied: "erc20", owed: "aave_debt_token"} | known
            names = {supplied: f"what is supplied of {symbol}", owed: f"the debt in {symbol}"} | names
    for holder, held_for in _holders(parts):
        if known.get(held_for) == "gate":
            known |= {holder: "offers"}
            names |= {holder: "what holds its orders for others to settle"}
    for payer, paid_for in _payers(parts):
        if known.get(paid_for) == "gate":
            roles = roles_of(wallet, payer)
            known |= {payer: "payments", roles: "zodiac_roles"}
            names |= {
                payer: "what pays into its loans",
                roles: "the Roles modifier of what pays into its loans",
            }
    claimed = []
    for part in parts:
        if part.to not in known and (kind := _speaks(part.data)):
            known[part.to], names[part.to] = kind, "something UNKNOWN HERE"
            claimed.append((part.to, kind))
    return Known(known, names, tuple(claimed))


def leaves_of(tx: SafeTx, known: Known) -> tuple[Leaf, ...]:
    """What the transaction finally does."""
    return to_leaves(Part(tx.to, tx.value, tx.data), known.contracts, tx.operation)


def sentences_of(
    chain_id: int, wallet: Address, tx: SafeTx, tokens: Tokens, creation: bytes = b""
) -> list[str]:
    """Each leaf of the transaction as a sentence. Raises Usage or Denied where it cannot be decoded."""
    known = known_of(chain_id, wallet, tx, tokens, creation)
    lines = describe(
        chain_id, wallet, tx, leaves_of(tx, known), tokens, known.names, landmarks.chain(chain_id)
    )
    for address, kind in known.claimed:
        lines.append(
            f"WHAT STANDS AT {address} IS NOT KNOWN HERE: what is said of it holds if it is a {kind.replace('_', ' ')}."
        )
    return lines


def _parts(tx: SafeTx) -> tuple[Part, ...]:
    """The calls of a batch, or the one call."""
    if tx.operation == 1 and tx.to in OFFICIAL_MULTISEND_CALL_ONLY:
        try:
            return unpack(decode_call("multi_send", tx.data).args["transactions"])
        except AbiError:
            return ()
    return (Part(tx.to, tx.value, tx.data),)


def _gates(wallet: Address, parts: tuple[Part, ...], creation: bytes) -> set[Address]:
    """Where this wallet's own Gates stand, by their very code: the one this installation places, and those the transaction creates."""
    found = set()
    try:
        found.add(Address(gate.address(creation, wallet)))
    except ValueError:
        pass
    for part in parts:
        if part.to == gate.FACTORY:
            try:
                made = create2("", part.to, part.data)
            except AbiError:
                continue
            if isinstance(made, Deployment) and made.what == "gate" and dict(made.args)["safe"] == wallet:
                found.add(Address(made.address))
    return found


def _payers(parts: tuple[Part, ...]) -> list[tuple[Address, str]]:
    """(Payments, its Gate) of those that the transaction creates, by their very code."""
    found = []
    for part in parts:
        if part.to == gate.FACTORY:
            try:
                made = create2("", part.to, part.data)
            except AbiError:
                continue
            if isinstance(made, PaymentsCreated):
                found.append((Address(made.address), made.gate))
    return found


def _holders(parts: tuple[Part, ...]) -> list[tuple[str, str]]:
    """(Offers, its Gate) of those that the transaction creates, by their very code."""
    found = []
    for part in parts:
        if part.to == gate.FACTORY:
            try:
                made = create2("", part.to, part.data)
            except AbiError:
                continue
            if isinstance(made, Deployment) and made.what == "offers":
                found.append((made.address, dict(made.args)["gate"]))
    return found


def _reserves(gate_at: Address, parts: tuple[Part, ...]) -> list[tuple[str, str, str]]:
    """(asset, aToken, debt token) as this transaction lists them at the wallet's own Gate, which asks them whose they are or reverts."""
    found = []
    for part in parts:
        if part.to == gate_at:
            try:
                call = decode_call("gate", part.data)
            except AbiError:
                continue
            if call.function == "setReserve" and call.args["actions"]:
                found.append((call.args["asset"], call.args["aToken"], call.args["debtToken"]))
    return found


def _speaks(data: bytes) -> str:
    """The interface whose power this calldata names; empty where none, or where the same words are a Safe's own."""
    if data[:4] in interface("safe").by_selector:
        return ""
    more = {"zodiac_delay": POWERS["zodiac_delay"] | {"executeNextTx"}, "offers": frozenset({"end"})}
    for kind, functions in {**POWERS, **more}.items():
        entry = interface(kind).by_selector.get(data[:4])
        if entry is not None and entry.name in functions:
            return kind
    return ""
