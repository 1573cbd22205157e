"""Where a run takes place: Ethereum behind builders, or a rollup behind its one sequencer. Data, and the roads that lead there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import aiohttp

from agent.app.places import Directory
from agent.domain.instruments import Asset, AssetId, Place, chain_place, erc20_id
from agent.domain.risk import Limits
from chains import profiles
from chains.devnet.addresses import CHAINS, Chain
from chains.devnet.relay_builder import SEQUENCER
from chains.profile import ChainProfile
from chains.relay import Header, Relay
from chains.relays.buildernet import BuilderNetRelay
from chains.relays.flashbots import FlashbotsRelay
from chains.relays.sequencer import SequencerRelay
from chains.relays.titan import TitanRelay
from chains.rpc import Rpc

ETHEREUM = 1
ANSWER_S = 0.8
"""Seconds that a builder or a sequencer is waited for."""
Connect = Callable[[str, aiohttp.ClientSession, Header], Relay]
ROADS: Mapping[str, Connect] = {
    "titan": lambda url, session, header: TitanRelay(
        f"{url}/builder/titan", session, header, timeout_s=ANSWER_S
    ),
    "buildernet": lambda url, session, header: BuilderNetRelay(
        f"{url}/builder/buildernet", session, header, timeout_s=ANSWER_S
    ),
    "flashbots": lambda url, session, header: FlashbotsRelay(
        f"{url}/builder/flashbots", session, header, timeout_s=ANSWER_S
    ),
    SEQUENCER: lambda url, session, header: SequencerRelay(
        Rpc(f"{url}/sequencer", session, timeout_s=ANSWER_S)
    ),
}
"""By name, how a desk speaks to what the devnet's endpoint at an url stands for."""


@dataclass(frozen=True)
class Scene:
    chain_id: int

    @property
    def at(self) -> Chain:
        """The devnet's addresses there."""
        return CHAINS[self.chain_id]

    @property
    def profile(self) -> ChainProfile:
        return profiles.load(self.chain_id)

    @property
    def place(self) -> Place:
        return chain_place(self.chain_id)

    @property
    def is_rollup(self) -> bool:
        return self.chain_id != ETHEREUM

    @property
    def assets(self) -> tuple[AssetId, AssetId]:
        """Wrapped ether and USDC."""
        return erc20_id(self.chain_id, self.at.weth), erc20_id(self.chain_id, self.at.usdc)

    @property
    def directory(self) -> Directory:
        weth, usdc = self.assets
        return Directory(
            {"ETH": (weth,), "USDC": (usdc,)}, {weth: Asset(weth, "ETH", 18), usdc: Asset(usdc, "USDC", 6)}
        )

    @property
    def limits(self) -> Limits:
        return Limits(
            per_order_usd=Decimal(250_000),
            per_day_usd=Decimal(100_000_000),
            allow_assets=("ETH", "USDC"),
            allow_venues=(self.place,),
            price_collar_bps=300,
            max_slippage_bps=300,
            max_price_age_s=3600,
            max_market_age_s=60,
            min_gas_reserve_wei=((self.place, 10**16),),
            counterparty_cap_usd=(),
        )
