"""The command line of the paper exchange."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from aiohttp import web

from agent.app.testvenue.coinbase import CoinbaseServer
from agent.app.testvenue.combos import ComboEngine, ComboSpec, combo_levels, combo_spec
from agent.app.testvenue.deribit import DeribitServer
from agent.app.testvenue.dydx import DydxServer
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.hyperliquid import HyperliquidServer, on_its_grid
from agent.app.testvenue.kraken import KrakenServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, file_levels, read_tape, seeded_levels, tape_specs
from agent.app.testvenue.quote_fees import QuoteFees
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.usdm import UsdmServer
from agent.app.testvenue.venue import Account, CommandLog, Venue

DIALECTS: dict[str, tuple[type[Engine], type[Server]]] = {
    "binance_spot": (Engine, Server),
    "binance_usdm": (FuturesEngine, UsdmServer),
    "coinbase": (QuoteFees, CoinbaseServer),
    "deribit": (ComboEngine, DeribitServer),
    "kraken": (QuoteFees, KrakenServer),
    "dydx": (FuturesEngine, DydxServer),
    "hyperliquid": (Engine, HyperliquidServer),
    "hyperliquid_perps": (FuturesEngine, HyperliquidServer),
}
"""What it trades, and how it says so."""


def parse_account(text: str) -> Account:
    """`key=K:secret=S:ETH=50:USDC=100000`; the secret may also be `env:NAME` or `file:PATH`; with `fix=file:PATH` of an Ed25519 public key
    in PEM it may log on by FIX. At Hyperliquid the key is the account's address, the secret its agent wallet's key. Raises ValueError, OSError."""
    fields: list[tuple[str, str]] = []
    for piece in text.split(":"):
        name, equals, value = piece.partition("=")
        if equals:
            fields.append((name, value))
        elif fields:
            fields[-1] = (fields[-1][0], f"{fields[-1][1]}:{piece}")
    found = dict(fields)
    key, secret, fix = found.pop("key", ""), found.pop("secret", ""), found.pop("fix", "")
    if not key or not secret:
        raise ValueError("an account is key=KEY:secret=SECRET:ASSET=QTY…")
    if secret.startswith("env:"):
        secret = os.environ.get(secret[4:], "")
    elif secret.startswith("file:"):
        secret = Path(secret[5:]).read_text().strip()
    if not secret:
        raise ValueError(f"the secret of account {key} is empty")
    if fix and not fix.startswith("file:"):
        raise ValueError(f"account {key}: fix is file:PATH of a public key in PEM")
    public = Path(fix[5:]).read_text() if fix else ""
    try:
        return Account(key, secret, tuple((asset, Decimal(qty)) for asset, qty in found.items()), public)
    except InvalidOperation:
        raise ValueError(f"account {key}: balances are numbers, like ETH=50") from None


def parse_symbol(text: str, mid: Decimal) -> SymbolSpec:
    """`ETH/USDC` or `BTC/USDC=60000`. Raises ValueError."""
    name, _, px = text.partition("=")
    base, slash, quote = name.partition("/")
    if not (base and slash and quote):
        raise ValueError("a symbol is BASE/QUOTE or BASE/QUOTE=MID")
    try:
        return SymbolSpec(base, quote, mid=Decimal(px) if px else mid)
    except InvalidOperation:
        raise ValueError(f"'{px}' is not a price") from None


def parse_combo(text: str, specs: list[SymbolSpec]) -> ComboSpec:
    """`ETH-FS-27DEC30_PERP=ETH-27DEC30/USDC:1,ETH/USDC:-1`: a name, and each leg with its ratio. Raises ValueError."""
    name, _, rest = text.partition("=")
    legs: dict[str, int] = {}
    for leg in rest.split(","):
        symbol, _, ratio = leg.rpartition(":")
        try:
            legs[symbol.replace("/", "")] = int(ratio)
        except ValueError:
            raise ValueError(f"a combo is NAME=BASE/QUOTE:RATIO,…, and '{leg}' is no such leg") from None
    return combo_spec(name, legs, specs)


def number(text: str) -> Decimal:
    """A positive decimal, as argparse wants it: ValueError otherwise."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of zero or more")
    return value


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent.app.testvenue", description="A paper exchange on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it listens")
    parser.add_argument("--dialect", choices=DIALECTS, default="binance_spot")
    parser.add_argument(
        "--fix-port", type=int, default=0, help="of the FIX door, which opens where an account has fix="
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mid", type=number, default=Decimal(3000))
    parser.add_argument("--symbol", action="append", default=[], metavar="BASE/QUOTE[=MID]")
    parser.add_argument(
        "--combo",
        action="append",
        default=[],
        metavar="NAME=BASE/QUOTE:RATIO,…",
        help="with --dialect deribit",
    )
    parser.add_argument(
        "--account", action="append", default=[], metavar="key=K:secret=S[:fix=file:PEM]:ASSET=QTY…"
    )
    parser.add_argument("--maker-bps", type=number, default=Decimal(10))
    parser.add_argument("--taker-bps", type=number, default=Decimal(10))
    parser.add_argument("--weight-limit", type=int, default=6_000)
    parser.add_argument("--order-limit", type=int, default=100)
    parser.add_argument(
        "--tick-ms", type=int, default=1_000, help="how often the market maker refills; 0 never"
    )
    parser.add_argument("--still", action="store_true", help="the market maker refills and does nothing else")
    parser.add_argument(
        "--latency-ms",
        type=number,
        default=Decimal(0),
        help="how long each way takes, of requests and of what is told (not by FIX)",
    )
    parser.add_argument("--journal", type=Path, help="survive restarts: commands are kept here")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--book", type=Path, help="levels from a JSON file or a market/1 file")
    source.add_argument("--replay", type=Path, action="append", help="play a recording (may be given again)")
    parser.add_argument("--replay-speed", type=float, default=1.0)
    return parser


def build(options: argparse.Namespace) -> Server:
    """Raises ValueError or OSError with what is wrong."""
    if options.replay and options.journal:
        raise ValueError(
            "--replay and --journal exclude each other: a recording starts again with the server"
        )
    for name, port in (("--port", options.port), ("--fix-port", options.fix_port)):
        if not 0 <= port <= 65_535:
            raise ValueError(f"{name} is a number up to 65535; 0 takes a free one")
    if options.mid == 0:
        raise ValueError("--mid is a price above zero")
    accounts = [parse_account(text) for text in options.account]
    if options.replay:
        specs = tape_specs(options.replay)
        makers = []
    else:
        specs = [parse_symbol(text, options.mid) for text in options.symbol or ["ETH/USDC"]]
        if options.dialect.startswith("hyperliquid"):
            specs = [on_its_grid(spec, options.dialect.endswith("perps")) for spec in specs]
        makers = [
            Maker(
                spec,
                file_levels(options.book, spec.symbol) if options.book else seeded_levels(spec, options.seed),
                options.seed,
                not options.still,
            )
            for spec in specs
        ]
    if options.combo and (options.dialect != "deribit" or options.replay):
        raise ValueError("--combo goes with --dialect deribit, and with no recording")
    combos = [parse_combo(text, specs) for text in options.combo]
    makers += [Maker(spec, combo_levels(spec), options.seed, breathing=False) for spec in combos]
    specs += combos
    kind, serves = DIALECTS[options.dialect]
    engine = kind(specs, options.maker_bps / 10_000, options.taker_bps / 10_000)
    header = {
        "engine": "2",  # the same commands come to other fills where the engine treats a queue otherwise
        "seed": str(options.seed),
        **({} if options.dialect == "binance_spot" else {"dialect": options.dialect}),
        "symbols": ",".join(f"{s.symbol}={s.mid}" for s in specs),
        "book": str(options.book or ""),
        "still": str(options.still),
        "rates": f"{options.maker_bps}/{options.taker_bps}",
        "accounts": ",".join(f"{a.key}:{':'.join(f'{n}={q}' for n, q in a.deposits)}" for a in accounts),
    }
    log = CommandLog(options.journal, header) if options.journal else None
    venue = Venue(engine, accounts, makers, lambda: time.time_ns() // 1_000_000, log)
    server = serves(venue, Limits(options.weight_limit, options.order_limit))
    server.hub.latency_s = float(options.latency_ms) / 1_000
    return server


async def tick_forever(venue: Venue, tick_ms: int) -> None:
    while tick_ms > 0:
        await asyncio.sleep(tick_ms / 1_000)
        venue.tick()


async def play(venue: Venue, paths: list[Path], speed: float) -> None:
    start, first = time.monotonic(), None
    for event in read_tape(paths):
        first = event.at if first is None else first
        wait = (event.at - first) / speed - (time.monotonic() - start)
        if wait > 0:
            await asyncio.sleep(wait)
        venue.play(event)


async def listening(starting: Coroutine[Any, Any, Any], port: int, option: str) -> None:
    """Raises ValueError where somebody else has the port, OSError."""
    try:
        await starting
    except OSError as taken:
        if taken.errno != errno.EADDRINUSE:
            raise
        raise ValueError(
            f"port {port} on 127.0.0.1 is in use: end whatever listens there, or choose another with {option}"
        ) from None


async def run(options: argparse.Namespace) -> None:
    server = build(options)
    keys = {a.key: a.fix_key for a in server.venue.accounts.values() if a.fix_key}
    fix = None
    if keys:
        from agent.app.testvenue.fix import FixServer

        fix = FixServer(server, keys)
        await listening(fix.start(options.fix_port), options.fix_port, "--fix-port")
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await listening(web.TCPSite(runner, "127.0.0.1", options.port).start(), options.port, "--port")
    except (OSError, ValueError):
        await runner.cleanup()
        raise
    port = runner.addresses[0][1]
    print(f"paper exchange on http://127.0.0.1:{port}", flush=True)
    if fix is not None:
        print(f"FIX on tcp://127.0.0.1:{server.fix_port}", flush=True)
    if options.port_file:
        partial = options.port_file.with_suffix(".tmp")
        partial.write_text(str(port))
        partial.replace(options.port_file)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.replay:
        work = asyncio.create_task(play(server.venue, options.replay, options.replay_speed))
    else:
        work = asyncio.create_task(tick_forever(server.venue, options.tick_ms))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopped, work}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            await work  # what broke the market ends the server; a recording that ended does not
            await stopped
    finally:
        stopped.cancel()
        work.cancel()
        if fix is not None:
            await fix.close()
        await runner.cleanup()
        if server.venue.log is not None:
            server.venue.log.close()


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        asyncio.run(run(options))
    except (ValueError, OSError) as error:
        print(f"paper exchange: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
