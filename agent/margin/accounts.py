"""The accounts/1 format: accounts of any model in, their health out, with no network. Pure.

Output documented in one place, here: `px` is in USD per whole unit; `distance_pct` is the smallest move of a single price
that makes the account liquidatable, in percent, rounded down; `health_1e18` is null without debt; an account whose model is
not here is UNKNOWN with `why`, and every figure null. SAFE from 1.10 on, AT_RISK below, LIQUIDATABLE below 1. `aave_v3_0`
also reads `stable_debt_raw` of a reserve (a balance, at the time asked for) and `price_1e8` of an e-mode with a price of its
own. `cheapest_rescue` is the least payment that brings an account which is not SAFE to 1.10: what to do, with which asset, how
much, and the factor it leaves; null where there is none, or no need. A margin account adds `maintenance_raw`, some `initial_raw` (what
it must have to take more on) and `bankruptcy_px` (where closing a position leaves its share of the account with nothing). Keys of the other models stand in their own files. An
account with a `doubt` (text: what of it could not be read) is UNKNOWN for that reason, and so is one of a reserve that `assets` do not list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import Any

from agent.domain.instruments import asset_id
from agent.domain.units import WIDE
from agent.margin import fields
from agent.margin.doubts import doubt
from agent.margin.fixes import Fix, cheapest, fix_json
from agent.margin.model import Health, LiquidationPx, MarginModel, State, ToldModel, known_models, models
from agent.margin.screen import screened
from agent.margin.surface import Member
from agent.margin.transfers import Flight, read_flights
from chains.bounded_json import loads


@dataclass(frozen=True, slots=True)
class Judged:
    """One account of a file: `health` None where no model of its name is here, `why` then says so."""

    id: str
    model: str
    chain: str
    health: Health | None
    symbols: Mapping[str, str]
    price_decimals: int = 0
    why: str = ""
    member: Member | None = None
    fix: Fix | None = None
    decimals: Mapping[str, int] = field(default_factory=dict)

    @property
    def state(self) -> State:
        return self.health.state if self.health else State.UNKNOWN


def judge_text(text: str | bytes) -> list[Judged]:
    """Raises Usage BAD_ACCOUNTS_FILE naming what is wrong where."""
    return [judged(one) for one in read_text(text)]


def read_text(text: str | bytes) -> list[Judged]:
    """The file's accounts before they are judged: `health` None, and `why` empty where they can be. Raises Usage BAD_ACCOUNTS_FILE."""
    try:
        document = loads(text.encode() if isinstance(text, str) else text, parse_float=_no_float)
    except ValueError as problem:
        raise fields.wrong(f"the file is not JSON: {problem}") from None
    return read(document)


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is a fraction: amounts are whole base units")


def flights_of(text: str | bytes) -> tuple[Flight, ...]:
    """What is on its way to accounts of a file that `judge_text` has taken. Raises Usage naming what is wrong where."""
    document = loads(text.encode() if isinstance(text, str) else text, parse_float=_no_float)
    if "transfers" not in document:
        return ()
    return read_flights(document, _assets(document)[0], [str(a["id"]) for a in document["accounts"]])


def judge(document: Any) -> list[Judged]:
    return [judged(one) for one in read(document)]


def judge_below(accounts: Sequence[Judged], threshold_1e18: int) -> list[Judged]:
    """Of what was read: every account whose factor is below the threshold, and every UNKNOWN one, as `judged` has them.

    Floats find those that none of it can be said of (`screen`); all others are judged, and only what that says is told.
    """
    members = [one.member for one in accounts if one.member is not None]
    near = iter(screened([(m.model, m.account, m.timestamp) for m in members])({}, threshold_1e18))
    found = []
    for one in accounts:
        if one.member is not None and not next(near):
            continue
        told = judged(one)
        factor = told.health.health_1e18 if told.health else None
        if told.state is State.UNKNOWN or (factor is not None and factor < threshold_1e18):
            found.append(told)
    return found


def read(document: Any) -> list[Judged]:
    """Raises Usage BAD_ACCOUNTS_FILE."""
    if not isinstance(document, Mapping) or document.get("fairlead") != "accounts/1":
        raise fields.wrong('the file does not say "fairlead": "accounts/1"')
    fields.only(document, "the file", {"fairlead", "note", "at", "assets", "accounts", "transfers"})
    times = document.get("at")
    if not isinstance(times, Mapping):
        raise fields.wrong("at is not an object of chains")
    decimals, symbols = _assets(document)
    found: list[Judged] = []
    names: set[str] = set()
    for number, raw in enumerate(fields.rows(document, "accounts", "the file")):
        if not isinstance(raw, Mapping):
            raise fields.wrong(f"accounts[{number}] is not an object")
        name = fields.text(raw, "id", f"accounts[{number}]")
        if name in names:
            raise fields.wrong(f"account {name} stands there twice")
        names.add(name)
        found.append(_one(raw, name, times, decimals, symbols))
    if "transfers" in document:
        read_flights(document, decimals, [j.id for j in found])
    return found


