"""An agent's home whose owners let its key pay into loans at a market of Compound III's rules and at the genuine Morpho Blue.

The Gate is granted and sealed before: what pays is added beside it, waits the Gate's delay, and has a signer that was told of it in the very
words of `wallet scope`. No owner's key is within reach of those settings.
"""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent_home import SCOPE, AgentHome, later, written
from comet_home import CometHome, comet_beside
from other_lenders import OtherLenders, beside

from chains.devnet.addresses import CHAINS
from keys.client import start_signer

WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc
DELAY_S = 86_400


@dataclass
class PayingHome:
    """`home` is the agent's, its settings and signer those that know the payments; `early` is what its key was told before the delay was over."""

    home: AgentHome
    comet: CometHome
    morpho: OtherLenders
    contract: str
    roles: str
    said: list[str]
    early: str

    def account(self, market: str) -> dict[str, Any]:
        """The rescue's table of one of the two."""
        limits = {"most_usd": "9000", "per_day_usd": "60000"}
        return {"name": "loan", "chain": "ethereum", "market": market, **limits}


def payments_at(comet: str, market: str) -> list[dict[str, str]]:
    usdc = {"symbol": "USDC", "action": "repay", "per_day": "6000", "at_once": "4000", "allowance": "50000"}
    weth = {"symbol": "WETH", "action": "supply", "per_day": "6", "allowance": "50"}
    return [{"market": at, **what} for at in (comet, market) for what in (usdc, weth)]


@contextmanager
def paying(home: AgentHome, weth: int, usdc: int) -> Iterator[PayingHome]:
    """`weth` lent and `usdc` borrowed at each of the two, in base units."""
    with comet_beside(home, weth, usdc) as comet, beside(home, weth, usdc) as morpho:
        payments = payments_at(comet.comet, morpho.market)
        knows = {"comets": [comet.comet], "morpho": morpho.morpho, "morpho_markets": [morpho.market]}

        def knowing(path: Path) -> dict[str, Any]:
            values = tomllib.loads(path.read_text()) | {"scopes": [SCOPE | {"payments": payments}]}
            for chain in values["chains"]:
                if chain["name"] == "ethereum":
                    chain |= knows
            return values

        folder = home.owners_path.parent
        owners = replace(home, owners_path=written(folder / "paying-owners.toml", knowing(home.owners_path)))
        told = owners.run("wallet scope --json", owners.owners_path)
        assert told.status == 0, told.err + told.out
        owners.owners_do("wallet scope --propose")
        config, socket = folder / "paying-signer.json", folder / "paying.sock"
        known = json.loads(home.config.read_text()) | {"ledger": str(folder / "paying-ledger.jsonl")}
        for chain in known["chains"]:
            if chain["chain_id"] == 1:
                chain["agent"] = told.json["signer"]["agent"]
        config.write_text(json.dumps(known))
        values = knowing(home.settings_path)
        values["signer"] |= {"socket": str(socket), "config": str(config)}
        agents = written(folder / "paying-agent.toml", values)
        signer = start_signer(socket, config, folder / "paying-signer.log")
        own = replace(owners, settings_path=agents, config=config, socket=socket, signer=signer)
        try:
            waiting = own.run("wallet audit --json", agents)
            assert waiting.status == 0, waiting.err + waiting.out
            later(home.home, DELAY_S)
            road = told.json["signer"]["agent"]["payments"]
            early = "; ".join(waiting.json["waits"])
            yield PayingHome(
                own, comet, morpho, road["contract"], road["roles"], told.json["sentences"], early
            )
        finally:
            signer.send_signal(signal.SIGTERM)
            signer.wait(20)
