"""The part of each share in one operation, with a relay in between that may do what it likes, and a share that tells two stories."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mpc_group import HERE

from chains.errors import Denied, FairleadError
from keys.mpc_engine import Engine
from keys.mpc_link import pack
from keys.mpc_operation import Operation
from keys.noise import public_of

SECRETS = {n: bytes([n + 10]) * 32 for n in range(3)}
Relay = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class TwoStories(Operation):
    """Tells each other share something else, and says it told everybody."""

    def _say(self) -> None:
        for j in self._others:
            everybody = [d if j != 2 else d[:-3] + b'0"]' for d in self._mine[0]]
            body = {"round": self._round, "seen": self._transcript.hex()}
            body |= {"all": [base64.b64encode(d).decode() for d in everybody]}
            body |= {"to": [base64.b64encode(d).decode() for d in self._mine[1].get(j, [])]}
            self._send(j, self._channels[j].seal(pack(body)))
        self._said = True


@contextmanager
def three(
    folder: Path, crooked: type[Operation] = Operation, about: tuple[bytes, ...] = (b"x",) * 3
) -> Iterator[dict[int, Operation]]:
    mood = folder / "mood"
    mood.write_text("")
    with ExitStack() as stack:
        made = {}
        for n in range(3):
            question = {"do": "keygen", "party": n, "parties": [0, 1, 2], "total": 3, "threshold": 2}
            engine = Engine([sys.executable, str(HERE / "toy_threshold_engine.py"), str(mood)], question, 20)
            stack.callback(engine.close)
            kind = crooked if n == 0 else Operation
            peers = {j: public_of(s) for j, s in SECRETS.items()}
            made[n] = kind(n, [0, 1, 2], peers, SECRETS[n], about[n], engine)
        yield made


def carry(parties: dict[int, Operation], relay: Relay = lambda boxes: boxes) -> dict[int, dict[str, Any]]:
    moving = [{"from": n, **box} for n, op in parties.items() for box in op.start()]
    for _ in range(20):
        moving = relay(moving)
        if not moving:
            break
        moving = [
            {"from": n, **box}
            for n, op in parties.items()
            for box in op.deliver([m for m in moving if m["to"] == n])
        ]
    return {n: op.result for n, op in parties.items() if op.result is not None}


def test_all_come_to_one_key_and_keep_their_shares_to_themselves(tmp_path: Path) -> None:
    seen: list[str] = []

    def listening(boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seen.extend(base64.b64decode(b["box"]).hex() for b in boxes)
        return boxes

    with three(tmp_path) as parties:
        results = carry(parties, listening)
    assert len(results) == 3 and len({r["public"] for r in results.values()}) == 1
    assert len({r["share"] for r in results.values()}) == 3
    text = "".join(seen)
    assert seen and all(r["share"][:64] not in text and r["public"] not in text for r in results.values())


def bend(box: dict[str, Any]) -> dict[str, Any]:
    raw = base64.b64decode(box["box"])
    return box | {"box": base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()}


@pytest.mark.parametrize(
    "relay",
    [
        lambda boxes: [bend(b) if b["from"] == 1 else b for b in boxes],
        lambda boxes: [*boxes, *boxes],
        lambda boxes: [b | {"from": (b["from"] + 1) % 3} if b["from"] == 1 else b for b in boxes],
        lambda boxes: [b | {"from": 7} for b in boxes],
        lambda boxes: [b | {"box": "%%"} for b in boxes],
    ],
    ids=["changed", "repeated", "under another name", "from nobody", "no base64"],
)
def test_a_relay_that_does_more_than_carry_ends_the_operation(tmp_path: Path, relay: Relay) -> None:
    with three(tmp_path) as parties, pytest.raises(Denied) as denied:
        carry(parties, relay)
    assert denied.value.code in ("MPC_ABORTED", "MPC_ENGINE_ANSWER")


def test_a_relay_that_drops_messages_only_keeps_it_from_ending(tmp_path: Path) -> None:
    with three(tmp_path) as parties:
        assert carry(parties, lambda boxes: [b for b in boxes if b["from"] != 2]) == {}


def test_what_was_said_in_another_operation_does_not_open(tmp_path: Path) -> None:
    with three(tmp_path, about=(b"x", b"x", b"another digest")) as parties, pytest.raises(Denied) as denied:
        carry(parties)
    assert denied.value.code == "MPC_ABORTED"


def test_a_share_that_tells_two_stories_is_found_out(tmp_path: Path) -> None:
    """The engine alone would not see it where the two stories each fit; the next envelope does."""
    with three(tmp_path, TwoStories) as parties, pytest.raises(FairleadError) as error:
        carry(parties)
    # Told by the engine, or noticed by its end where it had ended already when it was told the next thing: nothing is signed.
    assert error.value.code in ("MPC_ABORTED", "MPC_ENGINE_GONE")


def test_an_engine_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FairleadError, match="MPC_ENGINE_MISSING"):
        Engine([str(tmp_path / "nothing")], {}, 1)
    for code, said in (
        ("print('not json')", "CHANNEL_NOT_AUTHENTIC"),
        ("import sys; sys.exit(3)", "MPC_ENGINE_GONE"),
        ("import time; time.sleep(9)", "MPC_ENGINE_SILENT"),
        ('print(\'{"fail": "why", "party": 1}\')', "MPC_ABORTED"),
    ):
        engine = Engine([sys.executable, "-c", code], {}, 1)
        with pytest.raises(FairleadError) as error:
            engine.start()
        engine.close()
        assert error.value.code == said
