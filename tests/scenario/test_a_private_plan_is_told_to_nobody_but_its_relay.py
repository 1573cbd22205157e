"""A whole trade with every request to the public endpoint kept: none holds a piece of the calldata, none names the hash early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from home_fixture import PENDING, Home
from recording_rpc import Heard, RecordingRpc

from agent.domain.events import Authorized
from chains.types import Protection

WINDOW = 32
"""Bytes of a fragment that is looked for: a padded address has more zeros than `words` lets count, a pool's path fewer."""


@pytest.fixture
def watched(home: Home) -> Iterator[tuple[RecordingRpc, Path]]:
    """Settings whose public endpoint of chain 1 keeps all it is asked; the relay stays where it is."""
    text = home.settings_path.read_text()
    url = home.urls[1]
    with RecordingRpc(url) as door:
        changed = home.settings_path.with_name("watched.toml")
        listed = f'rpc = ["{url}"'
        assert listed in text
        start = text.index(listed)
        end = text.index("]", start) + 1
        changed.write_text(text[:start] + f'rpc = ["{door.url}"]' + text[end:])
        yield door, changed


def signed(home: Home, before: set[str]) -> list[Authorized]:
    return [
        r.authorized
        for name, r in home.book().parts.items()
        if name not in before and r.authorized is not None and r.authorized.chain_id == 1
    ]


def words(data: bytes) -> Iterator[bytes]:
    """Every stretch of WINDOW bytes that is not mostly zeros: zero padding is in every call there is."""
    for at in range(len(data) - WINDOW):
        piece = data[at : at + WINDOW]
        if piece.count(0) <= WINDOW // 4:
            yield piece


def tells(heard: list[Heard], secret: bytes, known: bytes = b"") -> list[str]:
    """The requests that hold a piece of `secret` which `known` does not hold."""
    pieces = {p.hex() for p in words(secret)} - {p.hex() for p in words(known)}
    found = []
    for one in heard:
        body = one.body.decode(errors="replace").lower()
        runs = {body[i : i + 2 * WINDOW] for i in range(len(body) - 2 * WINDOW)}
        if runs & pieces:
            found.append(one.body[:200].decode(errors="replace"))
    return found


def test_a_filled_trade(home: Home, watched: tuple[RecordingRpc, Path]) -> None:
    door, settings = watched
    before = set(home.book().parts)
    done = home.run(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900", settings)
    assert done.status == 0, done.err
    (mine,) = signed(home, before)
    assert mine.protection is Protection.PRIVATE
    assert len(door.heard) > 10  # the door was really used
    assert len(set(words(mine.raw))) > 100
    assert tells(door.heard, mine.raw) == []
    methods = {call["method"] for one in door.heard for call in calls(one)}
    assert not methods & {
        "eth_sendRawTransaction",
        "eth_estimateGas",
        "eth_createAccessList",
        "debug_traceCall",
    }
    assert not any(m.startswith(("trace_", "debug_", "eth_simulate", "eth_sign")) for m in methods)


def calls(one: Heard) -> list[dict[str, object]]:
    parsed = orjson.loads(one.body)
    return parsed if isinstance(parsed, list) else [parsed]


def test_the_hash_is_asked_for_only_after_a_block_holds_it(
    home: Home, watched: tuple[RecordingRpc, Path]
) -> None:
    door, settings = watched
    before = set(home.book().parts)
    home.pause()
    running = home.start(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900", settings)
    running.says("handed to  flashbots")
    (mine,) = signed(home, before)
    seen = len(door.heard)
    while len(door.heard) < seen + 10:  # the tracker looks again and again while it waits
        assert running.process.poll() is None
    waiting = list(door.heard)
    assert not any(mine.tx_hash.lower().encode() in one.body.lower() for one in waiting)
    home.go_on()
    assert running.end().status == 0, running.err
    assert any(mine.tx_hash.lower().encode() in one.body.lower() for one in door.heard[len(waiting) :])
    assert tells(door.heard, mine.raw) == []


def test_a_trade_that_would_revert_or_is_refused_tells_nothing_either(
    home: Home, watched: tuple[RecordingRpc, Path]
) -> None:
    """The error paths: simulated and then refused by the owner of the machine's own limits, or left at a dry run."""
    door, settings = watched
    for more in ("--dry-run", "--live --yes --max-loss 0.01"):
        home.run(f"trade sell {PENDING} ETH --for USDC {more}", settings)
    asked = [call for one in door.heard for call in calls(one)]
    sent = [orjson.dumps(call) for call in asked if call["method"] in ("eth_call", "eth_estimateGas")]
    # Selectors of execTransaction, multiSend and the router's execute: no read of ours begins like this.
    for selector in (b"6a761202", b"8d80ff0a", b"3593564c"):
        assert not any(selector in body for body in sent)


def test_the_finder_finds(home: Home, watched: tuple[RecordingRpc, Path]) -> None:
    """The search itself can fail: a request with a piece of the calldata is found."""
    door, _ = watched
    raw = bytes(range(1, 200))
    body = orjson.dumps({"method": "eth_call", "params": [{"data": "0x" + raw[50:90].hex()}]})
    assert tells([Heard(0, "/", "", body)], raw)
    assert door.heard == []
