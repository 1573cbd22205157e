"""The signer's hand for Hyperliquid: hashes equal the venue's own test vectors, nonces only grow, and nothing that moves funds is signed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chains.errors import Denied, FairleadError, Usage
from keys.curve import SigningKey, recover
from keys.hyperliquid import action_hash, agent_digest, pack
from keys.settings import signer_settings
from keys.signer import hyperliquid
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.handlers import Handlers
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

KEY = SigningKey(bytes.fromhex("0123456789012345678901234567890123456789012345678901234567890123"))
VAULT = bytes.fromhex("1719884eb866cb12b2287399b15f7db5e7d775ea")
NOW_MS = 1_800_000_000_000
CLOID = "0x00000000000000000000000000000001"


def order(**changes: Any) -> dict[str, Any]:
    fields = {"a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    return {key: value for key, value in (fields | changes).items() if value is not None}


def placing(*orders: dict[str, Any]) -> dict[str, Any]:
    return {"type": "order", "orders": list(orders) or [order()], "grouping": "na"}


STOP = {"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}}
DUMMY = {"type": "dummy", "num": 100_000_000_000}
TRANSFER = {"type": "subAccountTransfer", "subAccountUser": "0x1d9470d4b963f552e6f671a81619d395877bf409", "isDeposit": True, "usd": 10}  # fmt: skip
# (action, vault, main network, r, s, v), nonce 0: as published in the tests of the venue's own SDK
VECTORS: list[tuple[dict[str, Any], bytes | None, bool, str, str, int]] = [
    (DUMMY, None, True, "53749d5b30552aeb2fca34b530185976545bb22d0b3ce6f62e31be961a59298", "755c40ba9bf05223521753995abb2f73ab3229be8ec921f350cb447e384d8ed8", 27),
    (DUMMY, None, False, "542af61ef1f429707e3c76c5293c80d01f74ef853e34b76efffcb57e574f9510", "17b8b32f086e8cdede991f1e2c529f5dd5297cbe8128500e00cbaf766204a613", 28),
    (placing(), None, True, "d65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e", "2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e", 28),
    (placing(), None, False, "82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d54", "6b53878fc99d26047f4d7e8c90eb98955a109f44209163f52d8dc4278cbbd9f5", 27),
    (placing(order(c=CLOID)), None, True, "41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3", "3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da", 27),
    (placing(order(c=CLOID)), None, False, "eba0664bed2676fc4e5a743bf89e5c7501aa6d870bdb9446e122c9466c5cd16d", "7f3e74825c9114bc59086f1eebea2928c190fdfbfde144827cb02b85bbe90988", 28),
    (DUMMY, VAULT, True, "3c548db75e479f8012acf3000ca3a6b05606bc2ec0c29c50c515066a326239", "4d402be7396ce74fbba3795769cda45aec00dc3125a984f2a9f23177b190da2c", 28),
    (DUMMY, VAULT, False, "e281d2fb5c6e25ca01601f878e4d69c965bb598b88fac58e475dd1f5e56c362b", "7ddad27e9a238d045c035bc606349d075d5c5cd00a6cd1da23ab5c39d4ef0f60", 27),
    (placing(order(t=STOP)), None, True, "98343f2b5ae8e26bb2587daad3863bc70d8792b09af1841b6fdd530a2065a3f9", "6b5bb6bb0633b710aa22b721dd9dee6d083646a5f8e581a20b545be6c1feb405", 27),
    (placing(order(t=STOP)), None, False, "971c554d917c44e0e1b6cc45d8f9404f32172a9d3b3566262347d0302896a2e4", "206257b104788f80450f8e786c329daa589aa0b32ba96948201ae556d5637eac", 28),
    ({"type": "createSubAccount", "name": "example"}, None, True, "51096fe3239421d16b671e192f574ae24ae14329099b6db28e479b86cdd6caa7", "b71f7d293af92d3772572afb8b102d167a7cef7473388286bc01f52a5c5b423", 27),
    (TRANSFER, None, True, "43592d7c6c7d816ece2e206f174be61249d651944932b13343f4d13f306ae602", "71a926cb5c9a7c01c3359ec4c4c34c16ff8107d610994d4de0e6430e5cc0f4c9", 28),
    ({"type": "scheduleCancel"}, None, True, "6cdfb286702f5917e76cd9b3b8bf678fcc49aec194c02a73e6d4f16891195df9", "6557ac307fa05d25b8d61f21fb8a938e703b3d9bf575f6717ba21ec61261b2a0", 27),
    ({"type": "scheduleCancel"}, None, False, "c75bb195c3f6a4e06b7d395acc20bbb224f6d23ccff7c6a26d327304e6efaeed", "342f8ede109a29f2c0723bd5efb9e9100e3bbb493f8fb5164ee3d385908233df", 28),
    ({"type": "scheduleCancel", "time": 123456789}, None, True, "609cb20c737945d070716dcc696ba030e9976fcf5edad87afa7d877493109d55", "16c685d63b5c7a04512d73f183b3d7a00da5406ff1f8aad33f8ae2163bab758b", 28),
    ({"type": "scheduleCancel", "time": 123456789}, None, False, "4e4f2dbd4107c69783e251b7e1057d9f2b9d11cee213441ccfa2be63516dc5bc", "706c656b23428c8ba356d68db207e11139ede1670481a9e01ae2dfcdb0e1a678", 27),
]  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_signatures_equal_the_vectors_of_the_venues_own_sdk(
    vector: tuple[dict[str, Any], bytes | None, bool, str, str, int],
) -> None:
    action, vault, mainnet, r, s, v = vector
    raw = KEY.sign(agent_digest(action_hash(action, 0, vault), mainnet=mainnet))
    assert (raw[:32].hex(), raw[32:64].hex(), raw[64]) == (r.zfill(64), s.zfill(64), v)


def test_the_connection_id_of_a_real_order_is_the_published_one() -> None:
    action = placing(order(a=4, p="1670.1", s="0.0147", t={"limit": {"tif": "Ioc"}}))
    wanted = "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"
    assert action_hash(action, 1677777606040).hex() == wanted


def test_an_expiry_is_part_of_what_is_signed() -> None:
    assert action_hash(placing(), 1, None, 5) != action_hash(placing(), 1) != action_hash(placing(), 2)


def test_packing_is_the_shortest_form_at_every_boundary() -> None:
    assert [pack(n).hex() for n in (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32)] == [
        "00", "7f", "cc80", "ccff", "cd0100", "cdffff", "ce00010000", "ceffffffff", "cf0000000100000000",
    ]  # fmt: skip
    assert [pack(n).hex() for n in (-1, -32, -33, -128, -129)] == ["ff", "e0", "d0df", "d080", "d1ff7f"]
    assert (
        pack("a" * 31)[:1] == b"\xbf" and pack("a" * 32)[:2] == b"\xd9\x20" and pack("é") == b"\xa2\xc3\xa9"
    )
    assert pack([0] * 15)[:1] == b"\x9f" and pack([0] * 16)[:3] == b"\xdc\x00\x10"
    assert pack({"a": None, "b": True}).hex() == "82a161c0a162c3"
    for wrong in (1.5, b"x", {1: 2}, 2**64, "\ud800", Decimal(1)):
        with pytest.raises(Usage, match="action"):
            pack(wrong)
    deep: Any = 1
    for _ in range(20):
        deep = [deep]
    with pytest.raises(Usage, match="nested"):
        pack(deep)


# the policy

LIMITS = {"1": SymbolLimit(Decimal(20_000), Decimal(30_000), Decimal(50), Decimal(150))}


def text(action: Any, expires: Any = NOW_MS + 5_000) -> str:
    return json.dumps({"action": action, "expiresAfter": expires}, separators=(",", ":"))


def refused(payload: str, path: str = "/exchange", symbols: frozenset[str] = frozenset()) -> str:
    with pytest.raises(FairleadError) as error:
        asked = hyperliquid.check("POST", path, payload, now_ms=NOW_MS, symbols=symbols)
        hyperliquid.judged(asked, LIMITS, {}, NOW_MS)
    assert error.value.hint
    return error.value.code


@pytest.mark.parametrize("kind", [
    "usdSend", "spotSend", "sendAsset", "withdraw3", "usdClassTransfer", "approveAgent", "approveBuilderFee", "vaultTransfer", "cDeposit",
    "subAccountTransfer", "createSubAccount", "tokenDelegate", "perpDeploy", "spotDeploy", "convertToMultiSigUser", "agentSendAsset",
])  # fmt: skip
def test_whatever_moves_funds_or_hands_power_on_is_refused_by_name(kind: str) -> None:
    assert refused(text({"type": kind, "amount": "1", "destination": "0x1"})) == "EXCHANGE_WITHDRAWAL"


@pytest.mark.parametrize(("payload", "code"), [
    (text({"type": "updateLeverage", "asset": 1, "isCross": True, "leverage": 50}), "EXCHANGE_UNLISTED"),
    (text({"type": "multiSig", "payload": {}}), "EXCHANGE_UNLISTED"),
    (text({"type": ["order"]}), "EXCHANGE_UNLISTED"),
    (text(placing() | {"builder": {"b": "0x1", "f": 10}}), "EXCHANGE_PARAMETER"),
    (text({"orders": [order()], "type": "order", "grouping": "na"}), "EXCHANGE_PARAMETER"),
    (text(placing(order(t=STOP))), "EXCHANGE_PARAMETER"),
    (text(placing(order(c="0x1"))), "EXCHANGE_PARAMETER"),
    (text(placing(order(a=True))), "EXCHANGE_PARAMETER"),
    (text(placing(*[order(s="1")] * 21)), "EXCHANGE_PARAMETER"),
    (text(placing() | {"grouping": "positionTpsl"}), "EXCHANGE_PARAMETER"),
    (text({"type": "order", "orders": [], "grouping": "na"}), "EXCHANGE_PARAMETER"),
    (text(placing(order(s="201"))), "EXCHANGE_PER_ORDER"),
    (text(placing(order(b=False, s="134"))), "EXCHANGE_PER_ORDER"),
    (text(placing(order(s="160"), order(s="160"))), "EXCHANGE_PER_DAY"),
    (text(placing(order(p="151", s="1"))), "EXCHANGE_COLLAR"),
    (text(placing(order(b=False, p="49", s="1"))), "EXCHANGE_COLLAR"),
    (text(placing(order(p="1e9"))), "EXCHANGE_ORDER"),
    (text(placing(order(s="-1"))), "EXCHANGE_ORDER"),
    (text(placing(order(a=2))), "EXCHANGE_LIMITS"),
    (text({"type": "modify", "oid": 5, "order": order(s="201")}), "EXCHANGE_PER_ORDER"),
    (text({"type": "batchModify", "modifies": [{"oid": CLOID, "order": order(a=9)}]}), "EXCHANGE_LIMITS"),
    (text(placing(), NOW_MS), "EXCHANGE_WINDOW"),
    (text(placing(), NOW_MS + 6_001), "EXCHANGE_WINDOW"),
    (text(placing(), None), "EXCHANGE_QUERY_INVALID"),
    (text(placing(), True), "EXCHANGE_QUERY_INVALID"),
    (json.dumps({"action": placing(), "expiresAfter": NOW_MS + 1}), "EXCHANGE_QUERY_INVALID"),
    (text(placing())[:-1] + ',"vaultAddress":"0x1"}', "EXCHANGE_QUERY_INVALID"),
    ('{"action":{"type":"order","type":"usdSend"},"expiresAfter":1}', "EXCHANGE_QUERY_INVALID"),
    ("[" * 5_000, "EXCHANGE_QUERY_INVALID"),
    ("", "EXCHANGE_QUERY_INVALID"),
])  # fmt: skip
def test_what_is_no_plain_bounded_order_is_refused(payload: str, code: str) -> None:
    assert refused(payload) == code


def test_other_paths_and_other_instruments_are_refused() -> None:
    assert refused(text(placing()), path="/info") == "EXCHANGE_UNLISTED"
    assert refused(text(placing()), symbols=frozenset({"7"})) == "EXCHANGE_SYMBOL"
    cancel = {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": CLOID}]}
    assert refused(text(cancel), symbols=frozenset({"7"})) == "EXCHANGE_SYMBOL"


def test_ending_orders_needs_no_limits_and_costs_nothing() -> None:
    for action in (
        {"type": "cancel", "cancels": [{"a": 99, "o": 12}]},
        {"type": "cancelByCloid", "cancels": [{"asset": 99, "cloid": CLOID}]},
        {"type": "scheduleCancel", "time": NOW_MS + 60_000},
        {"type": "scheduleCancel"},
    ):
        asked = hyperliquid.check("POST", "/exchange", text(action), now_ms=NOW_MS)
        assert hyperliquid.judged(asked, {}, {}, NOW_MS) == []


def test_no_changed_byte_of_a_request_ends_in_anything_but_a_refusal_or_a_plain_order() -> None:
    chance, payload = random.Random(7), text(placing(order(c=CLOID)))
    for _ in range(3_000):
        at = chance.randrange(len(payload))
        changed = payload[:at] + chr(chance.choice((34, 44, 48, 57, 58, 91, 93, 123, 125, 200))) + payload[at + chance.randrange(2) :]  # fmt: skip
        try:
            asked = hyperliquid.check("POST", "/exchange", changed, now_ms=NOW_MS)
            hyperliquid.judged(asked, LIMITS, {}, NOW_MS)
        except (Denied, Usage):
            continue
        assert asked.kind == "order" and asked.action["orders"][0]["a"] == 1


# the signer's own process: nonces and the ledger


def opened(folder: Path) -> tuple[Handlers, SpendLedger]:
    (folder / "key").write_text("0xAbC0000000000000000000000000000000000001")
    (folder / "secret").write_text("0x" + "01" * 32 + "\n")
    (folder / "key").chmod(0o600)
    (folder / "secret").chmod(0o600)
    limits = {"1": {"per_order": "20000", "per_day": "30000", "px_from": "50", "px_to": "150"}}
    reference = {"dialect": "hyperliquid", "api_key": f"file:{folder}/key", "secret": f"file:{folder}/secret"}
    settings = signer_settings(
        {
            "environment": "devnet",
            "ledger": str(folder / "ledger.jsonl"),
            "keystore": str(folder),
            "chains": [],
            "exchanges": {"hl": reference | {"limits": limits, "repeats": 1}},
        }
    )
    vault, ledger = Vault(settings), SpendLedger(folder / "ledger.jsonl")
    vault.open_exchanges()
    return Handlers(settings, vault, ledger), ledger


async def signed(handlers: Handlers, request: str, action: dict[str, Any]) -> dict[str, Any]:
    payload = text(action, time.time_ns() // 10**6 + 4_000)
    params = {"venue": "hl", "method": "POST", "path": "/exchange", "query": payload}
    told = await handlers.sign_exchange(request, params)
    found: dict[str, Any] = json.loads(told["signature"])
    sent = json.loads(payload)
    raw = bytes.fromhex(found["r"][2:] + found["s"][2:]) + bytes((found["v"],))
    hashed = action_hash(sent["action"], found["nonce"], None, sent["expiresAfter"])
    agent = SigningKey(b"\x01" * 32).address
    assert recover(agent_digest(hashed, mainnet=False), raw) == agent, (
        "a rehearsal signs for the test network"
    )
    assert recover(agent_digest(hashed, mainnet=True), raw) != agent
    return found


async def test_nonces_only_grow_within_a_millisecond_and_over_a_restart(tmp_path: Path) -> None:
    handlers, ledger = opened(tmp_path)
    cancels = [
        {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": f"0x{n:032x}"}]} for n in range(40)
    ]
    told = await asyncio.gather(
        *(signed(handlers, f"r{n}", action) for n, action in enumerate(cancels))
    )  # as from several processes
    nonces = [one["nonce"] for one in told]
    assert len(set(nonces)) == 40
    far = max(nonces) + 3_600_000  # a clock that was ahead, and was set back since
    facts = {"venue": "hl", "account": SigningKey(b"\x01" * 32).address, "nonce": str(far), "costs": []}
    ledger.record("exchange", "ahead", "00", 1, facts)
    ledger.close()
    handlers, ledger = opened(tmp_path)
    assert (await signed(handlers, "again", {"type": "scheduleCancel"}))["nonce"] == far + 1
    ledger.close()


async def test_a_request_asked_again_is_the_same_signature_and_counts_once(tmp_path: Path) -> None:
    handlers, ledger = opened(tmp_path)
    payload = text(placing(order(s="100")), time.time_ns() // 10**6 + 4_000)
    params = {"venue": "hl", "method": "POST", "path": "/exchange", "query": payload}
    first, second = await handlers.sign_exchange("r", params), await handlers.sign_exchange("r", params)
    assert first == second and ledger.ordered("hl", 0) == {"1": Decimal(10_000)}
    with pytest.raises(Denied, match="another content"):
        await handlers.sign_exchange("r", params | {"query": text({"type": "scheduleCancel"}, time.time_ns() // 10**6 + 4_000)})  # fmt: skip
    with pytest.raises(Denied) as error:
        await signed(handlers, "r3", placing(order(s="200"), order(s="100")))
    assert error.value.code == "EXCHANGE_PER_DAY"
    ledger.close()
    handlers, ledger = opened(tmp_path)
    assert ledger.ordered("hl", 0) == {"1": Decimal(10_000)}
    with pytest.raises(Denied) as error:
        await signed(handlers, "r4", {"type": "usdSend", "amount": "1"})
    assert error.value.code == "EXCHANGE_WITHDRAWAL"
    ledger.close()
