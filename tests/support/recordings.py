"""Real exchanges as they were recorded: frames with the time each was heard, and single payloads by name."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

DATA = Path(os.environ.get("FAIRLEAD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
_HEARD = re.compile(r"(\d+)\.(\d+): (.*)")


def recording(folder: str, name: str) -> Path:
    path = DATA / folder / name
    if not path.exists():
        pytest.skip(f"the recording is not here: {path}")
    return path


def unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()


def heard(name: str) -> Iterator[tuple[int, str]]:
    """(ns, frame) of one capture of a socket; what was sent to the venue is left out."""
    for line in unpacked(recording("exchange-streams", f"cryptofeed__{name}.0.zst")).decode().splitlines():
        found = _HEARD.fullmatch(line)
        if found:
            yield int(found[1]) * 10**9 + int(found[2][:9].ljust(9, "0")), found[3]


def asked(name: str) -> Iterator[tuple[str, str]]:
    """(URL, body) of one capture of REST."""
    for line in unpacked(recording("exchange-streams", f"cryptofeed__{name}.0.zst")).decode().splitlines():
        url, arrow, rest = line.partition(" -> ")
        if arrow:
            yield url, rest.partition(": ")[2]


def minutes(market: str) -> Iterator[tuple[int, bytes]]:
    """(ns, frame) of six minutes of Binance's BTCUSDT: `spot` or `usdm`. One of them is the answer of REST depth."""
    with gzip.open(recording("exchange-streams", f"hftbacktest__{market}_btcusdt_20240808.gz"), "rb") as file:
        for line in file:
            at, _, frame = line.partition(b" ")
            yield int(at), frame


def payloads(folder: str) -> dict[str, bytes]:
    """Name to body of one venue's single payloads."""
    tar = tarfile.open(fileobj=io.BytesIO(unpacked(recording("exchange-payloads", "nautilus-lgpl.tar.zst"))))
    found = {}
    for member in tar:
        _, _, name = member.name.partition(f"nautilus-lgpl/{folder}/")
        if name.endswith(".json"):
            file = tar.extractfile(member)
            assert file is not None
            found[name.removesuffix(".json")] = file.read()
    return found


def cassettes() -> dict[str, list[tuple[str, str]]]:
    """Name to (request, answer) pairs of recorded exchanges with Hyperliquid's /info."""
    tar = tarfile.open(
        fileobj=io.BytesIO(unpacked(recording("exchange-payloads", "hyperliquid-cassettes-mit.tar.zst")))
    )
    found = {}
    for member in tar:
        if member.name.endswith(".yaml"):
            file = tar.extractfile(member)
            assert file is not None
            name = Path(member.name).stem
            found[name] = _interactions(file.read().decode())
    return found


def _interactions(text: str) -> list[tuple[str, str]]:
    import yaml

    return [
        (one["request"]["body"], one["response"]["body"]["string"])
        for one in yaml.safe_load(text)["interactions"]
    ]
