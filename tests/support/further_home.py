"""A home whose owners let the agent's key pay into a second pool of Aave V3's kind and a vault at Maker, which FurtherPayments knows.

The pool is Spark's own build; the vault is in the core of Maker as documented (`maker_home`). Owners grant a scope with a payment for each way in,
execute it, and wait the Gate's delay; the signer of the agent's key is told the rules that `wallet scope` prints.
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

from agent_home import SCOPE, AgentHome, granted, later, written
from home_fixture import Home
from maker_home import DAI, ILK, URN, MakerHome, maker_beside
from other_lenders import OtherLenders, beside

from chains.devnet.addresses import CHAINS, SPARK
from keys.client import start_signer

WETH, USDC, FEEDS = CHAINS[1].weth, CHAINS[1].usdc, CHAINS[1].feeds
DELAY_S = 86_400


@dataclass
class FurtherHome:
    """`home` is the agent's, its settings and signer those that know the payments; `scope` is its table."""

    home: AgentHome
    maker: MakerHome
    spark: OtherLenders
    contract: str
    roles: str
    said: list[str]
    early: str

    def account(self, market: str) -> dict[str, Any]:
        """The rescue's table of one of the two."""
        limits = {"most_usd": "9000", "per_day_usd": "60000"}
        return {"name": "loan", "chain": "ethereum", "market": market, **limits}


@contextmanager
def granted_with_dai(home: Home) -> Iterator[AgentHome]:
    """The scope of `agent_home` with DAI among its tokens, which is no part of a pair."""
    values = tomllib.loads(home.settings_path.read_text())
    values["assets"]["DAI"] = [f"eip155:1/erc20:{DAI}"]
    values["oracles"]["DAI"] = values["oracles"]["USDC"]
    written(home.settings_path, values)
    dai = {"symbol": "DAI", "feed": FEEDS["USDC"], "max_age_s": 86_400, "allowance": "1"}
    with granted(home, tried=False, tokens=[*SCOPE["tokens"], dai]) as made:
        taken = made.run("reconcile --adopt --at-once")  # the account is used by other journals, too
        assert taken.status == 0, taken.out + taken.err
        yield made


def payments() -> list[dict[str, str]]:
    day = {"per_day": "6000", "at_once": "4000", "allowance": "50000"}
    weth = {"symbol": "WETH", "action": "supply", "per_day": "6", "allowance": "50"}
    return [
        {"market": SPARK["Pool"], "symbol": "USDC", "action": "repay", **day},
        {"market": SPARK["Pool"], **weth},
        {"market": URN, "symbol": "DAI", "action": "repay", **day},
        {"market": URN, **weth},
    ]


@contextmanager
def paying_further(home: AgentHome, weth: int, usdc: int, ink: int, art: int) -> Iterator[FurtherHome]:
    """`weth` lent and `usdc` (and 800 more) borrowed at Spark; a vault of `ink` and `art`."""
    with beside(home, weth, usdc) as spark, maker_beside(home, ink, art) as maker:
        known = tomllib.loads(maker.settings_path.read_text())
        (vaults,) = [c["maker"] for c in known["chains"] if c["name"] == "ethereum"]

        def knowing(path: Path) -> dict[str, Any]:
            values = tomllib.loads(path.read_text())
            values["scopes"] = [values["scopes"][0] | {"payments": payments()}]
            for chain in values["chains"]:
                if chain["name"] == "ethereum":
                    chain |= {"lending_pools": [SPARK["Pool"]], "maker": vaults}
            return values

        folder = home.owners_path.parent
        owners = replace(home, owners_path=written(folder / "further-owners.toml", knowing(home.owners_path)))
        told = owners.run("wallet scope --json", owners.owners_path)
        assert told.status == 0, told.err + told.out
        owners.owners_do("wallet scope --propose")
        config, socket = folder / "further-signer.json", folder / "further.sock"
        words = json.loads(home.config.read_text()) | {"ledger": str(folder / "further-ledger.jsonl")}
        for chain in words["chains"]:
            if chain["chain_id"] == 1:
                chain["agent"] = told.json["signer"]["agent"]
                chain["tokens"][DAI] = {"per_tx_raw": str(10**22), "per_day_raw": str(10**22)}
        config.write_text(json.dumps(words))
        values = knowing(home.settings_path)
        values["signer"] |= {"socket": str(socket), "config": str(config)}
        agents = written(folder / "further-agent.toml", values)
        signer = start_signer(socket, config, folder / "further-signer.log")
        own = replace(owners, settings_path=agents, config=config, socket=socket, signer=signer)
        try:
            waiting = own.run("wallet audit --json", agents)
            early = "; ".join(waiting.json["waits"])
            later(home.home, DELAY_S)
            road = told.json["signer"]["agent"]["further_payments"]
            yield FurtherHome(
                own, maker, spark, road["contract"], road["roles"], told.json["sentences"], early
            )
        finally:
            signer.send_signal(signal.SIGTERM)
            signer.wait(20)


__all__ = ["DAI", "ILK", "URN", "FurtherHome", "granted_with_dai", "paying_further"]
