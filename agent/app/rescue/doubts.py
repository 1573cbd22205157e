"""What makes a price of the protocol's doubtful: its source's age, the sequencer of its chain. Each doubt has a name and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chains.evm import address_of, call_data
from chains.types import Address, Call, ChainReader
from contracts.codec import decode_result, encode

ROUND_BYTES = 160
"""latestRoundData's five words."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """`stops`: nothing can be done before it is over. `no_sale`: no price is believed, so nothing is sold."""

    code: str
    message: str
    hint: str
    stops: bool = False
    no_sale: bool = False


async def stale_doubts(
    chain: ChainReader, oracle: Address, assets: Mapping[Address, str], limit_s: Callable[[Address], int]
) -> list[Doubt]:
    """The Aave oracle's own sources asked for their age: a health factor is no fresher than they are. `assets` to what they are called."""
    asked = [Call(oracle, call_data("getSourceOfAsset(address)", asset)) for asset in assets]
    ref, found = await chain.multicall(asked)
    sources = [address_of(a.data) if a.ok and len(a.data) >= 32 else None for a in found]
    feeds = [(symbol, source or oracle) for symbol, source in zip(assets.values(), sources, strict=True)]
    return await feed_doubts(chain, feeds, limit_s, ref.number)


async def feed_doubts(
    chain: ChainReader,
    feeds: Sequence[tuple[str, Address]],
    limit_s: Callable[[Address], int],
    block: int | str = "latest",
) -> list[Doubt]:
    """Chainlink feeds asked for their age, each with what its price is of."""
    calls = [Call(feed, encode("chainlink_aggregator", "latestRoundData")) for _, feed in feeds]
    ref, answers = await chain.multicall(calls, block)
    doubts = []
    hint = "look at the market yourself: what it would be liquidated by may be about to jump"
    for (symbol, feed), answer in zip(feeds, answers, strict=True):
        if not answer.ok or len(answer.data) < ROUND_BYTES:
            message = f"{symbol}: the protocol's price source does not tell its age"
            doubts.append(Doubt("ORACLE_AGE_UNKNOWN", message, hint, no_sale=True))
            continue
        updated = int(decode_result("chainlink_aggregator", "latestRoundData", answer.data)[3])
        if (age := ref.timestamp - updated) > limit_s(feed):
            message = f"{symbol}: the protocol's price is {age} s old, {limit_s(feed)} s are allowed"
            doubts.append(Doubt("ORACLE_STALE", message, hint, no_sale=True))
    return doubts


async def sequencer_doubts(chain_reader: ChainReader, feed: Address, chain: str, grace_s: int) -> list[Doubt]:
    """SEQUENCER_DOWN stops; within `grace_s` of its return, when liquidations wait too, nothing is sold, and paying in goes on."""
    ref, (answer,) = await chain_reader.multicall(
        [Call(feed, encode("chainlink_aggregator", "latestRoundData"))]
    )
    told = answer.ok and len(answer.data) >= ROUND_BYTES
    words = decode_result("chainlink_aggregator", "latestRoundData", answer.data) if told else (0,) * 5
    _, status, started, _, _ = words
    if not int(started):  # a feed that was never told anything says nought
        message = f"{chain}: the sequencer's uptime feed {feed} does not answer"
        return [Doubt("SEQUENCER_UNKNOWN", message, "is its address right?", no_sale=True)]
    if int(status) != 0:
        message = f"{chain}: the sequencer is down: nothing sent there is ordered"
        return [Doubt("SEQUENCER_DOWN", message, "it is tried again as soon as it is up", stops=True)]
    if (since := ref.timestamp - int(started)) < grace_s:
        message = f"{chain}: the sequencer is up again for {since} s, {grace_s} s are waited before prices are believed"
        return [Doubt("SEQUENCER_GRACE", message, "nothing is sold meanwhile", no_sale=True)]
    return []
