"""Outside quotes beside a plan of ours: all of a sale on the one chain that takes most of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from agent.app.endpoints import resolve_endpoint
from agent.app.settings_tree import Settings
from agent.app.wiring import App
from agent.domain.errors import FairleadError
from agent.domain.events import Planned
from agent.domain.instruments import Place
from agent.domain.orders import Side
from agent.market.view import MarketView
from agent.routing.plan import gas_raw_up
from chains.outside import Cow, OneInch, Outside, Router, Sale, ZeroX, asked
from chains.rpc import SecretUrl
from keys.secrets import resolve

ZEROX, ONEINCH = "https://api.0x.org", "https://api.1inch.dev"


@dataclass(frozen=True, slots=True)
class Beside:
    """One answer in the plan's bought asset: what it gives less the gas at our price, and how much more that is than our plan nets (bps)."""

    told: Outside
    gas_raw: int
    net_raw: int
    more_bps: float | None


class _Absent:
    """A router whose key or address is not there: it stands among the answers with the reason."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self._why = name, why

    async def ask(self, session: aiohttp.ClientSession, sale: Sale) -> Outside:
        return Outside(self.name, why=self._why)


def routers_of(settings: Settings, chain_name: str) -> list[Router]:
    """The routers that the settings name for a chain."""
    table, found = settings.outside, list[Router]()

    def made(name: str, make: Callable[[], Router]) -> None:
        try:
            found.append(make())
        except FairleadError as error:
            found.append(_Absent(name, error.message))

    def server_of(told: str | None, usual: str) -> SecretUrl:
        return resolve_endpoint(told) if told is not None else SecretUrl(usual)

    if (book := table.cow.get(chain_name)) is not None:
        made("cow", lambda: Cow(resolve_endpoint(book)))
    if (zerox := table.zerox) is not None:
        made("zerox", lambda: ZeroX(server_of(zerox.server, ZEROX), resolve(zerox.key).text().strip()))
    if (inch := table.oneinch) is not None:
        made("oneinch", lambda: OneInch(server_of(inch.server, ONEINCH), resolve(inch.key).text().strip()))
    return found


async def outside_quotes(app: App, planned: Planned, view: MarketView) -> tuple[str, list[Beside]]:
    """The chain's name and the answers. None where the settings name no router, the plan trades on no chain, or it is a purchase: routers quote
    sales."""
    route = planned.route
    on_chains = [
        p
        for p in route.places
        if p.place.startswith("eip155:") and "/erc20:" in p.asset_in and "/erc20:" in p.asset_out
    ]
    if planned.child.side is not Side.SELL or not on_chains:
        return "", []
    most = max(on_chains, key=lambda p: p.out_raw)
    chain = next((c for c in app.settings.chains if f"eip155:{c.chain_id}" == most.place), None)
    routers = routers_of(app.settings, chain.name) if chain is not None else []
    if chain is None or not routers:
        return "", []
    assets = view.assets
    raw = route.in_raw * 10 ** assets[most.asset_in].decimals // 10 ** assets[route.sell].decimals
    sale = Sale(
        chain.chain_id, _token(most.asset_in), _token(most.asset_out), raw, app.settings.wallet.address
    )
    found = []
    for told in await asked(routers, app.session, sale):
        gas = gas_raw_up(view, {Place(most.place): told.gas}, route.buy, route.costs.native_px)
        out = told.out_raw * 10 ** assets[route.buy].decimals // 10 ** assets[most.asset_out].decimals
        more = (
            (out - gas - route.net_out_raw) * 1e4 / route.net_out_raw
            if route.net_out_raw > 0 and not told.why
            else None
        )
        found.append(Beside(told, gas, out - gas, more))
    return chain.name, found


def _token(asset: str) -> str:
    return asset.rpartition(":")[2]


def outside_json(chain: str, found: Sequence[Beside]) -> list[dict[str, object]]:
    """The `outside` list of a quote's document."""
    return [
        {
            "source": one.told.name, "chain": chain, "out_raw": str(one.told.out_raw), "gas_raw": str(one.gas_raw), "net_out_raw": str(one.net_raw),
            "more_bps": one.more_bps, "why": one.told.why,
        }
        for one in found
    ]  # fmt: skip


__all__ = ["Beside", "outside_json", "outside_quotes", "routers_of"]
