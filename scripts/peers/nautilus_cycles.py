"""The orders of scripts/bench.d/cycles.py in NautilusTrader's backtest engine: a strategy, its risk engine, a simulated exchange, the portfolio; prints JSON.

Runs with a Python of its own that has nautilus_trader (LGPL; nothing of it is imported by the project). One order at each quote, twenty
milliseconds apart so that its own limit on submissions refuses none; each sale closes the position that the purchase before it opened, so
that never more than one is open. With positions left open, or one netted over all orders, the engine slows down sooner. CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal

import nautilus_trader
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import ETH, USDC
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

count = int(sys.argv[1])
VENUE = Venue("PAPER")
ID = InstrumentId(Symbol("ETHUSDC"), VENUE)
pair = CurrencyPair(
    instrument_id=ID,
    raw_symbol=Symbol("ETHUSDC"),
    base_currency=ETH,
    quote_currency=USDC,
    price_precision=2,
    size_precision=4,
    price_increment=Price.from_str("0.01"),
    size_increment=Quantity.from_str("0.0001"),
    ts_event=0,
    ts_init=0,
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    margin_init=Decimal(0),
    margin_maint=Decimal(0),
)


class EveryQuote(Strategy):
    def __init__(self):
        super().__init__(StrategyConfig())
        self.n = 0
        self.filled = 0
        self.marks = []
        self.opened = None

    def on_start(self):
        self.subscribe_quote_ticks(ID)

    def on_quote_tick(self, tick):
        side = OrderSide.SELL if self.n % 2 else OrderSide.BUY
        self.n += 1
        px = pair.make_price(3100.0 if side == OrderSide.BUY else 2900.0)
        order = self.order_factory.limit(ID, side, pair.make_qty(0.1), px, time_in_force=TimeInForce.IOC)
        self.submit_order(order, position_id=self.opened if side == OrderSide.SELL else None)
        if self.n % (count // 4) == 0:
            self.marks.append(time.process_time())

    def on_order_filled(self, event):
        self.filled += 1
        self.opened = event.position_id


engine = BacktestEngine(
    BacktestEngineConfig(trader_id=TraderId("B-001"), logging=LoggingConfig(bypass_logging=True))
)
engine.add_venue(
    venue=VENUE,
    oms_type=OmsType.HEDGING,
    account_type=AccountType.CASH,
    starting_balances=[Money(50, ETH), Money(100_000, USDC)],
)
engine.add_instrument(pair)
strategy = EveryQuote()
engine.add_strategy(strategy)
bid, ask, size = Price.from_str("2999.90"), Price.from_str("3000.10"), Quantity.from_str("50.0000")
engine.add_data([QuoteTick(ID, bid, ask, size, size, n * 20_000_000, n * 20_000_000) for n in range(count)])
begin = time.process_time()
engine.run()
took = time.process_time() - begin
marks = [begin, *strategy.marks]
quarters = [round((count // 4) / (b - a)) for a, b in zip(marks, marks[1:], strict=False)]
print(
    json.dumps(
        {
            "version": nautilus_trader.__version__,
            "orders": strategy.n,
            "fills": strategy.filled,
            "per_s": round(strategy.n / took),
            "quarters": quarters,
        }
    )
)
