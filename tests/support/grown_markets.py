"""Markets of any size, drawn: every pool joins one of four hubs with another asset, at prices that agree, two pools of five by x * y = k and the others
with liquidity around the price; depths even in their logarithm, fees of 1 to 100 hundredths of a percent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt, log
from random import Random

from agent.amm import ConcentratedPool, ConstantProductPool, Pool
from agent.amm.ticks import TickTable
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.view import GasState, MarketView

PLACE, HUBS = Place("eip155:1"), 4


@dataclass(frozen=True)
class Grown:
    """`dollars` is what a whole unit of each asset costs; all have 18 decimals, the first is the gas token's."""

    view: MarketView
    dollars: dict[AssetId, float]

    def raw(self, asset: AssetId, worth: float) -> int:
        """So many dollars of an asset."""
        return int(worth / self.dollars[asset] * 1e18)

    def order(self, draw: Random) -> tuple[AssetId, AssetId, int]:
        """A sale between any two assets, of $10,000 to $3,000,000."""
        sell, buy = draw.sample(list(self.dollars), 2)
        return sell, buy, self.raw(sell, 10 ** draw.uniform(4, 6.5))


def grown(pools: int, tokens: int, seed: int, gwei: int = 5) -> Grown:
    draw = Random(seed)
    ids = [AssetId(f"{PLACE}/erc20:0x{k:040x}") for k in range(1, tokens + 1)]
    dollars = {asset: 3000.0 if asset == ids[0] else 10 ** draw.uniform(-3, 4) for asset in ids}
    made: dict[str, Pool] = {}
    for n in range(pools):
        other = ids[n % tokens] if n < tokens else draw.choice(ids)
        hub = draw.choice([asset for asset in ids[:HUBS] if asset != other])
        a, b = sorted((hub, other))
        held = 10 ** (draw.gauss(7, 0.7) if other in ids[:HUBS] else draw.gauss(5.5, 1)) / 2
        fee, name = draw.choice((100, 500, 3000, 10_000)), f"{PLACE}/0x{n:040x}"
        x, y = int(held / dollars[a] * 1e18), int(held / dollars[b] * 1e18)
        if draw.random() < 0.4:
            made[name] = ConstantProductPool(name, (a, b), (x, y), fee, 90_000)
            continue
        narrow = draw.uniform(3, 12)
        root, depth = isqrt((y << 192) // x), int((x * y) ** 0.5 * narrow)
        tick = int(2 * log(root / 2**96) / log(1.0001))
        half = max(int(2 * log(1 + 1 / narrow) / log(1.0001)), 10)
        table = TickTable((tick - half, tick + half), (depth, -depth))
        made[name] = ConcentratedPool(name, (a, b), fee, 1, root, tick, depth, table, 110_000, 20_000)
    gas = GasState(1, gwei * 10**9, 0, ids[0])
    px = {asset: f"{dollars[asset] / 3000:.12f}" for asset in ids}
    return Grown(_view(ids, made, gas, px), dollars)


def _view(ids: list[AssetId], pools: dict[str, Pool], gas: GasState, px: dict[AssetId, str]) -> MarketView:
    from decimal import Decimal

    return MarketView(
        assets={asset: Asset(asset, f"T{n}", 18) for n, asset in enumerate(ids)}, pools=pools, gas={PLACE: gas},
        reference_px_native={asset: Decimal(price) for asset, price in px.items()},
    )  # fmt: skip


def a_block_later(view: MarketView, draw: Random, share: float = 0.01) -> MarketView:
    """The market after trades in some of its pools, which move their prices by up to two thousandths."""
    pools = dict(view.pools)
    for name in draw.sample(list(pools), max(int(len(pools) * share), 1)):
        pool, up = pools[name], 10_000 + draw.randint(-10, 10)
        if isinstance(pool, ConstantProductPool):
            x, y = pool.reserves
            pools[name] = replace(pool, reserves=(x * up // 10_000, y * 10_000 // up))
        elif isinstance(pool, ConcentratedPool):
            root = pool.sqrt_price_x96 * up // 10_000
            pools[name] = replace(pool, sqrt_price_x96=root, tick=int(2 * log(root / 2**96) / log(1.0001)))
    return replace(view, pools=pools)


__all__ = ["Grown", "a_block_later", "grown"]
