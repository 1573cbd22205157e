"""`[[chains.pools]]` and `[[chains.factories]]`: the pools that quotes and routes may use, one by one or as a factory made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Address, Name, PoolId

UNISWAP_V2_PIPS = 3_000
_MOST_PIPS = 300_000


class Pool(Table):
    kind: Name = Field(
        description="The contract whose arithmetic it is: uniswap_v2, uniswap_v3, uniswap_v4, balancer_v2_weighted, balancer_v2_stable, curve_stableswap, solidly_volatile, solidly_stable. A V2 fork's pair needs its factory under [[chains.factories]]; it and Curve's and Solidly's pools are traded with through the RouteExecutor alone, and are left out where none is used. A V3 pool of another factory than Uniswap's is left out."
    )
    address: PoolId = Field(description="The pool's contract, or its 32-byte id where pools share one.")


class PoolFactory(Table):
    kind: Literal["uniswap_v2", "uniswap_v3", "solidly"] = Field(
        description="Whose factory it is like: uniswap_v2 (Uniswap's own, SushiSwap, PancakeSwap V2 …), uniswap_v3 (Uniswap's own only), or solidly (Velodrome, Aerodrome …)."
    )
    address: Address = Field(
        description="The factory's contract. Its pools of every two of the assets below are looked for when a process starts."
    )
    fee_pips: Annotated[int, Field(ge=0, le=_MOST_PIPS, strict=True)] | None = Field(
        None,
        description="What a uniswap_v2 one's pairs take of what is paid in, in millionths: 2500 is 0.25 %. Its contracts do not say. None for solidly and uniswap_v3, whose contracts tell each pool's fee.",
    )
    router: Address | None = Field(
        None,
        description="A uniswap_v2 one's own router, of the interface of Uniswap's V2 router: trades go through it, pair by pair, where no RouteExecutor is used. The signer's file names it too (`signer init` writes it), so be sure of it: another's contract there can keep what a trade approves, up to the token's caps.",
    )


_V2_ROUTER = "uniswap_v2_router"


def factory_problems(
    where: str, factories: tuple[PoolFactory, ...], contracts: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """(TOML path, message, hint) of what is wrong with a chain's factories, given what else has a part there, address by name: the contracts of its profile, tokens, the wallet … Pure."""
    for address, count in Counter(factory.address for factory in factories).items():
        if count > 1:
            yield f"{where}.factories", f"{address} stands there {count} times", "keep one"
    for number, factory in enumerate(factories):
        at = f"{where}.factories[{number}].fee_pips"
        if factory.kind != "uniswap_v2" and factory.fee_pips is not None:
            yield at, f"is given, and a {factory.kind} factory tells each pool's fee itself", "leave it out"
        if factory.kind == "uniswap_v2" and factory.fee_pips is None:
            yield (
                at,
                "is missing: a V2 pair does not tell what it takes",
                "write it in millionths: 0.25 % is 2500",
            )
        if factory.kind == "uniswap_v3" and contracts.get("uniswap_v3_factory") != factory.address:
            yield (
                f"{where}.factories[{number}].address",
                "is not Uniswap's own V3 factory of this chain, and nothing here reaches another's pools",
                f"write {contracts.get('uniswap_v3_factory', 'none: there is none here')}",
            )
        if factory.kind != "uniswap_v2" and factory.router is not None:
            yield f"{where}.factories[{number}].router", "no router of this kind is used here", "leave it out"
        # In the signer's file a router's address is a router and nothing else: what stood there before would no longer be understood.
        if (part := _other_part(factory, contracts)) is not None:
            yield f"{where}.factories[{number}].router", f"is {part}", "write the V2 router that this factory's project published"  # fmt: skip
        own = contracts.get("uniswap_v2_factory") == factory.address
        if own and factory.fee_pips not in (None, UNISWAP_V2_PIPS):
            yield at, "is not what the pairs of Uniswap's own factory take", f"write {UNISWAP_V2_PIPS}"


def _other_part(factory: PoolFactory, contracts: Mapping[str, str]) -> str | None:
    """What a router's address is known as here where it is no V2 router's."""
    if factory.router is None:
        return None
    others = {address: f"known here as {name}" for name, address in contracts.items() if name != _V2_ROUTER}
    return {**others, factory.address: "the factory itself", "0x" + "0" * 40: "no address"}.get(
        factory.router
    )