def _one(
    raw: Mapping[str, Any],
    name: str,
    times: Mapping[str, Any],
    decimals: Mapping[str, int],
    symbols: Mapping[str, str],
) -> Judged:
    model_name = fields.text(raw, "model", f"account {name}")
    chain = fields.text(raw, "chain", f"account {name}")
    model: MarginModel | None = models().get(model_name)
    if model is None:
        why = f"there is no margin model '{model_name}' here; known: {', '.join(known_models())}"
        return Judged(name, model_name, chain, None, symbols, 0, why)
    if chain not in times or not isinstance(times[chain], Mapping):
        raise fields.wrong(f"account {name}: at says nothing of {chain}")
    timestamp = fields.whole(times[chain], "timestamp", f"at {chain}")
    if why := doubt(raw):
        return Judged(name, model_name, chain, None, symbols, model.price_decimals, why)
    account, strange = _read(model, raw, decimals)
    if strange:
        why = f"{', '.join(f'reserve {asset}' for asset in strange)} is not listed in assets"
        return Judged(name, model_name, chain, None, symbols, model.price_decimals, why)
    if isinstance(model, ToldModel) and (why := model.disagreement(account, timestamp)):
        return Judged(name, model_name, chain, None, symbols, model.price_decimals, why)
    member = Member(name, model, account, timestamp)
    return Judged(name, model_name, chain, None, symbols, model.price_decimals, "", member, None, decimals)


def judged(one: Judged) -> Judged:
    """An account that was read, judged: its health and its least payment, or why it is UNKNOWN. Raises Usage BAD_ACCOUNTS_FILE."""
    if one.member is None:
        return one
    model, account, timestamp = one.member.model, one.member.account, one.member.timestamp
    assert model is not None, "only what has a model was read"
    try:
        health = model.health(account, timestamp)
    except ArithmeticError as stop:  # where the protocol itself would revert, nothing is known of the account
        return replace(one, member=None, decimals={}, why=f"its own protocol cannot compute it: {stop}")
    thin = health.state in (State.AT_RISK, State.LIQUIDATABLE)
    return replace(one, health=health, fix=cheapest(model, account, timestamp) if thin else None)


def _read(model: MarginModel, raw: Mapping[str, Any], decimals: Mapping[str, int]) -> tuple[Any, list[str]]:
    """The account, and its assets that the file does not list. The rest of it is read all the same: what is malformed is refused."""
    strange: list[str] = []
    while True:
        try:
            return model.read(raw, {**decimals, **dict.fromkeys(strange, 6)}), strange
        except fields.Unlisted as missing:
            strange.append(missing.asset)


def _assets(document: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, str]]:
    decimals: dict[str, int] = {}
    symbols: dict[str, str] = {}
    for number, entry in enumerate(fields.rows(document, "assets", "the file")):
        where = f"assets[{number}]"
        if not isinstance(entry, Mapping):
            raise fields.wrong(f"{where} is not an object")
        fields.only(entry, where, {"id", "symbol", "decimals"})
        asset = asset_id(fields.text(entry, "id", where))
        digits = fields.whole(entry, "decimals", where)
        if digits > 36:
            raise fields.wrong(f"{where}: {digits} decimals are more than any asset has")
        if asset in decimals:
            raise fields.wrong(f"{where}: {asset} stands there twice")
        decimals[asset], symbols[asset] = digits, fields.text(entry, "symbol", where)
    return decimals, symbols


def px_text(px: LiquidationPx, price_decimals: int) -> str | None:
    decimals = price_decimals if px.decimals is None else px.decimals
    with localcontext(WIDE):
        return None if px.px_raw is None else _plain(Decimal(px.px_raw).scaleb(-decimals))


def health_json(
    name: str,
    model: str,
    health: Health | None,
    price_decimals: int = 0,
    why: str = "",
    fix: Fix | None = None,
) -> dict[str, Any]:
    """One account of `fairlead health --json`."""
    if health is None:
        unknown = dict.fromkeys(("health_1e18", "collateral_value_raw", "debt_value_raw", "value_unit"))
        rest: dict[str, Any] = {
            "liquidation_px": [],
            "distance_pct": None,
            "seconds_to_liquidation": None,
            "cheapest_rescue": None,
        }
        return {"id": name, "model": model, "state": State.UNKNOWN.value, **unknown, **rest, "why": why}
    distance = health.distance_pct_down
    more: dict[str, Any] = {}
    if health.maintenance_raw is not None:
        more["maintenance_raw"] = str(health.maintenance_raw)
    if health.initial_raw is not None:
        more["initial_raw"] = str(health.initial_raw)
    if health.bankruptcy_px:
        more["bankruptcy_px"] = [
            {"asset": px.asset, "px": px_text(px, price_decimals)} for px in health.bankruptcy_px
        ]
    if (taken := health.seized) is not None:
        more["seized"] = {
            "debt_asset": taken.debt_asset,
            "repaid_raw": str(taken.repaid_raw),
            "collateral": [{"asset": asset, "raw": str(raw)} for asset, raw in taken.collateral],
            "fee_raw": str(taken.fee_raw),
            "bad_debt_raw": str(taken.bad_debt_raw),
        }
    return {
        "id": name,
        "model": model,
        "state": health.state.value,
        "health_1e18": None if health.health_1e18 is None else str(health.health_1e18),
        "collateral_value_raw": str(health.collateral_value_raw),
        "debt_value_raw": str(health.debt_value_raw),
        "value_unit": health.value_unit,
        "liquidation_px": [
            {"asset": px.asset, "side": px.side.value, "px": px_text(px, price_decimals)}
            for px in health.liquidation_px
        ],
        "distance_pct": None if distance is None else _plain(distance),
        "seconds_to_liquidation": health.seconds_to_liquidation,
        "cheapest_rescue": fix_json(fix),
        **more,
    }


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
