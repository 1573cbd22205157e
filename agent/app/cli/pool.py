"""`fairlead pool quote`: one pool of a market file, to the last unit, with the pool as the swap leaves it."""

from __future__ import annotations

from typing import Any

import click

from agent.app.cli.groups import Sentences


@click.group(cls=Sentences)
def command() -> None:
    """Exact quotes of one pool from a market file."""


@command.command()
@click.argument("file")
@click.option("--pool", "pool_id", required=True, metavar="ID", help="The pool's id, or the address in it.")
@click.option(
    "--in", "asset_in", required=True, metavar="ASSET", help="What goes in: an id or an unambiguous symbol."
)
@click.option(
    "--out",
    "asset_out",
    metavar="ASSET",
    help="What comes out; needed where the pool has more than two assets.",
)
@click.option("--raw", metavar="N", help="Exact input, in base units.")
@click.option("--out-raw", metavar="N", help="Exact output, in base units.")
@click.option(
    "--limit-sqrt-price-x96", "limit", metavar="P", help="Stop at this price (concentrated pools only)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def quote(
    file: str, pool_id: str, asset_in: str, asset_out: str | None, raw: str | None, out_raw: str | None, limit: str | None, as_json: bool
) -> None:  # fmt: skip
    """Quote a swap on a pool of FILE exactly as its contract would execute it."""
    from difflib import get_close_matches

    from agent.amm import Reverted, swap_exact_in, swap_exact_out
    from agent.app.cli.marketfile import load_market
    from agent.app.cli.output import emit_json
    from agent.market.write import pool_json
    from chains.errors import Reject, Usage

    if (raw is None) == (out_raw is None):
        raise Usage(
            "BAD_USAGE",
            "give exactly one of --raw and --out-raw",
            "--raw is what you sell, --out-raw what you buy",
        )
    amount = _whole("--raw" if raw is not None else "--out-raw", raw if raw is not None else out_raw or "")
    price = None if limit is None else _whole("--limit-sqrt-price-x96", limit)
    view = load_market(file)
    pool = view.pools.get(pool_id)
    if pool is None:
        lower = pool_id.lower()
        found = [p for key, p in view.pools.items() if lower in (key.lower(), key.lower().partition("/")[2])]
        if len(found) != 1:
            near = get_close_matches(pool_id, list(view.pools), n=1, cutoff=0.8)
            raise Usage(
                "UNKNOWN_POOL", f"no pool {pool_id} in {file}", f"did you mean {near[0]}?" if near else ""
            )
        pool = found[0]
    sold = _held(view, pool, asset_in)
    if asset_out is None:
        if len(pool.assets) != 2:
            raise Usage(
                "BAD_USAGE",
                f"pool {pool.id} holds {len(pool.assets)} assets",
                "say which comes out with --out",
            )
        bought = next(a for a in pool.assets if a != sold)
    else:
        bought = _held(view, pool, asset_out)
    verb = swap_exact_in if raw is not None else swap_exact_out
    swapped = verb(pool, sold, bought, amount, limit_sqrt_price_x96=price)
    if isinstance(swapped, Reverted):
        raise Reject(
            "REVERT",
            f"the pool contract reverts: {swapped.reason or 'no reason given'}",
            "another amount or direction may work",
        )
    answer: dict[str, Any] = {
        "in": sold,
        "out": bought,
        "in_raw": str(swapped.amount_in),
        "out_raw": str(swapped.amount_out),
        "fee_raw": str(swapped.fee),
        "fee_asset": swapped.fee_asset,
        "gas": swapped.gas,
        "ticks_crossed": swapped.ticks_crossed,
        "complete": swapped.complete,
        "after": pool_json(swapped.after),
    }
    if as_json:
        emit_json(answer)
        return
    _show(view, pool.id, answer)


def _held(view: Any, pool: Any, text: str) -> str:
    # Within a pool a symbol is unambiguous where the pool holds one asset of that name, whatever else the market lists.
    from chains.errors import Usage

    lower = text.lower()
    for match in (
        [a for a in pool.assets if a.lower() == lower or a.lower().rpartition(":")[2] == lower],
        [a for a in pool.assets if view.assets[a].symbol == text],
        [a for a in pool.assets if view.assets[a].symbol.lower() == lower],
    ):
        if len(match) == 1:
            return str(match[0])
    held = ", ".join(f"{view.assets[a].symbol} ({a})" for a in pool.assets)
    raise Usage("ASSET_NOT_IN_POOL", f"pool {pool.id} does not hold {text}", f"it holds {held}")


def _whole(option: str, text: str) -> int:
    from chains.errors import Usage

    if not text.isascii() or not text.isdigit():
        raise Usage(
            "BAD_AMOUNT",
            f"{option} must be a whole number of base units, not '{text[:90]}'",
            "like 1000000000000000000",
        )
    if len(text) > 78:
        raise Usage(
            "BAD_AMOUNT", f"{option} is more than the 256 bits of a contract", "like 1000000000000000000"
        )
    return int(text)


def _show(view: Any, pool_id: str, answer: dict[str, Any]) -> None:
    from agent.app.cli.output import plain, table
    from agent.domain.units import qty_exact

    def amount(key: str, asset: str) -> str:
        known = view.assets[asset]
        return f"{plain(qty_exact(int(answer[key]), known.decimals))} {known.symbol}"

    click.echo(f"file · {pool_id} · no wallet")
    rows = [
        ["in", amount("in_raw", answer["in"]), answer["in_raw"]],
        ["out", amount("out_raw", answer["out"]), answer["out_raw"]],
        ["fee", amount("fee_raw", answer["fee_asset"]), answer["fee_raw"]],
        ["gas", str(answer["gas"]), ""],
        ["ticks crossed", str(answer["ticks_crossed"]), ""],
        ["complete", "yes" if answer["complete"] else "no: the limit or the liquidity ended first", ""],
    ]
    table(("", "amount", "base units"), rows, right=(2,))
