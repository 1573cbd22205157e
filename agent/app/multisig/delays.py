"""What waits in the wallet's Delay modifiers: each is a transaction of the Safe that needs no owner any more, and in its turn anybody's to execute.

One is ended by its owner's `setTxNonce`, which skips it and all before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.app.multisig.words import instant
from agent.app.watching.words import age
from chains import gate_code
from chains.delays import Delay, Queued, delay_at
from chains.types import Address, ChainReader
from contracts.codec import encode
from keys import landmarks, reading
from keys.safe import SafeTx
from keys.sentences_words import Tokens, span


async def delays_of(chain: ChainReader, modules: Iterable[Address]) -> tuple[Delay, ...]:
    """Those of a Safe's modules that are Delays. Raises Retry where the chain does not answer."""
    found = [await delay_at(chain, module) for module in modules]
    return tuple(delay for delay in found if delay is not None)


def sentence(delay: Delay, wallet: Address) -> str:
    """The modifier itself: who may queue, how long it waits, who can stop it."""
    whose = "this wallet" if delay.owner == wallet else f"SOMEBODY ELSE ({delay.owner})"
    acts = (
        ""
        if delay.target == delay.avatar == wallet
        else f"; it acts for {delay.avatar} through {delay.target}"
    )
    who = ", ".join(delay.modules) or "nobody"
    until = f"for {span(delay.expiration_s)}" if delay.expiration_s else "for ever"
    waits = f"{delay.end_number - delay.next_number} waiting"
    return (
        f"{delay.address} is a Zodiac Delay of {whose}: what {who} may queue waits {span(delay.cooldown_s)}, and anybody can then have it "
        f"executed as this wallet, {until}, without any owner; {waits}{acts}"
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """One transaction that waits, as it is told."""

    chain: str
    wallet: Address
    delay: Delay
    queued: Queued

    @property
    def state(self) -> str:
        now, (first, last) = self.delay.block.timestamp, self.delay.due(self.queued)
        before = self.queued.number - self.delay.next_number
        turn = f", after {before} other{'s' if before > 1 else ''}" if before else ""
        if last is not None and now > last:
            return f"expired at {instant(last)}: it can never be executed"
        until = f" until {instant(last)}" if last is not None else ", for ever"
        if now < first:
            return f"in its cooldown for another {age(first - now)}, then EXECUTABLE BY ANYBODY{until}{turn}"
        return f"EXECUTABLE BY ANYBODY NOW{until}{turn}"

    @property
    def revoke(self) -> str:
        data = encode("zodiac_delay", "setTxNonce", (self.queued.number + 1,)).hex()
        return f"fairlead wallet propose --chain {self.chain} --to {self.delay.address} --data 0x{data}"

    def sentences(self, chain_id: int, tokens: Tokens) -> list[str]:
        """What it would do, to the leaf."""
        one = self.queued
        if one.call is None:
            return [
                f"WHAT IT WOULD DO IS NOT KNOWN: no log of it was found, only its hash 0x{one.hash.hex()}."
            ]
        tx = SafeTx(one.call.to, one.call.value, one.call.data, one.operation, 0)
        named = dict(tokens) | landmarks.tokens(chain_id)
        return reading.sentences_of(chain_id, self.wallet, tx, named, gate_code.compiled())[1:]

    def json(self, chain_id: int, tokens: Tokens) -> dict[str, Any]:
        one, (first, last) = self.queued, self.delay.due(self.queued)
        return {
            "chain": self.chain,
            "chain_id": chain_id,
            "delay": self.delay.address,
            "number": one.number,
            "hash": "0x" + one.hash.hex(),
            "executable_from": instant(first),
            "deadline": instant(last) if last is not None else None,
            "state": self.state,
            "to": one.call.to if one.call is not None else None,
            "value_raw": str(one.call.value) if one.call is not None else None,
            "operation": one.operation if one.call is not None else None,
            "sentences": self.sentences(chain_id, tokens),
            "revoke": self.revoke,
        }


def unread(delays: Iterable[Delay]) -> list[str]:
    """What is to be said where more waits than is read: whoever may queue could put one transaction behind many."""
    return [
        f"{delay.address}: {delay.unread} more wait in this Delay behind those told here, from number {delay.end_number - delay.unread} on; what "
        "they would do was not read"
        for delay in delays
        if delay.unread
    ]


def waiting(chain: str, wallet: Address, delays: Iterable[Delay]) -> list[Waiting]:
    return [Waiting(chain, wallet, delay, one) for delay in delays for one in delay.queued]
