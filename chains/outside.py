"""What other routers would give for a sale on one chain: CoW, 0x and 1inch by their documented interfaces. Asked for comparison alone: nothing is traded by it.

    CoW     POST {book}/api/v1/quote       {sellToken, buyToken, from, kind: sell, sellAmountBeforeFee, …} -> {quote: {buyAmount, …}}; fees and gas are inside
    0x      GET  {server}/swap/allowance-holder/price?chainId&sellToken&buyToken&sellAmount&taker, headers 0x-api-key and 0x-version: v2
            -> {liquidityAvailable, buyAmount, gas}
    1inch   GET  {server}/swap/v6.1/{chain}/quote?src&dst&amount&includeGas=true, header Authorization: Bearer -> {dstAmount, gas}

None can be reached from where Fairlead is built; they are exercised against a local server of these shapes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from chains.bounded_json import loads
from chains.rpc import SecretUrl

TIMEOUT_S = 3.0
_MOST_BYTES = 1 << 20
_MOST_RAW = 1 << 256


@dataclass(frozen=True, slots=True)
class Sale:
    """All of `raw` of token `sell` for token `buy` by `taker`, on one chain; addresses as text."""

    chain_id: int
    sell: str
    buy: str
    raw: int
    taker: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What one router answered: raw units of the token bought, and gas the taker would pay besides; or why there is no answer."""

    name: str
    out_raw: int = 0
    gas: int = 0
    why: str = ""


class Router(Protocol):
    """`name` is its key in the settings."""

    name: str

    async def ask(self, session: aiohttp.ClientSession, sale: Sale) -> Outside:
        """Never raises what a server or a network can cause."""
        ...


class _Asked:
    name = ""

    def __init__(self, server: SecretUrl) -> None:
        self._server = server.reveal().rstrip("/")

    async def _json(
        self, session: aiohttp.ClientSession, method: str, path: str, headers: Mapping[str, str], **more: Any
    ) -> dict[str, Any] | str:
        """The answer, or why there is none. Nothing of it is shown: it may repeat a key."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with session.request(
                method, self._server + path, headers=headers, timeout=timeout, allow_redirects=False, **more
            ) as answer:
                body = await answer.content.read(_MOST_BYTES)
                if answer.status != 200:
                    return f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            return type(wrong).__name__
        try:
            found = loads(body)
        except ValueError:
            return "it answered no JSON"
        return found if isinstance(found, dict) else "it answered no object"

    def _found(self, answer: dict[str, Any], out: str, gas: str | None) -> Outside:
        try:
            raw, units = (
                _raw(answer[out]),
                _raw(answer[gas]) if gas is not None and answer.get(gas) is not None else 0,
            )
        except (KeyError, TypeError, ValueError):
            return Outside(self.name, why=f"it answered without a sound {out}")
        return Outside(self.name, raw, units)


class Cow(_Asked):
    """One chain's order book, `server` up to and without /api. Its solvers pay the gas."""

    name = "cow"

    async def ask(self, session: aiohttp.ClientSession, sale: Sale) -> Outside:
        body = {
            "sellToken": sale.sell, "buyToken": sale.buy, "from": sale.taker, "receiver": sale.taker, "kind": "sell",
            "sellAmountBeforeFee": str(sale.raw), "signingScheme": "eip1271", "onchainOrder": False, "partiallyFillable": False,
            "sellTokenBalance": "erc20", "buyTokenBalance": "erc20", "priceQuality": "optimal", "validFor": 600, "appData": "{}",
        }  # fmt: skip
        answer = await self._json(session, "POST", "/api/v1/quote", {}, json=body)
        if isinstance(answer, str):
            return Outside(self.name, why=answer)
        quote = answer.get("quote")
        return (
            self._found(quote, "buyAmount", None)
            if isinstance(quote, dict)
            else Outside(self.name, why="it answered without a quote")
        )


class ZeroX(_Asked):
    """0x's Swap API, version 2, by way of its AllowanceHolder."""

    name = "zerox"

    def __init__(self, server: SecretUrl, key: str) -> None:
        super().__init__(server)
        self._headers = {"0x-api-key": key, "0x-version": "v2"}

    async def ask(self, session: aiohttp.ClientSession, sale: Sale) -> Outside:
        asked = {
            "chainId": str(sale.chain_id), "sellToken": sale.sell, "buyToken": sale.buy, "sellAmount": str(sale.raw), "taker": sale.taker,
        }  # fmt: skip
        answer = await self._json(session, "GET", "/swap/allowance-holder/price", self._headers, params=asked)
        if isinstance(answer, str):
            return Outside(self.name, why=answer)
        if answer.get("liquidityAvailable") is not True:
            return Outside(self.name, why="it finds no liquidity")
        return self._found(answer, "buyAmount", "gas")


class OneInch(_Asked):
    """1inch's Swap API, version 6.1."""

    name = "oneinch"

    def __init__(self, server: SecretUrl, key: str) -> None:
        super().__init__(server)
        self._headers = {"Authorization": f"Bearer {key}"}

    async def ask(self, session: aiohttp.ClientSession, sale: Sale) -> Outside:
        asked = {"src": sale.sell, "dst": sale.buy, "amount": str(sale.raw), "includeGas": "true"}
        answer = await self._json(
            session, "GET", f"/swap/v6.1/{sale.chain_id}/quote", self._headers, params=asked
        )
        return (
            Outside(self.name, why=answer)
            if isinstance(answer, str)
            else self._found(answer, "dstAmount", "gas")
        )


async def asked(routers: Sequence[Router], session: aiohttp.ClientSession, sale: Sale) -> list[Outside]:
    """All of them at once, in order; each within three seconds."""
    return list(await asyncio.gather(*(router.ask(session, sale) for router in routers)))


def _raw(value: Any) -> int:
    """Base units from text or a whole number. Raises ValueError, TypeError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(value)
    if isinstance(value, str) and (len(value) > 80 or not value.isascii() or not value.isdigit()):
        raise ValueError(value)
    if not 0 <= int(value) < _MOST_RAW:
        raise ValueError(value)
    return int(value)


__all__ = ["Cow", "OneInch", "Outside", "Router", "Sale", "ZeroX", "asked"]
