"""The signer's hand for dYdX: transactions are those that the published definitions make, and nothing that moves funds can be asked for."""

from __future__ import annotations

import base64
import json
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.app.testvenue import dydx_tx
from agent.app.testvenue.spec import VenueError
from chains import protobuf
from chains.dydx import Account, account_of, price, quantity
from chains.errors import Denied, FairleadError, Usage
from keys import dydx as chain
from keys.curve import SigningKey
from keys.settings import signer_settings
from keys.signer import dydx
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.handlers import Handlers
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

ADDRESS = "dydx1n56z5fhmemtffzkt2eqyf9kuc7ycjfs86mvqy7"
NOW_MS = 1_800_000_000_000
PUBLIC = b"\x02" + b"\x11" * 32
# (body, what is signed of it) and the signer's part, as Google's protocol buffers library writes them from the published definitions
BODIES = {
    "long": (
        "0a770a202f6479647870726f746f636f6c2e636c6f622e4d7367506c6163654f7264657212530a510a3a0a2f0a2b64796478316e35367a3566686d65"
        "6d7466667a6b743265717966396b75633779636a667338366d7671793710031598badcfe1840200110011880a8d6b90720808fdf910b35c0f9526b38"
        "02fa7f2c0a252f6479647870726f746f636f6c2e6163636f756e74706c75732e5478457874656e73696f6e12030a010c",
        "dadbfaf4b70ae3f85ab4c09a5c6d1be40303f1a94d2cf6038ed27e766d622420",
    ),
    "short": (
        "0a710a202f6479647870726f746f636f6c2e636c6f622e4d7367506c6163654f72646572124d0a4b0a340a2d0a2b64796478316e35367a3566686d65"
        "6d7466667a6b743265717966396b75633779636a667338366d767179371507000000100218c0843d2080c8afa0252899a1881e38014001",
        "a601efdcb131ede01efa423e88e91925f4df563ed5e66cf709dd9c6f199f0511",
    ),
    "cancel": (
        "0a660a212f6479647870726f746f636f6c2e636c6f622e4d736743616e63656c4f7264657212410a3a0a2f0a2b64796478316e35367a3566686d656d"
        "7466667a6b743265717966396b75633779636a667338366d7671793710031598badcfe184020011dc1f9526bfa7f300a252f6479647870726f746f63"
        "6f6c2e6163636f756e74706c75732e5478457874656e73696f6e12070a0580bcc1960b",
        "7d7cfdd201e7f2652e957844624bc1f5925dc67d92e8ed31514758b0adfce05a",
    ),
}
AUTH = (
    "0a550a460a1f2f636f736d6f732e63727970746f2e736563703235366b312e5075624b657912230a2102111111111111111111111111111111111111"
    "111111111111111111111111111112040a02080118e083f0c2b134120410c0843d"
)


def test_transactions_are_written_as_the_published_definitions_say() -> None:
    of = chain.OrderId(Account(ADDRESS, 3), 0xFEDCBA98, 64, 1)
    plain = chain.OrderId(Account(ADDRESS), 7, 0, 0)
    made = {
        "long": (chain.PLACE, chain.place(of, buy=True, quantums=2 * 10**9, subticks=2_990 * 10**6, until=1_800_600_000, tif=2, reduce_only=False), 12),
        "short": (chain.PLACE, chain.place(plain, buy=False, quantums=1_000_000, subticks=10**10, until=63_049_881, tif=1, reduce_only=True), None),
        "cancel": (chain.CANCEL, chain.cancel(of, 1_800_600_001), 3_000_000_000),
    }  # fmt: skip
    auth = chain.auth_info(PUBLIC, 1_799_999_980_000)
    assert auth.hex() == AUTH
    for name, parts in made.items():
        body = chain.body(*parts)
        assert (body.hex(), chain.digest(body, auth, chain.MAINNET, 40_123).hex()) == BODIES[name], name


