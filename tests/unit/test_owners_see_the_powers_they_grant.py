"""What a Safe tells its Gate, a Roles modifier or a debt token is decoded to the last argument, and read before it is signed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import custody as c
import pytest

from chains.safe_versions import RELEASES
from chains.types import ZERO_ADDRESS, Address, Environment
from contracts import gate
from contracts.codec import encode, interface
from contracts.decode_powers import POWERS
from contracts.hashing import keccak
from keys.policy import SafeTxRequest, judge_safe_tx
from keys.reading import known_of, leaves_of, sentences_of
from keys.safe import SafeTx
from keys.scope import (
    ROLE,
    GasRule,
    PairRule,
    ReserveRule,
    RouteRule,
    Scope,
    TokenRule,
    batch,
    gate_address,
    offers_address,
    roles_address,
    safe_tx,
)
from keys.sentences_powers import SAID

WETH, USDC = Address(c.WETH), Address(c.USDC)
FEED, SECOND = Address("0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"), Address("0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6")  # fmt: skip
POOL = Address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640")
ROUTER = Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45")
AAVE = Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2")
HELD, OWED = Address("0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8"), Address("0xeA51d7853EEFb32b6ee06b1C12E6dcCA88Be0fFE")  # fmt: skip
AGENT = Address(c.AGENT.address)
STRANGER = "0x000000000000000000000000000000000000bEEF"
ELSEWHERE = "0x00000000000000000000000000000000000aB1E5"
MULTI = RELEASES[1].multi_send_call_only
NAMES = {c.WETH: ("WETH", 18), c.USDC: ("USDC", 6)}
SCOPE = Scope(
    1, Address(c.SAFE), AGENT,
    (TokenRule(WETH, "WETH", 18, FEED, 8, 3_600, 50, 10**20), TokenRule(USDC, "USDC", 6, SECOND, 8, 86_400, 25, 10**11)),
    (PairRule(WETH, USDC, POOL, 1_800),),
    (RouteRule(ROUTER, "swap_router_02", "exactInputSingle"),),
    Decimal(60_000), Decimal(30_000), 100, 200, 600, 7 * 86_400, 86_400,
    lending_pool=AAVE,
    reserves=(ReserveRule(WETH, HELD, OWED, ("supply", "withdraw", "borrow"), 10**19, 10**18),),
    gas=GasRule(AGENT, WETH, 5 * 10**16, 10**17, 2 * 10**17),
    sequencer=Address("0x000000000000000000000000000000000000Fee5"),
    sequencer_grace_s=1_800,
)  # fmt: skip


@pytest.fixture(scope="module")
def creation() -> bytes:
    """The Gate's creation code out of the cache."""
    from chains.gate_code import compiled

    assert keccak(compiled()) == gate.creation_hash()
    return compiled()


def said(tx: SafeTx, creation: bytes) -> str:
    return "\n".join(sentences_of(1, Address(c.SAFE), tx, NAMES, creation))


def one(to: str, contract: str, function: str, *args: Any) -> SafeTx:
    return SafeTx(Address(to), 0, encode(contract, function, args), 0, 3)


def test_every_call_of_a_grant_is_a_sentence_and_names_what_it_grants(creation: bytes) -> None:
    tx = safe_tx(SCOPE, creation, Address(MULTI), 3)
    own, roles = gate_address(SCOPE, creation), roles_address(SCOPE, gate_address(SCOPE, creation))
    text = said(tx, b"")  # what it creates is told by the very code in it, without any of ours
    assert "NOT UNDERSTOOD" not in text and "NOT KNOWN HERE" not in text
    calls = len(batch(SCOPE, creation))
    assert text.count("\n") == calls, "one line for each call, and the first"
    here = f"this wallet's own Gate ({own})"
    for phrase in (
        f"Creates {here}, the Gate of this wallet",
        "may be traded, at the dollar price of the feed Chainlink's ETH/USD",
        "USDC and WETH may be exchanged for each other, at a second price by the mean of 30 minutes",
        "the agent may supply and withdraw and borrow WETH",
        "trades may use exactInputSingle (0x04e45aaf) of swap router 02",
        f"0.05 ETH at once and 0.1 ETH a day of WETH may become gas money of {AGENT}, while that holds less than 0.2 ETH",
        "sequencer is down, nor 30 minutes after",
        "at most $30,000.00 pass at once, and $30,000.00 a day come back to that; a trade may bring 1 % less",
        f"{here}: this wallet's own Roles modifier ({roles}) may trade through it",
        f"a Zodiac Roles modifier owned by this wallet; all that it can reach is {here}",
        f"the role of Fairlead's agent may call trade (0xe151fbb2) of {here}, with any arguments",
        f"the account {AGENT} gets the role of Fairlead's agent",
        "anything more has to wait 1 day",
        f"Lets {here} take 100 WETH.",
        f"take {10**19} base units of what is supplied of WETH ({HELD}).",
        f"LETS {here} BORROW ON THIS WALLET'S ACCOUNT",
    ):
        assert phrase in text, f"{phrase!r} is not in\n{text}"


