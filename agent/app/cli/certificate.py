"""`fairlead certificate check`: a route's proof judged again from the market file alone."""

from __future__ import annotations

import click

from agent.app.cli.groups import Sentences


@click.group(cls=Sentences)
def command() -> None:
    """Proofs of how far a route is from the best one."""


@command.command()
@click.argument("route")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def check(route: str, file: str, as_json: bool) -> int:
    """Compute every figure of ROUTE (what `route --json` printed; - for stdin) again over the market FILE it was made for."""
    import orjson

    from agent.app.cli.marketfile import load_market
    from agent.app.cli.output import emit_json
    from agent.app.watching.words import many
    from agent.routing.certificate.check import check as judged
    from chains.bounded_file import DOCUMENT_BYTES, read_at_most
    from chains.errors import Usage

    try:
        text = read_at_most(route, DOCUMENT_BYTES)
    except OSError as problem:
        raise Usage("NO_SUCH_FILE", f"{route} cannot be read: {problem.strerror}", "name a file that `route --json` wrote") from None  # fmt: skip
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as bad:
        raise Usage("BAD_ROUTE", f"{route} is not JSON: {bad}", "give what `fairlead route --json` prints") from None  # fmt: skip
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        raise Usage("BAD_ROUTE", f"{route} is no route but an error: {document['error'].get('message')}", "mend what `route` was asked for, and ask again")  # fmt: skip
    found = judged(document, load_market(file))
    if as_json:
        emit_json(
            {
                "valid": found.valid,
                "bound_raw": str(found.bound_raw),
                "out_raw": str(found.out_raw),
                "net_out_raw": str(found.net_out_raw),
                "gap_bps": found.gap_bps,
                "hops": found.hops,
                "legs": found.legs,
                "why": list(found.why),
            }
        )
    elif found.valid:
        gap = "nets nothing" if found.gap_bps is None else f"is within {found.gap_bps:.3f} bps of the optimum"
        universe = document["certificate"]["universe"]
        most = universe.get("hops")
        moves = f", {many(universe['transfers'], 'transfer')}" if universe.get("transfers") else ""
        # A bound of short chains alone says nothing of longer ones: a reader must see what was left out.
        chains = "" if most is None else f", over chains of at most {most} leg{'s' * (most != 1)}"
        chains += "" if found.legs is None else f" and plans of at most {found.legs}"
        click.echo(
            f"valid: the route {gap} of what was loaded ({many(universe['pools'], 'pool')}, {many(universe['books'], 'book')}{moves}){chains}, "
            "and of nothing beyond it"
        )
    else:
        click.echo("not valid:")
        for line in found.why:
            click.echo(f"  {line}")
    return 0 if found.valid else 4
