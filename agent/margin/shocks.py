"""Shocks as people write them (`ETH=-20%,USDC=-2%`), and what of a book's assets they move. Pure.

A wrapped or staked form follows what it is of, and may be shocked on its own besides: wstETH falls with ETH, `wstETH=-5%` is a loss
of its peg on top. A contract follows its coin. A dollar coin follows nothing: unless named, it keeps its price, which need not be one dollar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from agent.domain.errors import Usage

FOLLOWS = {
    "WETH": "ETH", "STETH": "ETH", "WSTETH": "STETH", "RETH": "ETH", "CBETH": "ETH", "WEETH": "EETH", "EETH": "ETH",
    "RSETH": "ETH", "EZETH": "ETH", "WBTC": "BTC", "CBBTC": "BTC", "TBTC": "BTC", "XBT": "BTC", "SUSDE": "USDE",
    "SDAI": "DAI", "SUSDS": "USDS", "USDC.E": "USDC", "USDBC": "USDC",
}  # fmt: skip

_CONTRACT = re.compile(r"^([A-Z0-9]{2,16}?)(?:-PERP|[-_]?USD[CT]?(?:-PERPETUAL|-PERP)?|-PERPETUAL)$")
_ONE = re.compile(r"^([A-Za-z0-9.$₮_-]{1,20})=([+-]?[0-9]{1,6}(?:\.[0-9]{1,6})?)%$")


def parse_shock(text: str) -> dict[str, Fraction]:
    """Changes by symbol in capitals: −20 % is −1/5. Raises Usage BAD_SHOCK."""
    found: dict[str, Fraction] = {}
    for part in text.split(","):
        match = _ONE.match(part.strip())
        if match is None:
            raise Usage(
                "BAD_SHOCK", f"'{part.strip()}' is no shock", "write SYMBOL=-20%, several with commas"
            )
        symbol, change = match.group(1).upper(), parse_percent(match.group(2) + "%")
        if change < -1:
            raise Usage("BAD_SHOCK", f"{symbol} cannot fall by more than 100 %", "write SYMBOL=-20%")
        if symbol in found:
            raise Usage("BAD_SHOCK", f"{symbol} stands there twice", "name each symbol once")
        found[symbol] = change
    return found


def parse_percent(text: str) -> Fraction:
    """`+30%` as 3/10. Raises Usage BAD_SHOCK."""
    if not re.fullmatch(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?%?", text):
        raise Usage("BAD_SHOCK", f"'{text}' is no change in percent", "write +30% or -10%")
    return Fraction(text.rstrip("%")) / 100


def contract_of(name: str) -> str:
    """The coin that a contract is of by how exchanges call it (ETHUSDT, ETH-USD, ETH-PERP, ETH_USDC-PERPETUAL), "" for any other name."""
    found = _CONTRACT.match(name)
    return found.group(1) if found else ""


def coin_of(symbol: str) -> str:
    """What a symbol follows in the end, in capitals: WETH and ETH-PERP are of ETH."""
    name = symbol.upper()
    while further := FOLLOWS.get(name, "") or contract_of(name):
        name = further
    return name


def moved_assets(shock: Mapping[str, Fraction], symbols: Mapping[str, str]) -> dict[str, Fraction]:
    """Each asset's change by the shock, those it does not touch left out; chains of followers multiply."""
    found = {}
    for asset, symbol in symbols.items():
        move, name, touched = Fraction(1), symbol.upper(), False
        while name:
            if name in shock:
                move, touched = move * (1 + shock[name]), True
            name = FOLLOWS.get(name, "") or contract_of(name)
        if touched:
            found[asset] = move - 1
    return found


def unused(shock: Mapping[str, Fraction], symbols: Mapping[str, str]) -> list[str]:
    """Symbols of a shock that move nothing of the book."""
    return [name for name in shock if not moved_assets({name: shock[name]}, symbols)]
