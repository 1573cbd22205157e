"""The sentences in front of an owner: no name of the asker passes for ours, and no address for the wallet."""

from __future__ import annotations

import json
from pathlib import Path

import custody as c
import pytest

from chains.errors import Usage
from chains.types import Address, Environment
from contracts import universal_router as ur
from contracts.decode import _ADMIN
from keys import safe
from keys.local_keystore import LocalKeystore
from keys.owner_sign import by_keystore, prepare
from keys.policy import SafeTxRequest, judge_safe_tx
from keys.secrets import Secret
from keys.sentences_admin import _SAID

SCAM = "0x000000000000000000000000000000000000bEEF"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalKeystore:
    made = LocalKeystore(tmp_path_factory.mktemp("keys"))
    made.create("owner", Environment.DEVNET, Secret(b"pw"), n=4)
    return made


def read(store: LocalKeystore, tx: safe.SafeTx, chain_id: int = 1, **more: object) -> str:
    body = json.loads(json.dumps({**safe.to_json(chain_id, Address(c.SAFE), tx), **more}))
    lines, _ = prepare(body, by_keystore(store, store.find("owner", Environment.DEVNET), None))
    return "\n".join(lines)


def balancer(recipient: str) -> safe.SafeTx:
    swap = (bytes(32), 0, c.WETH, c.USDC, c.ETH, b"")
    funds = (c.SAFE, False, recipient, False)
    return c.batch(c.call(c.VAULT, "balancer_v2_vault", "swap", swap, funds, 1, c.DEADLINE))


def test_chain_deadline_and_amounts_are_readable(store: LocalKeystore) -> None:
    text = read(store, c.sell(5 * c.ETH))
    assert "on ethereum (chain id 1)" in text and "5 WETH" in text
    assert "2027-01-15 08:05:00 UTC" in text and str(c.DEADLINE) not in text
    assert "NO PROFILE HERE" in read(store, c.sell(), chain_id=777)


@pytest.mark.parametrize("alias", [ur.MSG_SENDER, ur.ADDRESS_THIS])
def test_a_routers_shorthand_is_somebody_else_everywhere_else(store: LocalKeystore, alias: str) -> None:
    text = read(store, balancer(alias))
    assert f"paid to SOMEBODY ELSE ({alias})" in text and "paid to this wallet" not in text
    assert "paid to this wallet" in read(store, balancer(c.SAFE))
    assert f"SOMEBODY ELSE ({alias})" in read(store, c.batch(c.call(c.USDC, "erc20", "transfer", alias, 5)))
    refused = judge_safe_tx(
        SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), balancer(alias), c.NOW, c.NOW),
        c.settings(), c.EmptyLedger(),
    )  # fmt: skip
    assert not hasattr(refused, "spend")


def test_a_token_named_by_the_asker_is_shown_with_its_address_and_base_units(store: LocalKeystore) -> None:
    tx = c.batch(c.call(SCAM, "erc20", "transfer", c.THIEF, 10**24))
    text = read(store, tx, tokens={SCAM: ["USDC", 24]})
    assert f"Sends 1 USDC? ({10**24} base units of {SCAM}) to SOMEBODY ELSE ({c.THIEF})" in text
    unnamed = read(store, tx)
    assert "NOT UNDERSTOOD" in unnamed and SCAM in unnamed


def test_our_own_tokens_cannot_be_renamed(store: LocalKeystore) -> None:
    tx = c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 10**6))
    assert "Sends 1 USDC to" in read(store, tx, tokens={c.USDC: ["DUST", 30]})


@pytest.mark.parametrize(
    "tokens",
    [
        {ur.NATIVE: ["ETH", 30]},
        {SCAM: ["USD\u0421", 6]},  # a Cyrillic letter
        {SCAM: ["\u202eCDSU", 6]},  # right-to-left override
        {SCAM: ["X to you. 2.", 6]},
        {SCAM: ["X\n2. Sells", 6]},
        {SCAM: ["", 6]},
        {SCAM: ["X", 78]},
        {SCAM: ["X", -1]},
    ],
)
def test_names_that_could_deceive_are_refused(store: LocalKeystore, tokens: dict[str, object]) -> None:
    with pytest.raises(Usage, match="no token has"):
        read(store, c.sell(), tokens=tokens)


