"""Derive's subaccounts, read whole by its v3 API for agent/margin/derive_pm.

Sources: the API reference's private/get_subaccount (`margin_type` SM or PM2; `maintenance_margin` is what is left over the requirement, below
zero where the account is liquidated), public/get_ticker (`option_pricing`: `i` the volatility, `f` the forward, `df` the discount) and
public/get_latest_signed_feeds (rates and confidences); parameters page (a rate of five percent where no feed tells one; a feed is an hour old
at most). A collateral's haircuts are what the account's own row says of it now.

PM2 is the contract PMRM_2. Its parameters are told by no endpoint: they are the settings' (`margin_parameters`). What the model does not
cover is UNKNOWN, with the exchange's own figures in the words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.instruments import cex_id
from agent.domain.reports import Balance
from agent.domain.units import WIDE
from agent.venues import number
from agent.venues.ccxt.margin_document import DIGITS, Row, documented, exact, maybe, positive, span, unread

MODEL = "derive_pm"
STATIC_RATE = Decimal("0.05")
"""Where no feed tells the rate of an expiry."""
STALE_S, SETTLES_S = 3_600, 1_800
EXPIRES_AT = 8
"""Options end at that hour, UTC."""
MOST_SUBACCOUNTS, MOST_OPTIONS = 20, 200
APART = Decimal(200)
"""An underlying's prices, told one after another, differ by no more than that part of one."""
_STEP = Decimal(1).scaleb(-18)
Call = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


async def read(call: Call, venue: str, at_s: int, wallet: str, parameters: Mapping[str, Any]) -> Row:
    """`call` makes one of the library's own methods; `parameters` by index. Raises Retry, Reject as it; Usage MARGIN_UNREAD."""
    assets, accounts = set[str](), list[dict[str, Any]]()
    for number_of in await subaccounts(call, wallet):
        found = await _one(call, venue, at_s, number_of, parameters, assets)
        if found is not None:
            accounts.append(found)
    return {
        "fairlead": "accounts/1",
        "at": {f"cex:{venue}": {"timestamp": at_s}},
        "assets": [
            {"id": cex_id(venue, name), "symbol": name, "decimals": DIGITS} for name in sorted(assets)
        ],
        "accounts": accounts,
    }


async def subaccounts(call: Call, wallet: str) -> list[int]:
    told = await call("privatePostGetSubaccounts", {"wallet": wallet})
    with documented("Derive's subaccounts"):
        found = [_whole(one) for one in told["result"]["subaccount_ids"]]
    if len(found) > MOST_SUBACCOUNTS:
        raise unread(f"Derive tells {len(found)} subaccounts, and {MOST_SUBACCOUNTS} are read")
    return found


async def balances(call: Call, venue: str, wallet: str) -> list[Balance]:
    """What lies in all subaccounts, by coin; what margin takes of it is not told apart."""
    held = dict[str, Decimal]()
    for one in await subaccounts(call, wallet):
        for row in (await _subaccount(call, one))["collaterals"]:
            with documented("Derive's collateral"):
                name = str(row["asset_name"])
                held[name] = held.get(name, Decimal(0)) + exact(row["amount"])
    return [Balance(cex_id(venue, name), amount) for name, amount in held.items() if amount > 0]


async def powers(call: Call, wallet: str, signer: str) -> tuple[list[str], bool]:
    """What the session key `signer` may do besides reading, as the exchange names it, and whether it may be used from any address."""
    told = await call("privatePostSessionKeys", {"wallet": wallet})
    with documented("Derive's session keys"):
        rows = [row for row in told["result"]["public_session_keys"] if str(row["public_session_key"]).lower() == signer.lower()]  # fmt: skip
        if len(rows) != 1:
            raise unread(f"Derive tells no session key {signer} of this wallet")
        return [str(scope) for scope in rows[0]["protocol_scopes"]], not rows[0]["ip_whitelist"]


async def _subaccount(call: Call, number_of: int) -> Row:
    told = await call("privatePostGetSubaccount", {"subaccount_id": number_of})
    with documented("Derive's subaccount"):
        found: Row = told["result"]
        if _whole(found["subaccount_id"]) != number_of:
            raise ValueError("of another number")
        if not isinstance(found["collaterals"], list) or not isinstance(found["positions"], list):
            raise ValueError("no lists")
        return found


