"""A loan at the genuine Aave pool of a devnet home: what it owes, what an ETH costs, what the wallet has."""

from __future__ import annotations

from typing import Any

from agent_home import AgentHome

from chains.devnet.funding import give_token, set_feed_price
from chains.profiles.ethereum import CHAIN

RESCUE: dict[str, Any] = {"name": "house", "chain": "ethereum", "most_usd": "9000", "per_day_usd": "60000"}
PAY = "--live --yes --max-loss 200 --json"
DAEMON = "run --live --yes --max-loss 20000"
NO_DEBT = 2**256 - 1


def eth_at(home: AgentHome, usd: int) -> None:
    set_feed_price(home.home.cheat_urls[1], "ETH", usd * 10**8)


def account_data(home: AgentHome) -> tuple[Any, ...]:
    assert CHAIN.aave is not None
    return home.read(CHAIN.aave.pool, "aave_v3_pool", "getUserAccountData", home.safe)


def factor(home: AgentHome) -> int:
    return int(account_data(home)[5])


def give(home: AgentHome, token: str, raw: int) -> None:
    give_token(home.home.cheat_urls[1], token, home.safe, raw)


def borrowed(home: AgentHome) -> None:
    """At 3,000 dollars an ETH the account has a health factor of 1.65, whatever was supplied and borrowed before."""
    if account_data(home)[0] == 0:
        assert home.run(f"lend supply 2 ETH {PAY}", home.owners_path).status == 0
    collateral, debt, _, threshold, *_ = account_data(home)
    more = (collateral * threshold * 100 // (165 * 10_000) - debt) // 10**8
    if more > 0:
        done = home.run(f"lend borrow {more} USDC {PAY}", home.owners_path)
        assert done.status == 0, done.err + done.out
    assert factor(home) // 10**15 in range(1_645, 1_655)
