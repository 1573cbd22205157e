"""One share's part in a key generation, a refresh or a signature: its engine on one side, the other shares on the other. No I/O but the engine's.

    op = Operation(me, parties, …)     op.deliver(…) → what goes to whom, sealed      op.result once it is over

What one share says to another travels through the coordinator, in a Noise channel of the two whose prologue names the operation: he can
lose a message, not read, change, repeat or move one to another operation. Each round is one envelope to each other share:

    {"round", "all": […], "to": […], "seen"}      all: said to everybody; to: for this one only; base64
    {"round", "final", "seen"}                    the end: the hash of what came out

`seen` is a hash over everything said to everybody in the rounds before, so a share that tells two others different things is found out
by the next envelope. A message that does not fit ends the operation for all (Denied MPC_ABORTED naming the share), and nothing is kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from chains.errors import Denied
from keys.mpc_engine import Engine, aborted, read_base64
from keys.mpc_link import pack, unpack
from keys.noise import Channel, Handshake

MAX_ROUNDS = 64


class Operation:
    """`peers`: the static public keys of the other parties. `secret`: our own static key. `about` names the operation."""

    def __init__(
        self,
        me: int,
        parties: Sequence[int],
        peers: Mapping[int, bytes],
        secret: bytes,
        about: bytes,
        engine: Engine,
    ) -> None:
        self._me, self._others, self._engine = me, sorted(set(parties) - {me}), engine
        self._shakes = {j: self._handshake(j, peers[j], secret, about) for j in self._others}
        self._channels: dict[int, Channel] = {}
        self._inbox: dict[int, deque[dict[str, Any]]] = {j: deque() for j in self._others}
        self._out: list[dict[str, Any]] = []
        self._round, self._said = 0, False
        self._transcript = hashlib.sha256(about).digest()
        self._mine: tuple[list[bytes], dict[int, list[bytes]]] = ([], {})
        self._done: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None

    def _handshake(self, other: int, peer: bytes, secret: bytes, about: bytes) -> Handshake:
        low, high = sorted((self._me, other))
        return Handshake(self._me < other, secret, peer, about + f" {low}-{high}".encode())

    def start(self) -> list[dict[str, Any]]:
        """The first that goes out. The lower party of two begins their channel."""
        self._take(self._engine.start())
        for j in self._others:
            if self._me < j:
                self._send(j, self._shakes[j].write())
        return self._flush()

    def deliver(self, boxes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What came from the others; what goes out now. Raises Denied MPC_ABORTED, and what the engine raises."""
        for box in boxes:
            sender = box.get("from")
            if sender not in self._inbox or not isinstance(sender, int):
                raise aborted(None, f"sent from {sender!r}, who takes no part")
            try:
                self._open(sender, read_base64(box.get("box")))
            except Denied as error:
                raise aborted(sender, f"or the coordinator changed a message: {error.message}") from None
        self._advance()
        return self._flush()

    def _open(self, sender: int, raw: bytes) -> None:
        channel = self._channels.get(sender)
        if channel is not None:
            self._inbox[sender].append(unpack(channel.open(raw)))
            return
        shake = self._shakes[sender]
        shake.read(raw)
        if self._me > sender:
            self._send(sender, shake.write())
        self._channels[sender] = shake.channel()

    def _send(self, to: int, box: bytes) -> None:
        self._out.append({"to": to, "box": base64.b64encode(box).decode()})

    def _flush(self) -> list[dict[str, Any]]:
        out, self._out = self._out, []
        return out

    def _take(self, answer: Mapping[str, Any]) -> None:
        """The engine's word: the next round, or the end."""
        if "done" in answer:
            done = answer["done"]
            if not isinstance(done, dict) or not all(isinstance(v, str) for v in done.values()):
                raise aborted(self._me, "has an engine whose result is none")
            self._done, self._mine = done, ([], {})
            return
        sends = answer.get("send")
        everybody: list[bytes] = []
        single: dict[int, list[bytes]] = {j: [] for j in self._others}
        for one in sends if isinstance(sends, list) else [{}]:
            to = one.get("to") if isinstance(one, dict) else -1
            if to is None and "data" in one:
                everybody.append(read_base64(one["data"]))
            elif to in single:
                single[to].append(read_base64(one.get("data")))
            else:
                raise aborted(self._me, "has an engine that speaks to nobody here")
        self._mine = (everybody, single)

    def _advance(self) -> None:
        """Says the round once every channel stands; goes on once every other share has said it too."""
        while self.result is None and len(self._channels) == len(self._others):
            if not self._said:
                self._say()
            if not all(self._inbox.values()):
                return
            if self._round >= MAX_ROUNDS:
                raise aborted(None, f"went on for more than {MAX_ROUNDS} rounds")
            self._hear({j: self._inbox[j].popleft() for j in self._others})
            self._round, self._said = self._round + 1, False

    def _say(self) -> None:
        everybody, single = self._mine
        for j in self._others:
            body: dict[str, Any] = {"round": self._round, "seen": self._transcript.hex()}
            if self._done is not None:
                body["final"] = _outcome(self._done)
            else:
                body["all"] = [base64.b64encode(d).decode() for d in everybody]
                body["to"] = [base64.b64encode(d).decode() for d in single[j]]
            self._send(j, self._channels[j].seal(pack(body)))
        self._said = True

    def _hear(self, said: Mapping[int, Mapping[str, Any]]) -> None:
        for j, envelope in said.items():
            if envelope.get("round") != self._round:
                raise aborted(j, f"is at round {str(envelope.get('round'))[:10]}, not {self._round}")
            if envelope.get("seen") != self._transcript.hex():
                raise aborted(None, f"told share {j} and share {self._me} different things")
            if ("final" in envelope) != (self._done is not None):
                raise aborted(j, "ended in another round than the others")
        if self._done is not None:
            for j, envelope in said.items():
                if envelope["final"] != _outcome(self._done):
                    raise aborted(j, "came to another result")
            self.result = self._done
            return
        got = []
        broadcasts = {self._me: self._mine[0]}
        for j, envelope in said.items():
            for name in ("all", "to"):
                if not isinstance(envelope.get(name), list):
                    raise aborted(j, "sent an envelope with nothing in it")
            broadcasts[j] = [read_base64(d) for d in envelope["all"]]
            got += [{"from": j, "all": True, "data": d} for d in envelope["all"]]
            got += [{"from": j, "all": False, "data": d} for d in envelope["to"]]
        for j in sorted(broadcasts):
            for data in broadcasts[j]:
                self._transcript = hashlib.sha256(
                    self._transcript + bytes([j]) + hashlib.sha256(data).digest()
                ).digest()
        self._take(self._engine.tell({"got": got}))


def _outcome(done: Mapping[str, Any]) -> str:
    """What all shares must agree on: the public key, or the signature. The share itself stays out of it."""
    return hashlib.sha256(
        "|".join(f"{k}={v}" for k, v in sorted(done.items()) if k != "share").encode()
    ).hexdigest()