async def _one(
    call: Call, venue: str, at_s: int, number_of: int, parameters: Mapping[str, Any], assets: set[str]
) -> dict[str, Any] | None:
    """None where nothing is open or owed."""
    first = await _subaccount(call, number_of)
    with documented(f"Derive's subaccount {number_of}"):
        held = [row for row in first["positions"] if exact(row["amount"])]
        if not held and all(exact(row["amount"]) >= 0 for row in first["collaterals"]):
            return None
        names = sorted({str(row["instrument_name"]) for row in held if row["instrument_type"] == "option"})
        bases = sorted({str(row["instrument_name"]).partition("-")[0] for row in held})
        account = {"id": f"{venue} {number_of}", "model": MODEL, "chain": f"cex:{venue}"}
        why = _why(first, held, bases, parameters)
        if why:
            return account | {"doubt": f"{why}; {_told(first)}"}
    tickers = dict(zip(names, await asyncio.gather(*(_ticker(call, name, at_s) for name in names)), strict=True))  # fmt: skip
    feeds = await call("publicPostGetLatestSignedFeeds", {"currency": bases[0]})
    last = await _subaccount(call, number_of)
    with documented(f"Derive's subaccount {number_of}"):
        if _kinds(first) != _kinds(last):
            raise Retry("MARGIN_MOVED", f"subaccount {number_of} at {venue} changed while it was read", "ask again")  # fmt: skip
        why, figures = _figures(venue, last, bases[0], tickers, feeds["result"], at_s)
        if why:
            return account | {"doubt": f"{why}; {_told(last)}"}
        assets |= {bases[0], *(one["asset"].rpartition("/")[2] for one in figures["collateral"])}
        told = {
            "equity": span(exact(one["subaccount_value"]) for one in (first, last)),
            "maintenance": span(_required(one) for one in (first, last)),
        }
        return account | figures | {"parameters": parameters[bases[0]], "told": told}


def _required(row: Row) -> Decimal:
    return WIDE.subtract(exact(row["subaccount_value"]), exact(row["maintenance_margin"]))


def _told(row: Row) -> str:
    return f"the exchange itself tells {number(exact(row['subaccount_value']))} there and {number(_required(row))} to be kept"


def _why(row: Row, held: Sequence[Row], bases: Sequence[str], parameters: Mapping[str, Any]) -> str:
    if row["is_under_liquidation"] is not False:
        return "it is being liquidated"
    if row["failed_to_fetch"] is not False:
        return "the exchange could not read it itself"
    if row["margin_type"] != "PM2":
        return f"the account is margined by {str(row['margin_type'])[:20]}; portfolio margin (PM2) alone is computed"
    if strange := sorted({str(one["instrument_type"]) for one in held} - {"perp", "option"}):
        return f"positions of {', '.join(strange)[:60]} are not computed"
    if not bases:
        return "it owes without a position"
    if len(bases) > 1:
        return f"positions of {', '.join(bases)[:60]} answer for one another, and one underlying is computed"
    if exact(row["mm_credits"]):
        return "the exchange gives it credits of margin"
    if owed := sorted(str(c["asset_name"]) for c in row["collaterals"] if exact(c["amount"]) < 0 and c["asset_name"] != "USDC"):  # fmt: skip
        return f"it owes {', '.join(owed)[:60]}"
    if bases[0] not in parameters:
        return f"the parameters of {bases[0][:20]} are not told: no endpoint does, the settings' margin_parameters may"
    return ""


def _kinds(row: Row) -> set[tuple[str, ...]]:
    held = {("p", str(one["instrument_name"]), str(one["amount"])) for one in row["positions"]}
    # Cash moves with every settlement of a perpetual: what else is held tells of a trade or a deposit.
    return held | {("c", str(one["asset_name"])) for one in row["collaterals"]}


