"""Several builders behind one chain: each sees only what it was handed, each wins its share of the slots, some slots none of them.

    --builder NAME:SHARE[:KEY=VALUE…]      SHARE in per cent of slots; what is left over nobody of them wins
        latency=MS   until what arrives counts             cutoff=MS   before the slot's end nothing more is taken
        race=PCT     of cancels come too late for a slot   lag=BLOCKS  that the status API is behind; `lies` instead of telling
        leaks=publish   tells the public pool              leaks=replay   sends the inner call from an account of its own
        leaks=sell      shows what it was handed to whoever asks at GET /builder/NAME/leaked (a searcher who pays for it)

Who wins is drawn by the seed, once for every block built: a block that is built again after a reorganisation is drawn anew.
Sources: the shares are blog figures of February 2026 (49, 28, 17 per cent); all else is devised to be worse than usual.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chains.devnet.relay_pool import Lot, Pools, Status
from chains.errors import Usage
from chains.evm import checksum, keccak
from chains.rawtx import RawTx, decode_raw
from chains.types import Address, Hash32

LEAKS = ("", "publish", "replay", "sell")
NUMBERS = ("latency", "cutoff", "race", "lag")
NOBODY = ""
SHOWN = 200


@dataclass(slots=True)
class Builder:
    """One builder. `share` and `race` in per cent, times in ms, `lag` in blocks."""

    name: str
    share: int
    latency: int = 0
    cutoff: int = 0
    race: int = 0
    lag: int = 0
    lies: bool = False
    leaks: str = ""

    @property
    def coinbase(self) -> Address:
        """Who a block of this builder says it is by: everybody can read that from the block."""
        return checksum("0x" + keccak(f"builder {self.name}".encode())[12:].hex())


def parse(text: str) -> Builder:
    """Raises Usage BAD_BUILDER, naming the word that is wrong."""
    words = text.split(":")
    if len(words) < 2 or not words[0].isidentifier() or not words[1].isdigit() or int(words[1]) > 100:
        raise Usage("BAD_BUILDER", f"--builder {text!r} is not NAME:SHARE", "write it like titan:49:race=30")
    found = Builder(words[0], int(words[1]))
    for word in words[2:]:
        change(found, *word.partition("=")[::2])
    return found


def change(builder: Builder, name: str, value: object) -> None:
    """Sets one of the words above. Raises Usage BAD_BUILDER."""
    text = str(value)
    if name in NUMBERS and text.isdigit():
        setattr(builder, name, int(text))
    elif name == "lies":
        builder.lies = text not in ("0", "False")
    elif name == "leaks" and text in LEAKS:
        builder.leaks = text
    else:
        raise Usage(
            "BAD_BUILDER",
            f"{builder.name}: {name}={text}",
            f"known: {', '.join(NUMBERS)} (numbers), lies, leaks=publish, leaks=replay, leaks=sell",
        )


@dataclass(slots=True)
class Auction:
    """Who builds the next block, and what each of them holds. Raises Usage BAD_BUILDER where shares exceed 100 per cent."""

    builders: Sequence[Builder]
    pools: Pools
    seed: int = 0
    rooms: dict[str, Pools] = field(default_factory=dict)
    winners: list[dict[str, Any]] = field(default_factory=list)
    sold: dict[str, dict[Hash32, RawTx]] = field(default_factory=dict)
    rng: random.Random = field(default_factory=random.Random)
    drawn: int = 0

    def __post_init__(self) -> None:
        names = [b.name for b in self.builders]
        if len(set(names)) < len(names) or sum(b.share for b in self.builders) > 100:
            raise Usage(
                "BAD_BUILDER", "shares exceed 100 per cent, or a name is there twice", "see --builder"
            )
        self.rooms = {name: self.pools.room(name) for name in names}
        self.rng.seed(f"auction {self.seed}")

    def named(self, name: str) -> Builder | None:
        return next((b for b in self.builders if b.name == name), None)

    def draw(self) -> Builder | None:
        """The winner of the next slot; None where it is nobody of these."""
        self.drawn += 1
        at = random.Random(f"slot {self.seed} {self.drawn}").randrange(100)
        for builder in self.builders:
            if at < builder.share:
                return builder
            at -= builder.share
        return None

    def built(self, number: int, block_hash: Hash32, winner: Builder | None) -> None:
        name = winner.name if winner is not None else NOBODY
        self.winners.append({"block": number, "block_hash": block_hash, "winner": name})

    def in_time(self, builder: Builder, lot: Lot, now_ms: int) -> bool:
        """Whether it had arrived, and was looked at, when this slot's bids closed."""
        return lot.arrived_ms + builder.latency <= now_ms - builder.cutoff

    def sell(self, builder: Builder, tx: RawTx) -> None:
        self.sold.setdefault(builder.name, {}).setdefault(tx.hash, tx)

    def shown(self, builder: Builder) -> list[str]:
        """Raw transactions that this builder gives away, the newest last; none where it keeps its word."""
        return ["0x" + tx.raw.hex() for tx in list(self.sold.get(builder.name, {}).values())[-SHOWN:]]

    def cancels_late(self, builder: Builder) -> bool:
        """Whether the bid that holds it is placed already: then it may still land in the next block."""
        return self.rng.randrange(100) < builder.race

    def status_told(self, builder: Builder, shown: dict[str, Any], head: int) -> dict[str, Any]:
        """What its status API answers where the truth is `shown`: late, or wrong."""
        if builder.lies:
            wrong = Status.FAILED if shown["status"] == Status.INCLUDED.value else Status.INCLUDED
            return {**shown, "status": wrong.value}
        if shown["status"] == Status.INCLUDED.value and builder.lag:
            landed = next((e["block"] for e in self.pools.included if e["hash"] == shown["hash"]), head)
            if head < landed + builder.lag:
                return {**shown, "status": Status.PENDING.value}
        return shown


REPLAYER = keccak(b"a builder that replays")
"""The leaky builder's own key: worth nothing anywhere else."""


def replayer() -> Address:
    from eth_account import Account

    return checksum(str(Account.from_key(REPLAYER).address))


def replayed(tx: RawTx, nonce: int, max_fee_wei: int) -> RawTx:
    """The same call from another account: whoever has seen a Safe's signatures can submit them."""
    from eth_account import Account

    fields = {
        "chainId": tx.chain_id, "nonce": nonce, "to": tx.to, "value": tx.value, "data": "0x" + tx.data.hex(), "gas": tx.gas,
        "type": 2, "maxFeePerGas": max(max_fee_wei, tx.max_fee_wei), "maxPriorityFeePerGas": tx.max_priority_fee_wei + 1,
    }  # fmt: skip
    signed = Account.from_key(REPLAYER).sign_transaction(fields)
    return decode_raw(bytes(signed.raw_transaction))