def test_the_wire_format_is_read_as_it_is_written_and_nothing_else_is() -> None:
    for value in (0, 1, 127, 128, 300, 2**32, 2**64 - 1):
        assert protobuf.numbers(protobuf.varint(value)) == [value]
    fields = protobuf.read(protobuf.number(1, 300) + protobuf.fixed32(2, 7) + protobuf.text(2047, "a"))
    assert fields == {1: [300], 2: [7], 2047: [b"a"]}
    assert (protobuf.number(1, 0), protobuf.fixed32(1, 0), protobuf.text(1, "")) == (b"", b"", b"")
    for wrong in (
        b"\x08",
        b"\x0a\x05a",
        b"\x0d\x01",
        b"\x00\x01",
        b"\x0b",
        b"\x08" + b"\xff" * 10,
        b"\x08" + b"\xff" * 9 + b"\x7f",
    ):
        with pytest.raises(ValueError):
            protobuf.read(wrong)
    for value in (-1, 2**64):
        with pytest.raises(ValueError):
            protobuf.varint(value)


def test_an_account_is_named_with_its_subaccount_and_authenticator_and_typing_errors_show() -> None:
    assert account_of(ADDRESS) == Account(ADDRESS, 0, None)
    assert account_of(f" {ADDRESS}/3 ") == Account(ADDRESS, 3, None)
    assert account_of(f"{ADDRESS}/0/12") == Account(ADDRESS, 0, 12)
    for wrong in (
        "",
        "dydx1",
        ADDRESS.upper(),
        ADDRESS[:-1] + "8",
        ADDRESS.replace("n56", "n65"),
        f"{ADDRESS}/a",
        f"{ADDRESS}/0/1/2",
    ):
        with pytest.raises(Usage) as refused:
            account_of(wrong)
        assert refused.value.code == "DYDX_ACCOUNT" and refused.value.hint


# the policy

LIMITS = {"1@-9": SymbolLimit(Decimal(20_000), Decimal(30_000), Decimal(2_000), Decimal(4_000))}


def placing(**changes: Any) -> dict[str, Any]:
    """2 ETH at 3000, to rest."""
    fields = {
        "type": "place",
        "id": 7,
        "pair": 1,
        "resolution": -9,
        "flags": 64,
        "until": NOW_MS // 1_000 + 86_400,
    }
    fields |= {"buy": True, "quantums": 2 * 10**9, "subticks": 3_000 * 10**6, "tif": 0, "reduce_only": False}
    return fields | changes


def cancelling(**changes: Any) -> dict[str, Any]:
    return {
        name: value for name, value in placing(type="cancel").items() if name in dydx.KEYS["cancel"]
    } | changes


def text(action: Any, account: Any = 40_123) -> str:
    return json.dumps({"account": account, "action": action}, separators=(",", ":"))


def refused(payload: str, path: str = dydx.PATH, symbols: frozenset[str] = frozenset()) -> str:
    with pytest.raises(FairleadError) as error:
        asked = dydx.check("POST", path, payload, now_ms=NOW_MS, symbols=symbols)
        dydx.judged(asked, LIMITS, {"1@-9": Decimal(20_000)}, NOW_MS)
    assert error.value.hint
    return error.value.code


@pytest.mark.parametrize("kind", [
    "MsgSend", "send", "withdraw", "MsgWithdrawFromSubaccount", "MsgDepositToSubaccount", "MsgCreateTransfer", "transfer",
    "MsgAddAuthenticator", "removeAuthenticator", "MsgDepositToMegavault", "MsgDelegate", "MsgVote", "MsgGrant", "MsgExec",
])  # fmt: skip
def test_whatever_moves_funds_or_hands_power_on_is_refused_by_name(kind: str) -> None:
    assert refused(text({"type": kind, "amount": "1"})) == "EXCHANGE_WITHDRAWAL"