async def _ticker(call: Call, name: str, at_s: int) -> Row:
    told = await call("publicPostGetTicker", {"instrument_name": name})
    with documented(f"Derive's price of {name[:60]}"):
        found: Row = told["result"]
        if abs(at_s - _whole(found["t"]) // 1_000) > STALE_S:
            raise unread(f"Derive's price of {name[:60]} is of another hour")
        return found


def _option(name: str) -> tuple[int, str, str]:
    """Of ETH-20270924-3000-C, 0_5 for a half: when it ends in seconds, strike, "C" or "P". Raises ValueError."""
    _, day, strike, letter = name.split("-")
    if letter not in ("C", "P"):
        raise ValueError(name)
    ends = datetime.strptime(day, "%Y%m%d").replace(hour=EXPIRES_AT, tzinfo=UTC)
    return int(ends.timestamp()), number(positive(strike.replace("_", "."))), letter


def _figures(
    venue: str, row: Row, base: str, tickers: Mapping[str, Row], feeds: Row, at_s: int
) -> tuple[str, dict[str, Any]]:
    """(why it cannot be said, all the figures)."""
    cash, stable, spots, perp = Decimal(0), Decimal(1), list[Decimal](), dict[str, Any]()
    index = Decimal(0)
    expiries, collateral = dict[int, dict[str, Any]](), list[dict[str, Any]]()
    spot_confidence = _confidence(feeds["spot_data"].get(base), at_s)
    for one in row["positions"]:
        size, name = exact(one["amount"]), str(one["instrument_name"])
        if not size:
            continue
        index = positive(one["index_price"])
        spots.append(index)
        if one["instrument_type"] == "perp":
            if perp:
                raise ValueError("two perpetuals of one underlying")
            trusted = [_confidence(feed, at_s) for feed in (feeds["perp_data"].get(base) or {}).values()]
            perp = {
                "size": number(size),
                "mark_px": number(positive(one["mark_price"])),
                "unsettled": number(exact(one["mark_value"])),
                "confidence": number(min(trusted, default=spot_confidence)),
            }
            continue
        ends, strike, letter = _option(name)
        if ends - at_s <= SETTLES_S:
            return f"{name[:60]} ends within half an hour, and settles by an average that is not told", {}
        pricing = tickers[name]["option_pricing"]
        spots.append(positive(tickers[name]["I"]))
        forward, vol = positive(pricing["f"]), positive(pricing["i"])
        expiry = expiries.setdefault(ends, _expiry(feeds, base, ends, forward, at_s))
        if exact(expiry["forward_px"]) != forward:
            raise ValueError(f"two forwards of one expiry, {expiry['forward_px']} and {forward}")
        expiry["options"].append([number(size), letter, strike, number(vol)])
    if len(expiries) and sum(len(e["options"]) for e in expiries.values()) > MOST_OPTIONS:
        raise ValueError(f"more than {MOST_OPTIONS} options")
    for one in row["collaterals"]:
        amount, name = exact(one["amount"]), str(one["asset_name"])
        if name == "USDC":
            cash, stable = amount, positive(one["mark_price"])
        elif amount:
            collateral.append(_collateral(venue, one, amount, base))
    low, high = min(spots), max(spots)
    if WIDE.multiply(high - low, APART) > high:
        raise ValueError(f"one underlying at {low} and {high}")
    found: dict[str, Any] = {
        "index": cex_id(venue, base),
        "index_px": number(index),
        "stable_px": number(stable),
        "confidence": number(spot_confidence),
        "cash": number(cash),
        "expiries": [expiries[ends] for ends in sorted(expiries)],
        "collateral": collateral,
    }
    return "", found | ({"perp": perp} if perp else {})


def _expiry(feeds: Row, base: str, ends: int, forward: Decimal, at_s: int) -> dict[str, Any]:
    told = [(feeds[kind].get(base) or {}).get(str(ends)) for kind in ("rate_data", "fwd_data", "vol_data")]
    rate = exact(told[0]["rate"]) if told[0] else STATIC_RATE
    trusted = [_confidence(one, at_s) for one in told if one]
    return {
        "expires": ends,
        "forward_px": number(forward),
        "rate": number(rate),
        "confidence": number(min(trusted, default=Decimal(1))),
        "options": [],
    }


def _confidence(feed: Row | None, at_s: int) -> Decimal:
    """None told counts for none at all. Raises Usage MARGIN_UNREAD for a feed that the exchange itself takes no more."""
    if feed is None:
        return Decimal(0)
    told = _whole(feed["timestamp"])
    if abs(at_s - (told // 1_000 if told > 10**11 else told)) > STALE_S:
        raise unread("a feed of Derive's is of another hour")
    return exact(feed["confidence"])


def _collateral(venue: str, row: Row, amount: Decimal, base: str) -> dict[str, Any]:
    """Haircuts as the account's own row states them, rounded up."""
    px = positive(row["mark_price"])
    value, kept, initial = (exact(row[key]) for key in ("mark_value", "maintenance_margin", "initial_margin"))  # fmt: skip
    if value <= 0 or not 0 <= initial <= kept <= value:
        raise ValueError(f"a collateral of {value} that counts for {kept} and {initial}")
    cut, more = (
        WIDE.divide(part, value).quantize(_STEP, ROUND_CEILING) for part in (value - kept, kept - initial)
    )
    return {
        "asset": cex_id(venue, str(row["asset_name"])),
        "balance": number(amount),
        "index_px": number(px),
        "cancels_risk": str(row["currency"]) == base,
        "mm_haircut": number(cut),
        "im_haircut": number(more),
    }


def _whole(value: Any) -> int:
    found = maybe(value)
    if found != found.to_integral_value() or found <= 0:
        raise ValueError(f"{value} is no number of anything")
    return int(found)
