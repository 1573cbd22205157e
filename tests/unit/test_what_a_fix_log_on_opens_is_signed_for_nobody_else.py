"""The signer's judge of log-ons: the documented signature, and everything that is none of the owner's sessions, now."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from agent.app.exchange_bound import bounds_json, bounds_of, sentence
from agent.transport.fix.message import stamp, stamp_ns
from chains.errors import Denied, Usage
from keys.settings import load
from keys.signer import fix_logon

DOCUMENTED_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
SENT = "20240627-11:17:25.223"
NOW_MS = stamp_ns(SENT) // 10**6


def query(**changes: str) -> str:
    fields = {
        "MsgType": "A",
        "SenderCompID": "EXAMPLE",
        "TargetCompID": "SPOT",
        "MsgSeqNum": "1",
        "SendingTime": SENT,
    }
    return "&".join(f"{name}={value}" for name, value in (fields | changes).items())


def judged(text: str, method: str = "FIX", path: str = "LOGON", now_ms: int = NOW_MS) -> bytes:
    return fix_logon.check(method, path, text, senders=("EXAMPLE",), now_ms=now_ms)


def test_the_documented_log_on_has_the_documented_signature() -> None:
    text = judged(query())
    assert text == b"A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223"
    assert (
        fix_logon.sign(fix_logon.key_of(DOCUMENTED_KEY), text)
        == "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (query(SenderCompID="OTHER"), "EXCHANGE_FIX_SENDER"),
        (query(SenderCompID="EXAMPLE\x01SPOT"), "EXCHANGE_FIX_SENDER"),
        (query(TargetCompID="FUTURES"), "EXCHANGE_FIX_LOGON"),
        (query(MsgSeqNum="2"), "EXCHANGE_FIX_LOGON"),
        (query(MsgType="D"), "EXCHANGE_FIX_LOGON"),
        (query() + "&RecvWindow=60000", "EXCHANGE_FIX_LOGON"),
        ("MsgType=A&SenderCompID=EXAMPLE", "EXCHANGE_FIX_LOGON"),
        ("", "EXCHANGE_FIX_LOGON"),
        (query(SendingTime="20240627-11:17:25"), "EXCHANGE_FIX_TIME"),
        (query(SendingTime="20241327-11:17:25.223"), "EXCHANGE_FIX_TIME"),
        (query(SendingTime=stamp((NOW_MS + 5_001) * 10**6)), "EXCHANGE_FIX_TIME"),
        (query(SendingTime=stamp((NOW_MS - 5_001) * 10**6)), "EXCHANGE_FIX_TIME"),
    ],
)
def test_what_is_no_new_session_of_a_listed_sender_now_is_refused(text: str, code: str) -> None:
    with pytest.raises(Denied) as refused:
        judged(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/api/v3/order", "EXCHANGE_UNLISTED"),
        ("FIX", "LOGOUT", "EXCHANGE_UNLISTED"),
        ("POST", "/sapi/v1/capital/withdraw/apply", "EXCHANGE_WITHDRAWAL"),
    ],
)
def test_the_key_of_sessions_signs_nothing_else(method: str, path: str, code: str) -> None:
    with pytest.raises(Denied) as refused:
        judged(query(), method, path)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "pem", [b"", b"hunter2-hunter2", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_secret_that_is_no_such_key_is_named_and_not_shown(pem: bytes) -> None:
    with pytest.raises(Usage) as refused:
        fix_logon.key_of(pem)
    assert refused.value.code == "BAD_PRIVATE_KEY" and (not pem or pem.decode() not in str(refused.value))


FIX = {"dialect": "binance-fix", "api_key": "env:K", "secret": "env:S", "senders": ["FLEAD1"]}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"senders": []}, "exchanges.x.senders"),
        ({"senders": ["TOOLONG89"]}, "exchanges.x.senders[0]"),
        ({"senders": ["A|B"]}, "exchanges.x.senders[0]"),
        ({"symbols": ["ETHUSDC"]}, "exchanges.x.symbols"),
        ({"sends_to": "https://api.example"}, "exchanges.x.sends_to"),
        ({"allow": ["POST /api/v3/order"]}, "exchanges.x.allow"),
        ({"dialect": "binance"}, "exchanges.x.senders"),
    ],
)
def test_settings_that_would_promise_a_bound_are_refused(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    file = tmp_path / "signer.json"
    data = {
        "environment": "devnet",
        "ledger": "l",
        "keystore": "k",
        "chains": [],
        "exchanges": {"x": FIX | changes},
    }
    file.write_text(json.dumps(data))
    with pytest.raises(Usage) as refused:
        load(file)
    assert named in str(refused.value)


def test_the_bound_of_an_exchange_with_sessions_is_all_that_lies_there() -> None:
    rest = {"per_day_usd": "5.00", "repeats": 1, "sends": True, "symbols": []}
    told = {"exchange_limits": {"paper": rest, "paper-fix": {**rest, "per_day_usd": "0", "logs_on": True}}}
    plain, sessions = bounds_of(told, ["paper"]) or ()
    assert plain.per_day_usd == Decimal(5) and sessions.per_day_usd is None
    assert sentence(sessions).startswith("at exchange paper-fix: all that lies there")
    assert (bounds_json((sessions,)) or [{}])[0]["per_day_usd"] is None