@pytest.mark.parametrize(("payload", "code"), [
    (text({"type": "updateLeverage"}), "EXCHANGE_UNLISTED"),
    (text({"type": ["place"]}), "EXCHANGE_UNLISTED"),
    (text(placing(memo="x")), "EXCHANGE_PARAMETER"),
    (text({"id": 7, **{k: v for k, v in placing().items() if k != "id"}}), "EXCHANGE_PARAMETER"),
    (text(placing(id=2**32)), "EXCHANGE_PARAMETER"),
    (text(placing(id=True)), "EXCHANGE_PARAMETER"),
    (text(placing(pair=-1)), "EXCHANGE_PARAMETER"),
    (text(placing(flags=32)), "EXCHANGE_PARAMETER"),
    (text(placing(tif=1)), "EXCHANGE_PARAMETER"),
    (text(placing(tif=3)), "EXCHANGE_PARAMETER"),
    (text(placing(flags=0, until=9, tif=0)), "EXCHANGE_PARAMETER"),
    (text(placing(reduce_only=True)), "EXCHANGE_PARAMETER"),
    (text(placing(quantums=0)), "EXCHANGE_PARAMETER"),
    (text(placing(subticks="3000")), "EXCHANGE_PARAMETER"),
    (text(placing(resolution=1)), "EXCHANGE_PARAMETER"),
    (text(placing(until=NOW_MS // 1_000)), "EXCHANGE_WINDOW"),
    (text(placing(until=NOW_MS // 1_000 + 95 * 86_400 + 1)), "EXCHANGE_WINDOW"),
    (text(cancelling(until=NOW_MS // 1_000)), "EXCHANGE_WINDOW"),
    (text(placing(quantums=7 * 10**9)), "EXCHANGE_PER_ORDER"),
    (text(placing(buy=False, quantums=5_001 * 10**6)), "EXCHANGE_PER_ORDER"),
    (text(placing(quantums=4 * 10**9)), "EXCHANGE_PER_DAY"),
    (text(placing(subticks=4_001 * 10**6)), "EXCHANGE_COLLAR"),
    (text(placing(buy=False, subticks=1_999 * 10**6)), "EXCHANGE_COLLAR"),
    (text(placing(pair=2)), "EXCHANGE_LIMITS"),
    (text(placing(resolution=-10)), "EXCHANGE_LIMITS"),
    (text(placing(), True), "EXCHANGE_QUERY_INVALID"),
    (text(placing(), -1), "EXCHANGE_QUERY_INVALID"),
    (json.dumps({"account": 1, "action": placing()}), "EXCHANGE_QUERY_INVALID"),
    (text(placing())[:-1] + ',"fee":1}', "EXCHANGE_QUERY_INVALID"),
    ('{"account":1,"action":{"type":"place","type":"withdraw"}}', "EXCHANGE_QUERY_INVALID"),
    ("[" * 5_000, "EXCHANGE_QUERY_INVALID"),
    ("", "EXCHANGE_QUERY_INVALID"),
])  # fmt: skip
def test_what_is_no_plain_bounded_order_is_refused(payload: str, code: str) -> None:
    assert refused(payload) == code


def test_other_paths_and_other_markets_are_refused_and_an_end_costs_nothing() -> None:
    assert refused(text(placing()), path="/broadcast_tx_async") == "EXCHANGE_UNLISTED"
    for action in (placing(), cancelling()):
        assert refused(text(action), symbols=frozenset({"7@-9"})) == "EXCHANGE_SYMBOL"
    asked = dydx.check("POST", dydx.PATH, text(cancelling()), now_ms=NOW_MS)
    assert dydx.judged(asked, {}, {}, NOW_MS) is None


def test_an_order_costs_what_the_chains_units_say() -> None:
    assert (price(3_000 * 10**6, -9), quantity(2 * 10**9, -9)) == (3_000, 2)
    assert (price(10**10, -10), quantity(1_000_000, -10)) == (100_000, Decimal("0.0001"))
    for buy, cost in ((True, 6_000), (False, 8_000)):
        asked = dydx.check("POST", dydx.PATH, text(placing(buy=buy)), now_ms=NOW_MS)
        counted = dydx.judged(asked, LIMITS, {}, NOW_MS)
        assert counted is not None and (counted.symbol, counted.cost) == ("1@-9", cost)


def test_no_changed_byte_of_a_request_ends_in_anything_but_a_refusal_or_a_plain_order() -> None:
    chance, payload = random.Random(7), text(placing())
    for _ in range(2_000):
        at = chance.randrange(len(payload))
        changed = payload[:at] + chr(chance.choice((34, 44, 48, 57, 58, 91, 93, 123, 125, 200))) + payload[at + chance.randrange(2) :]  # fmt: skip
        try:
            asked = dydx.check("POST", dydx.PATH, changed, now_ms=NOW_MS)
            dydx.judged(asked, LIMITS, {}, NOW_MS)
        except (Denied, Usage):
            continue
        assert asked.kind == "place" and asked.action["pair"] == 1


# the signer's own process: sequences and the ledger


def opened(folder: Path, account: str = f"{ADDRESS}/0/12", **more: Any) -> tuple[Handlers, SpendLedger]:
    for name, written in (("key", account), ("secret", "0x" + "05" * 32 + "\n")):
        (folder / name).write_text(written)
        (folder / name).chmod(0o600)
    limits = {"1@-9": {"per_order": "20000", "per_day": "30000", "px_from": "2000", "px_to": "4000"}}
    reference = {"dialect": "dydx", "api_key": f"file:{folder}/key", "secret": f"file:{folder}/secret"}
    settings = signer_settings(
        {
            "environment": "devnet",
            "ledger": str(folder / "ledger.jsonl"),
            "keystore": str(folder),
            "chains": [],
            "exchanges": {"dx": reference | {"limits": limits} | more},
        }
    )
    vault, ledger = Vault(settings), SpendLedger(folder / "ledger.jsonl")
    vault.open_exchanges()
    return Handlers(settings, vault, ledger), ledger


def asking(action: dict[str, Any]) -> dict[str, str]:
    until = {"until": time.time_ns() // 10**9 + 86_400}
    return {"venue": "dx", "method": "POST", "path": dydx.PATH, "query": text(action | until)}


async def sent(handlers: Handlers, request: str, action: dict[str, Any]) -> dydx_tx.Signed:
    told = await handlers.sign_exchange(request, asking(action))
    tx = base64.b64decode(json.loads(told["signature"])["tx"])
    with pytest.raises(VenueError, match="chain-id"):
        dydx_tx.opened(tx, 40_124)  # of another account
    return dydx_tx.opened(tx, 40_123)


async def test_what_is_signed_is_the_order_of_the_signers_own_account_for_the_test_chain(
    tmp_path: Path,
) -> None:
    handlers, ledger = opened(tmp_path)
    signed = await sent(handlers, "r", placing(tif=2))
    order = signed.message
    assert (order.place, order.owner, order.subaccount, signed.authenticator) == (True, ADDRESS, 0, 12)
    assert (order.client_id, order.flags, order.pair, order.buy) == (7, 64, 1, True)
    assert (order.quantums, order.subticks, order.tif) == (2 * 10**9, 3_000 * 10**6, 2)
    assert signed.public_key == SigningKey(b"\x05" * 32).public
    assert 0 <= time.time_ns() // 10**6 - signed.sequence - 20_000 < 5_000, (
        "it lives ten seconds of its thirty"
    )
    ended = await sent(handlers, "c", cancelling())
    assert (ended.message.place, ended.kind) == (False, dydx_tx.CANCEL)
    assert ledger.ordered("dx", 0) == {"1@-9": Decimal(6_000)}
    ledger.close()


async def test_no_changed_byte_of_a_transaction_is_taken(tmp_path: Path) -> None:
    handlers, ledger = opened(tmp_path)
    told = await handlers.sign_exchange("r", asking(placing()))
    tx = base64.b64decode(json.loads(told["signature"])["tx"])
    for at in range(len(tx)):
        for bit in (1, 0x80):
            changed = tx[:at] + bytes([tx[at] ^ bit]) + tx[at + 1 :]
            with pytest.raises(VenueError):
                dydx_tx.opened(changed, 40_123)
    ledger.close()


async def test_sequences_only_grow_and_the_same_request_is_the_same_transaction(tmp_path: Path) -> None:
    handlers, ledger = opened(tmp_path)
    sequences = [(await sent(handlers, f"r{n}", cancelling(id=n))).sequence for n in range(5)]
    assert sequences == sorted(set(sequences))
    asked = asking(placing())
    first = await handlers.sign_exchange("o", asked)
    assert first == await handlers.sign_exchange("o", asked)
    assert ledger.ordered("dx", 0) == {"1@-9": Decimal(6_000)}
    far = max(sequences) + 3_600_000  # a clock that was ahead, and was set back since
    facts = {"venue": "dx", "account": SigningKey(b"\x05" * 32).address, "nonce": str(far), "costs": []}
    ledger.record("exchange", "ahead", "00", 1, facts)
    ledger.close()
    handlers, ledger = opened(tmp_path, ADDRESS)
    again = await sent(handlers, "again", cancelling())
    assert (again.sequence, again.authenticator) == (far + 1, None)
    assert handlers.exchanges.facts()["dx"]["repeats"] == 1
    ledger.close()


def test_a_signer_that_would_send_these_orders_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="taken once"):
        opened(tmp_path, sends_to="https://rpc.example.org")
