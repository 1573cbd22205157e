"""Reads a file of raw Binance depth frames, the first of them a REST snapshot, and keeps the book as ccxt's streams do; prints JSON.

Runs in an environment of its own (requirements.lock beside it). What is timed is ccxt's own parsing and its own handling of a
message, without its checks of sequence and without a network: less than it does in use.
"""

from __future__ import annotations

import json
import sys
import time

import ccxt.pro

lines = open(sys.argv[1]).read().splitlines()
exchange = ccxt.pro.binance()
snapshot = json.loads(lines[0])
book = exchange.order_book({})
book.reset(exchange.parse_order_book(snapshot, "BTC/USDT", None))
levels = 0
start = time.process_time()
for line in lines[1:]:
    data = exchange.parse_json(line)
    data = data.get("data", data)
    exchange.handle_order_book_message(None, data, book)
    levels += len(data["b"]) + len(data["a"])
took = time.process_time() - start
print(
    json.dumps(
        {
            "version": ccxt.__version__,
            "levels": levels,
            "cpu_s": took,
            "bid": str(book["bids"][0][0]),
            "ask": str(book["asks"][0][0]),
        }
    )
)