def test_a_hook_is_named(store: LocalKeystore) -> None:
    key = {"currency0": c.USDC, "currency1": c.WETH, "fee": 500, "tickSpacing": 10, "hooks": SCAM}
    body = ur.execute([ur.v4_exact_in_single(key, False, c.ETH, 1)], c.DEADLINE)
    tx = c.batch(c.Part(c.ROUTER, 0, body))
    assert f"through the UNKNOWN HOOK {SCAM}" in read(store, tx)


def test_what_is_signed_is_the_hash_that_was_shown(store: LocalKeystore, tmp_path: Path) -> None:
    password = tmp_path / "pw"
    password.write_text("pw")
    password.chmod(0o600)
    stored = store.find("owner", Environment.DEVNET)
    body = safe.to_json(1, Address(c.SAFE), c.sell())
    lines, finish = prepare(body, by_keystore(store, stored, f"file:{password}"))
    body["to"] = c.THIEF
    signature = finish()
    shown = next(line for line in lines if line.startswith("Safe transaction hash: 0x"))
    digest = bytes.fromhex(shown.partition("0x")[2])
    assert digest == safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    assert safe.recover_owner(digest, signature) == stored.address


PREV, OLD, NEW = "0x0000000000000000000000000000000000000001", c.OWNERS[0].address, c.THIEF
HANDLER = "0x3EfCBb83A4A7AfcB4F68D501E2c2203a38be77f4"
ADMIN: list[tuple[str, tuple[object, ...], str]] = [
    ("addOwnerWithThreshold", (NEW, 2), f"ADDS THE OWNER {NEW}; from then on 2 owners must sign."),
    ("addOwnerWithThreshold", (NEW, 1), "ANY SINGLE OWNER MOVES EVERYTHING"),
    ("removeOwner", (PREV, OLD, 2), f"REMOVES THE OWNER {OLD}; from then on 2 owners must sign."),
    ("swapOwner", (PREV, OLD, NEW), f"REPLACES THE OWNER {OLD} BY {NEW}."),
    ("changeThreshold", (3,), "CHANGES HOW MANY MUST SIGN; from then on 3 owners must sign."),
    ("enableModule", (NEW,), f"ENABLES THE MODULE {NEW}: it can then spend everything"),
    ("disableModule", (PREV, NEW), f"DISABLES THE MODULE {NEW}"),
    ("setGuard", (NEW,), f"SETS THE GUARD {NEW}: it can refuse every transaction that owners sign"),
    ("setGuard", (ur.NATIVE,), "REMOVES THE GUARD"),
    ("setModuleGuard", (NEW,), f"SETS THE MODULE GUARD {NEW}"),
    ("setFallbackHandler", (NEW,), f"SETS THE FALLBACK HANDLER {NEW}, NOT ONE OF SAFE'S OWN"),
    ("setFallbackHandler", (HANDLER,), f"SETS THE FALLBACK HANDLER {HANDLER}, Safe's own of 1.5.0"),
    ("setFallbackHandler", (ur.NATIVE,), "REMOVES THE FALLBACK HANDLER"),
    ("approveHash", (b"\x5a" * 32,), f"APPROVES THE HASH 0x{'5a' * 32}"),
]


@pytest.mark.parametrize(
    ("function", "args", "said"), ADMIN, ids=[f"{f} {n}" for n, (f, *_) in enumerate(ADMIN)]
)
def test_what_a_safe_changes_about_itself_is_said_in_plain_words(
    store: LocalKeystore, function: str, args: tuple[object, ...], said: str
) -> None:
    """Alone and inside a batch; and no such call is one the decoder knows and no sentence is written for."""
    call = c.call(c.SAFE, "safe", function, *args)
    for tx in (safe.SafeTx(call.to, 0, call.data, 0, 3), c.batch(call)):
        text = read(store, tx)
        assert said in text and "CHANGES THE WALLET ITSELF" not in text
    assert {f for f, *_ in ADMIN} == _ADMIN == set(_SAID)
    assert "NOT UNDERSTOOD" in read(store, safe.SafeTx(Address(NEW), 0, call.data, 0, 3))
