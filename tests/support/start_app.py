"""What `agent.app.start_check` asks of an App, over the places of an `Office`: its exchange, its prices, its journal."""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from desk import DIRECTORY, Office

from agent.app.settings_reconcile import ReconcileTable
from agent.execution.desk import Desk
from agent.execution.locks import Locks

SYMBOLS = ("ETHUSDC",)


def start_app(
    office: Office, venue: Any, desk: Desk | None = None, *, foreign: str = "alarm", tolerance: str = "50"
) -> Any:
    """`venue` None: the exchange does not answer. With a `desk` its authority and its market know the app's locks, as the wiring has it."""
    table = SimpleNamespace(name="paper", symbols=SYMBOLS, foreign_orders=foreign)
    settings = SimpleNamespace(
        venues=[table],
        chains=[],
        venue=lambda name: table if name == table.name else None,
        chain=lambda name: None,
        reconcile=ReconcileTable(tolerance_usd=Decimal(tolerance)),
    )

    class Prices:
        async def prices(self) -> Any:
            return await office.oracle()

    app = SimpleNamespace(
        settings=settings,
        clock=office.clock,
        venues={} if venue is None else {table.name: venue},
        chains={},
        unreachable={table.name: "nobody is there"} if venue is None else {},
        directory=DIRECTORY,
        oracles=Prices(),
        market=desk.market if desk is not None else None,
        locks=Locks(),
        closing=AsyncExitStack(),
        listen=lambda venue: None,
        desk=desk,
    )
    if desk is not None:
        desk.authority.locks = desk.market.locks = app.locks  # type: ignore[attr-defined]

    async def adopt_balances() -> None:
        from agent.app.adoption import adopt

        assert desk is not None
        await adopt(app, desk)  # type: ignore[arg-type]

    app.adopt_balances = adopt_balances
    return app
