"""Checks what `ape fairlead quote sell 25 ETH --for USDC --json` said on the devnet: the whole order, several places, sums that add up.

python scripts/ape/check_quote.py quote.json
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path


def wrong(quote: dict) -> list[str]:
    """What does not hold; empty where all is well."""
    found = []
    sold = Decimal(0)
    for leg in quote["legs"]:
        at_exchange = leg["in"].startswith("cex:")
        sold += Decimal(leg["in_raw"]).scaleb(-8 if at_exchange else -18)
    if sold != 25:
        found.append(f"its legs sell {sold} ETH, not 25")
    places = {leg["in"].rpartition("/")[0] for leg in quote["legs"]}
    if len(places) < 3 or "cex:paper" not in places:
        found.append(f"three places were expected, the exchange among them: {sorted(places)}")
    costs = quote["costs"]
    net = int(quote["out_raw"]) - int(costs["gas_raw"]) - int(costs["transfer_raw"])
    if net != int(quote["net_out_raw"]):
        found.append(f"out less gas and transfers is {net}, not {quote['net_out_raw']}")
    if not Decimal(2900) < Decimal(quote["net_px"]) < Decimal(3100):
        found.append(f"a net price of {quote['net_px']} where the market stands at 3000")
    if quote["side"] != "sell" or Decimal(quote["qty"]) != 25 or not str(quote["quote_id"]).startswith("q-"):
        found.append("it is not a quote for selling 25")
    return found


if __name__ == "__main__":
    problems = wrong(json.loads(Path(sys.argv[1]).read_text()))
    print(
        "\n".join(f"ape fairlead quote: {problem}" for problem in problems),
        file=sys.stderr,
        end="\n" if problems else "",
    )
    sys.exit(1 if problems else 0)
