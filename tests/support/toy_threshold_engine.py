"""TEST ONLY, never for a key that is worth anything: a threshold "engine" that puts the key together in one process to sign.

    python toy_threshold_engine.py MOOD_FILE

It speaks the lines of `keys.mpc_engine`: Shamir shares over secp256k1's order with Feldman's commitments, made without a dealer; a refresh
adds shares of zero. To sign, the lower of two hands its weighted share to the higher, who knows the key from then on: that is what real
threshold signatures avoid, and why this one is not in `keys`. MOOD_FILE holds its bad day: bad-share, equivocate, dies, silent, lies, or nothing;
with a party's number before it (`1 dies`) only that one's.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from coincurve import PrivateKey, PublicKey

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def point(scalar: int) -> PublicKey:
    return PrivateKey((scalar % N).to_bytes(32, "big")).public_key


def added(points: list[PublicKey]) -> PublicKey:
    return points[0] if len(points) == 1 else PublicKey.combine_keys(points)


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def hear() -> list[dict[str, Any]]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)
    got: list[dict[str, Any]] = json.loads(line)["got"]
    return got


def mood(asked: dict[str, Any]) -> str:
    words = Path(sys.argv[1]).read_text().split()
    return "" if len(words) == 2 and words[0] != str(asked["party"]) else (words or [""])[-1]


def deal(asked: dict[str, Any], first: int, mine: str) -> tuple[int, list[list[PublicKey]]]:
    """Each deals a polynomial; (the sum of what we were dealt, everybody's commitments to the coefficients from `first`)."""
    me, parties = asked["party"], asked["parties"]
    f = [secrets.randbelow(N - 1) + 1 if k >= first else 0 for k in range(asked["threshold"])]

    def at(party: int) -> int:
        return sum(c * (party + 1) ** k for k, c in enumerate(f)) % N

    commitments = [point(c).format().hex() for c in f[first:]]
    bend = 1 if mine == "bad-share" else 0
    sends = [{"to": None, "data": b64(json.dumps(commitments).encode())}]
    sends += [{"to": j, "data": b64(((at(j) + bend) % N).to_bytes(32, "big"))} for j in parties if j != me]
    say({"send": sends})
    total, known = at(me), [[PublicKey(bytes.fromhex(c)) for c in commitments]]
    got = hear()
    for j in (p for p in parties if p != me):
        said = {g["all"]: base64.b64decode(g["data"]) for g in got if g["from"] == j}
        theirs = [PublicKey(bytes.fromhex(c)) for c in json.loads(said[True])]
        value = int.from_bytes(said[False], "big")
        wanted = added(
            [c.multiply(((me + 1) ** (k + first) % N).to_bytes(32, "big")) for k, c in enumerate(theirs)]
        )
        if point(value).format() != wanted.format():
            say({"fail": "what it dealt does not fit what it committed to", "party": j})
            sys.exit(0)
        total, known = (total + value) % N, [*known, theirs]
    return total, known


def sign(asked: dict[str, Any], mine: str) -> None:
    me, parties = asked["party"], asked["parties"]
    share, public = int(asked["share"][:64], 16), bytes.fromhex(asked["share"][64:])
    weight = share
    for j in (p for p in parties if p != me):
        weight = weight * (j + 1) * pow(j - me, -1, N) % N
    low, high = min(parties), max(parties)
    bend = 1 if mine == "bad-share" else 0
    say({"send": [{"to": high, "data": b64(((weight + bend) % N).to_bytes(32, "big"))}] if me == low else []})
    got = hear()
    if me == low:
        say({"send": []})
        raw = base64.b64decode(hear()[0]["data"])
    else:
        key = (weight + int.from_bytes(base64.b64decode(got[0]["data"]), "big")) % N
        if point(key).format() != public:
            say({"fail": "its share does not fit the key", "party": low})
            sys.exit(0)
        used = key + 1 if mine == "lies" else key
        raw = PrivateKey((used % N).to_bytes(32, "big")).sign_recoverable(
            bytes.fromhex(asked["digest"]), hasher=None
        )[:64]
        say({"send": [{"to": low, "data": b64(raw)}]})
        hear()
    say({"done": {"r": raw[:32].hex(), "s": raw[32:].hex()}})


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    mine = mood(asked)
    if mine == "dies":
        os._exit(9)
    if mine == "silent":
        time.sleep(60)
    if asked["do"] == "sign":
        sign(asked, mine)
    elif asked["do"] == "keygen":
        share, known = deal(asked, 0, mine)
        public = added([c[0] for c in known]).format()
        say({"done": {"share": share.to_bytes(32, "big").hex() + public.hex(), "public": public.hex()}})
    else:
        delta, _ = deal(asked, 1, mine)
        share, public_hex = (int(asked["share"][:64], 16) + delta) % N, asked["share"][64:]
        say({"done": {"share": share.to_bytes(32, "big").hex() + public_hex, "public": public_hex}})


main()
