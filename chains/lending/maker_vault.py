"""A Maker (Sky) vault as plain integers, all of one block: what lies in the urn, its ilk's rate and fee, the price behind its spot.

Layouts: Vat.urns and Vat.ilks, Spotter.ilks and par, Jug.ilks and base, Dog.ilks, Hole and Dirt, GemJoin.gem, dec and ilk, DaiJoin.dai.
The price is the one the protocol would liquidate by: that of the last poke, found back from the Vat's `spot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from chains.answers import words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, word
from chains.types import Address, BlockRef, Call, ViewReader

RAY = 10**27
MOST_DECIMALS = 18

_words = partial(words_of, "Maker", "are the addresses of [chains.maker] right for this chain?")


@dataclass(frozen=True, slots=True)
class MakerCore:
    vat: Address
    spotter: Address
    jug: Address
    dog: Address
    dai_join: Address


@dataclass(frozen=True, slots=True)
class MakerPosition:
    """`duty_1e27` is base and duty together; `room_1e45` what auctions of this ilk may still take."""

    ilk: bytes
    urn: Address
    block: BlockRef
    collateral: Address
    collateral_decimals: int
    debt: Address
    ink_1e18: int
    art_1e18: int
    rate_1e27: int
    duty_1e27: int
    last_update: int
    price_1e18: int
    par_1e27: int
    mat_1e27: int
    chop_1e18: int
    dust_1e45: int
    room_1e45: int


async def read_vault(
    chain: ViewReader,
    core: MakerCore,
    ilk: bytes,
    urn: Address,
    join: Address,
    token: Address,
    block: int | str = "latest",
) -> MakerPosition:
    """`ilk` are its 32 bytes, `join` its adapter for `token`. Raises Retry where the chain does not answer, and NO_SUCH_MARKET where the ilk is
    not there, or its adapter is another's."""
    asked = {
        "urns": Call(core.vat, call_data("urns(bytes32,address)", ilk, urn)),
        "Vat.ilks": Call(core.vat, call_data("ilks(bytes32)", ilk)),
        "Spotter.ilks": Call(core.spotter, call_data("ilks(bytes32)", ilk)),
        "par": Call(core.spotter, call_data("par()")),
        "Jug.ilks": Call(core.jug, call_data("ilks(bytes32)", ilk)),
        "base": Call(core.jug, call_data("base()")),
        "Dog.ilks": Call(core.dog, call_data("ilks(bytes32)", ilk)),
        "Hole": Call(core.dog, call_data("Hole()")),
        "Dirt": Call(core.dog, call_data("Dirt()")),
        "gem": Call(join, call_data("gem()")),
        "dec": Call(join, call_data("dec()")),
        "GemJoin.ilk": Call(join, call_data("ilk()")),
        "dai": Call(core.dai_join, call_data("dai()")),
    }
    counts = {"urns": 2, "Vat.ilks": 5, "Spotter.ilks": 2, "Jug.ilks": 2, "Dog.ilks": 4}
    ref, results = await chain.multicall(list(asked.values()), block)
    told = {name: _words(name, r, counts.get(name, 1)) for name, r in zip(asked, results, strict=True)}
    name = ilk.rstrip(b"\0").decode(errors="replace")
    (ink, art), (_, rate, spot, _, dust) = told["urns"][:2], told["Vat.ilks"][:5]
    mat, par = told["Spotter.ilks"][1], told["par"][0]
    taken = address_of(word(told["gem"][0]))
    if word(told["GemJoin.ilk"][0]) != ilk or taken != token or not (rate and mat and par):
        raise Retry(
            "NO_SUCH_MARKET",
            f"{join} is no adapter of an ilk {name} for {token}",
            "see ilk, join and collateral of [chains.maker]",
        )
    if told["dec"][0] > MOST_DECIMALS:
        raise Retry(
            "MALFORMED_ANSWER", f"{join} says its token has {told['dec'][0]} decimals", "is it a GemJoin?"
        )
    chop, hole, dirt = told["Dog.ilks"][1:4]
    room = max(min(told["Hole"][0] - told["Dirt"][0], hole - dirt), 0)
    duty, rho = told["Jug.ilks"][:2]
    return MakerPosition(
        ilk, urn, ref, taken, told["dec"][0], address_of(word(told["dai"][0])), ink, art, rate,
        told["base"][0] + duty, rho, price_of(spot, par, mat), par, mat, chop, dust, room,
    )  # fmt: skip


def price_of(spot: int, par: int, mat: int) -> int:
    """The greatest price in 1e18 whose spot is no higher than that (Spotter.poke: rdiv(rdiv(val·1e9, par), mat), floored twice)."""
    guess = spot * mat // RAY * par // RAY // 10**9
    while (guess + 1) * 10**9 * RAY // par * RAY // mat <= spot:
        guess += 1
    return guess