def test_a_grant_of_orders_for_others_to_settle_names_what_holds_them(creation: bytes) -> None:
    from chains.devnet.artifacts import artifact

    wide = replace(SCOPE, offers=bytes.fromhex(artifact("Offers").bytecode))
    text = said(safe_tx(wide, creation, Address(MULTI), 3), b"")
    own = gate_address(SCOPE, creation)
    home = f"what holds its orders for others to settle ({offers_address(wide, own)})"
    assert "NOT UNDERSTOOD" not in text and "NOT KNOWN HERE" not in text
    assert (
        f"Creates {home}, which holds the orders for others to settle of the Gate this wallet's own Gate ({own})"
        in text
    )
    assert f"what may be traded may also be offered to others to settle, by {home}" in text
    assert "may call offer (0x" in text and "may call endOffer (0x" in text
    stopped = said(one(own, "gate", "setOffers", ZERO_ADDRESS), creation)
    assert "makes no orders for others to settle any more, and those that are open die" in stopped
    ended = said(one(STRANGER, "offers", "end", c.WETH), creation)
    assert (
        "ends the order that sells WETH" in ended and f"WHAT STANDS AT {STRANGER} IS NOT KNOWN HERE" in ended
    )


def test_what_owners_sign_later_is_read_by_the_wallets_own_addresses(creation: bytes) -> None:
    own = gate_address(SCOPE, creation)
    roles = roles_address(SCOPE, own)
    renew = said(one(own, "gate", "renew"), creation)
    assert "this wallet's own Gate" in renew and "gives the agent another term" in renew
    assert "is frozen: the agent can do nothing" in said(one(own, "gate", "freeze"), creation)
    rotated = said(one(roles, "zodiac_roles", "assignRoles", STRANGER, (ROLE,), (True,)), creation)
    assert (
        f"this wallet's own Roles modifier ({roles}): the account {STRANGER} gets the role of Fairlead's agent"
        in rotated
    )
    member = said(one(roles, "zodiac_roles", "enableModule", STRANGER), creation)
    assert f"the account {STRANGER} becomes a member" in member
    waiting = encode("gate", "setToken", (STRANGER, FEED, 60))
    queued = said(one(own, "gate", "queue", waiting), creation)
    assert "has the following wait for its delay" in queued
    assert f"2. this wallet's own Gate ({own}): {STRANGER} may be traded" in queued
    nested = said(one(own, "gate", "queue", encode("gate", "queue", (waiting,))), creation)
    assert "NOT UNDERSTOOD" in nested


def test_a_stranger_that_speaks_the_same_words_is_said_to_be_one(creation: bytes) -> None:
    for to, contract, function, args in (
        (STRANGER, "gate", "renew", ()),
        (STRANGER, "zodiac_roles", "scopeTarget", (ROLE, c.THIEF)),
        (STRANGER, "aave_debt_token", "approveDelegation", (c.THIEF, 5)),
    ):
        text = said(one(to, contract, function, *args), creation)
        assert f"WHAT STANDS AT {STRANGER} IS NOT KNOWN HERE" in text and "this wallet's own" not in text
        assert f"something UNKNOWN HERE ({STRANGER}): " in text or contract == "aave_debt_token"
    at_a_safe = said(one(STRANGER, "zodiac_roles", "enableModule", c.THIEF), creation)
    assert "NOT UNDERSTOOD" in at_a_safe, "a Safe knows the same words"
    foreign = SafeTx(Address(gate.FACTORY), 0, gate.SALT + gate.init_code(creation, Address(c.THIEF)), 0, 3)
    assert f"the Gate of SOMEBODY ELSE ({c.THIEF})" in said(foreign, creation)
    other = SafeTx(Address(gate.FACTORY), 0, gate.SALT + b"\x60\x00" * 40, 0, 3)
    assert "CREATES A CONTRACT UNKNOWN HERE" in said(other, creation)
    with_value = replace(other, value=1)
    assert "NOT UNDERSTOOD" in said(with_value, creation)


NODE = ("parent", "paramType", "operator", "compValue")


def tree(*nodes: tuple[int, int, int, bytes]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(NODE, node, strict=True)) for node in nodes)


