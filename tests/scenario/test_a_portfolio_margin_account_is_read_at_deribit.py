"""Deribit's portfolio margin account, read whole by a key that trades, from a server that reckons the documented answer by plain loops of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal as D
from fractions import Fraction
from typing import Any

import pytest
from deribit_answers import BTC
from deribit_rig import INVERSE, Signer, deribit_session, inverse_signer
from paper import KEY, SECRET, served
from random_books_options import deribit_asked

from agent.app.testvenue.combos import ComboEngine
from agent.app.testvenue.deribit import API, DeribitServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.server import Params, Route, signed_route
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.app.watching.margins import judged_now
from agent.domain.errors import FairleadError, Usage
from agent.margin.accounts import Judged
from agent.margin.deribit_matrix import Account as Pm
from agent.margin.deribit_matrix import Future, Option, Parameters
from agent.margin.model import Side, State

INDEX, MARK = "65666.19", "65910.57"
ENDS_MS = 1_924_588_800_000  # 27 December 2030, eight in the morning
PARAMETERS = Parameters(
    table_factor=1.0, dampener=100_000.0, roll_least=0.01, roll_risk=0.075, option_contingency=0.0, future_contingency=0.0,
    maintenance_factor=0.8,
)  # fmt: skip


class Engine:
    """What Deribit would answer of `held`, sizes in coins by contract; `spoil` changes an answer by its method."""

    def __init__(self, held: Mapping[str, str], ivs: Mapping[str, str], equity: str, **spoil: Any) -> None:
        self.held, self.ivs, self.equity, self.spoil = dict(held), ivs, equity, spoil
        self.model = "segregated_pm"

    def account(self) -> Pm:
        options = []
        for name, iv in self.ivs.items():
            _, _, strike, kind = name.split("-")
            days = Fraction(ENDS_MS - time.time_ns() // 10**6, 86_400_000)
            vol = Fraction(iv) / 100
            options.append(
                Option(Fraction(self.held[name]), kind == "C", Fraction(strike), days, vol, Fraction("66000"))
            )
        perps = tuple(Future(Fraction(s), Fraction(MARK)) for n, s in self.held.items() if n == INVERSE)
        return Pm(
            "btc", Fraction(INDEX), Fraction(self.equity), perps, tuple(options), PARAMETERS, in_coin=True
        )

    def simulate(self, params: Params, account: Account) -> Any:
        assert params == {"currency": "BTC"}, "nothing is added to what is held"
        worst, roll, kept = deribit_asked(self.account())
        kept *= self.spoil.get("maintenance", 1.0)
        details = {"delta_shock": 0, "roll_shock": roll, "worst_case": worst, "correlation_contingency": 0}
        margins = {
            "initial_margin": kept / 0.8,
            "maintenance_margin": kept,
            "initial_margin_details": {"risk_matrix_margin_details": details},
        }
        if "simulate" in self.spoil:
            return self.spoil["simulate"]
        return BTC | {
            "portfolio": {
                "currency": {},
                "position": self.spoil.get("positions", {n: float(s) for n, s in self.held.items()}),
            },
            "margins": {"btc": margins},
        }

    def summaries(self, params: Params, account: Account) -> Any:
        kept = deribit_asked(self.account())[2]
        row = {"currency": "BTC", "equity": float(self.equity), "margin_balance": float(self.equity), "maintenance_margin": kept, "initial_margin": kept / 0.8, "balance": 1, "margin_model": self.model, "cross_collateral_enabled": self.model.startswith("cross")}  # fmt: skip
        return {"summaries": [row]}

    def positions(self, params: Params, account: Account) -> Any:
        return [
            {"instrument_name": name, "size": float(size), "kind": "future" if name == INVERSE else "option", "mark_price": 1, "index_price": 1, "maintenance_margin": 0}
            for name, size in self.held.items()
        ]  # fmt: skip

    def books(self, params: Params, account: Account | None) -> Any:
        assert params == {"currency": "BTC", "kind": "option"}
        return [
            {"instrument_name": n, "mark_iv": float(iv), "underlying_price": 66_000.0}
            for n, iv in self.ivs.items()
        ]


class Server(DeribitServer):
    """The paper exchange, its account as `engine` tells it."""

    def __init__(self, engine: Engine) -> None:
        self.told = engine
        spec = SymbolSpec(
            "BTC", "USD", D("0.5"), D(10), D(10), max_qty=D(9_000_000), mid=D(60_000), inverse=True
        )
        venue = Venue(
            ComboEngine([spec], D(0), D(0)),
            [Account(KEY, SECRET, (("BTC", D(3)),))],
            [],
            lambda: time.time_ns() // 10**6,
        )
        super().__init__(venue, Limits(10**7))

    def _routes(self) -> list[Route]:
        def private(method: str, run: Callable[[Params, Account], Any]) -> Route:
            return signed_route(method, "GET", f"{API}/private/{method}", 1, run)

        told = self.told
        own = [
            private("pme/simulate", told.simulate),
            private("get_account_summaries", told.summaries),
            private("get_positions", told.positions),
            Route("books", "GET", f"{API}/public/get_book_summary_by_currency", 1, False, told.books),
        ]
        paths = {route.path for route in own}
        return [*own, *(route for route in super()._routes() if route.path not in paths)]


async def read(engine: Engine, signer: Signer | None = None) -> list[Judged]:
    async with served(Server(engine), "/api/v2/depth") as door:
        venue = deribit_session(door.url, signer or inverse_signer())
        await venue.start()
        try:
            return await judged_now(venue)
        finally:
            await venue.close()


CALL, PUT = "BTC-27DEC30-80000-C", "BTC-27DEC30-50000-P"
BOOKS = [
    ({INVERSE: "0.5"}, {}, "0.4", Side.BELOW),
    ({INVERSE: "-0.5"}, {}, "0.4", Side.ABOVE),
    ({INVERSE: "0.5", CALL: "-2", PUT: "1"}, {CALL: "61.07", PUT: "58.2"}, "2", None),
]


@pytest.mark.parametrize(("held", "ivs", "equity", "side"), BOOKS)
async def test_it_is_what_the_exchange_reckons_and_its_price_of_liquidation_is_told(
    held: dict[str, str], ivs: dict[str, str], equity: str, side: Side | None
) -> None:
    engine, signer = Engine(held, ivs, equity), inverse_signer()
    (found,) = await read(engine, signer)
    assert found.state is State.SAFE and found.health is not None, found.why
    assert (found.id, found.model) == ("paper BTC", "deribit_pm")
    kept = deribit_asked(engine.account())[2] * float(INDEX)
    assert found.health.maintenance_raw is not None
    assert abs(found.health.maintenance_raw / 1e8 - kept) < kept / 10_000
    (px,) = found.health.liquidation_px
    assert px.asset == "cex:paper/BTC" and px.now_raw == int(D(INDEX).scaleb(8))
    assert side is None or px.side is side
    assert "GET /api/v2/private/pme/simulate" in signer.asked and all(
        one.startswith("GET ") for one in signer.asked
    )


async def test_a_margin_that_is_off_by_more_than_a_thousandth_is_unknown_with_both() -> None:
    for by, known in ((1.0005, True), (1.002, False), (0.998, False)):
        (found,) = await read(Engine(*BOOKS[0][:3], maintenance=by))
        assert (found.state is not State.UNKNOWN) is known, found.why
        assert known or "maintenance margin" in found.why


async def test_cross_margin_is_refused_with_the_exchanges_own_figures() -> None:
    engine = Engine(*BOOKS[0][:3])
    engine.model = "cross_pm"
    with pytest.raises(Usage) as no:
        await read(engine)
    assert no.value.code == "MARGIN_MODEL" and "equity 0.4 BTC, maintenance margin" in no.value.message


async def test_an_answer_that_is_none_is_a_dialect_and_positions_that_changed_are_asked_for_again() -> None:
    spoilt: tuple[tuple[dict[str, Any], str], ...] = (
        ({"positions": {}}, "MARGIN_MOVED"),
        ({"simulate": {}}, "VENUE_DIALECT"),
    )
    for spoil, code in spoilt:
        with pytest.raises(FairleadError) as wrong:
            await read(Engine(*BOOKS[0][:3], **spoil))
        assert wrong.value.code == code