def word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def test_conditions_of_a_role_are_read_to_the_leaf(creation: bytes) -> None:
    nodes = tree(
        (0, 5, 5, b""), (0, 1, 16, word(AGENT)), (0, 1, 28, b"daily".ljust(32, b"\0")), (0, 1, 0, b""), (0, 1, 2, b""),
        (4, 1, 18, (7).to_bytes(32, "big")), (4, 1, 15, b""),
    )  # fmt: skip
    transfer = bytes.fromhex("a9059cbb")
    text = said(one(ELSEWHERE, "zodiac_roles", "scopeFunction", ROLE, c.USDC, transfer, nodes, 1), creation)
    assert "may call transfer (0xa9059cbb)" in text and "ALSO SENDING ETHER ALONG" in text
    assert (
        f"only where (argument 1: it is {AGENT}; argument 2: it stays within the allowance 'daily'; "
        "argument 4: at least one of (it is below 7; it is the modifier's own wallet) hold)"
    ) in text
    custom = tree((0, 5, 5, b""), (0, 1, 22, bytes.fromhex(STRANGER[2:]).ljust(32, b"\0")))
    text = said(one(ELSEWHERE, "zodiac_roles", "scopeFunction", ROLE, c.USDC, transfer, custom, 2), creation)
    assert f"THE CONTRACT {STRANGER} SAYS SO" in text and "BY DELEGATECALL" in text
    for broken in (tree(), tree((1, 5, 5, b"")), tree((0, 5, 5, b""), (1, 1, 0, b"")), tree((0, 1, 99, b""))):
        text = said(
            one(ELSEWHERE, "zodiac_roles", "scopeFunction", ROLE, c.USDC, transfer, broken, 0), creation
        )
        assert "CANNOT BE READ HERE" in text


ROLES: list[tuple[str, tuple[Any, ...], str]] = [
    ("assignRoles", (STRANGER, (ROLE, b"ops".ljust(32, b"\0")), (True, False)), "gets the role of Fairlead's agent and loses the role 'ops'"),
    ("assignRoles", (STRANGER, (ROLE,), ()), "THAT DO NOT FIT TOGETHER"),
    ("allowTarget", (ROLE, c.USDC, 3), "MAY CALL EVERY FUNCTION"),
    ("allowTarget", (ROLE, c.USDC, 9), "OPTIONS 9 UNKNOWN HERE"),
    ("setAllowance", (b"daily".ljust(32, b"\0"), 5, 50, 10, 86_400, 0), "the allowance 'daily' is 5 (base units, wei or calls, as its conditions say), and 10 more every 1 day, up to 50"),
    ("setTransactionUnwrapper", (MULTI, bytes.fromhex("8d80ff0a"), STRANGER), "WHICH DECIDES WHAT THE ROLES SEE"),
    ("setTarget", (STRANGER,), f"ANOTHER CONTRACT from then on: {STRANGER}"),
    ("setAvatar", (STRANGER,), f"ANOTHER WALLET from then on: {STRANGER}"),
    ("transferOwnership", (STRANGER,), f"BELONGS TO {STRANGER}"),
    ("renounceOwnership", (), "BELONGS TO NOBODY"),
    ("revokeFunction", (ROLE, c.USDC, b"\1\2\3\4"), "may no longer call the function 0x01020304"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "args", "phrase"), ROLES, ids=[f"{f} {n}" for n, (f, *_) in enumerate(ROLES)]
)
def test_each_power_of_a_roles_modifier(
    function: str, args: tuple[Any, ...], phrase: str, creation: bytes
) -> None:
    assert phrase in said(one(ELSEWHERE, "zodiac_roles", function, *args), creation)


def test_no_power_is_without_its_sentence_and_no_two_are_mistaken() -> None:
    assert {kind: set(names) for kind, names in POWERS.items()} == {k: set(v) for k, v in SAID.items()}
    selectors = [
        s for kind in POWERS for s, e in interface(kind).by_selector.items() if e.name in POWERS[kind]
    ]
    assert len(selectors) == len(set(selectors)) == sum(len(names) for names in POWERS.values())


def test_the_roles_interface_is_the_publishers() -> None:
    from chains.devnet.artifacts import artifact

    theirs = {encode_name(e): e for e in artifact("ZodiacRoles").abi if e["type"] == "function"}
    ours = {e.signature for e in interface("zodiac_roles").by_selector.values()}
    assert ours <= set(theirs)


def encode_name(entry: dict[str, Any]) -> str:
    from chains.devnet.artifacts import _type

    return f"{entry['name']}({','.join(_type(i) for i in entry['inputs'])})"


def test_the_signers_own_policy_signs_none_of_it(creation: bytes) -> None:
    """Also where its settings name the Gate, the Roles modifier and the factories: a power is the owners' to give, attended."""
    own = gate_address(SCOPE, creation)
    policy = c.settings()
    known = known_of(1, Address(c.SAFE), safe_tx(SCOPE, creation, Address(MULTI), 3), NAMES, creation)
    chain = policy.chains[1]
    knowing = replace(policy, chains={1: replace(chain, contracts={**known.contracts, **chain.contracts})})
    wholly = [
        safe_tx(SCOPE, creation, Address(MULTI), 3),
        one(own, "gate", "renew"),
        one(own, "gate", "freeze"),
    ]
    for part in batch(SCOPE, creation):
        wholly.append(SafeTx(Address(part.to), part.value, part.data, 0, 3))
    for tx in wholly:
        assert leaves_of(tx, known)
        answer = judge_safe_tx(
            SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW), knowing, c.EmptyLedger()
        )
        assert not hasattr(answer, "spend"), tx
