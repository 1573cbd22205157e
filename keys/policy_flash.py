"""A debt repaid out of the wallet's own collateral by FlashRepay: judged by what it may take, and by what it must leave. Pure.

The contract repays the caller's debt alone and pulls the caller's aTokens alone, so that a batch can lose no more than what it approves
of them; the health that it has to find afterwards is the one bound on what the rest is worth. It works only for an asset and an aToken
that are listed, at a market that is.

How much is repaid for it, by which pools of which factory, is not judged: anybody can make a pool of two listed tokens at a price of his
own. Whoever holds the trading process can thus lose what the aToken's caps let leave, as by a swap of a minimum of one: the caps are the
bound, and an aToken needs one only where owners sign such rescues.
"""

from __future__ import annotations

from contracts.leaves import FlashRepayment
from keys.policy_state import Flow, Refused

KIND = "flash_repay"
LEAST_HEALTH_1E18 = 10**18
"""Below it the loan could be liquidated at once."""


def repay(flow: Flow, leaf: FlashRepayment) -> None:
    """Raises Refused."""
    flow.harmless = False
    if flow.policy.contracts.get(leaf.pool) != "aave_v3_pool":
        raise Refused(
            "lending-pool",
            f"{leaf.path}: the market {leaf.pool}",
            "List it as an aave_v3_pool under contracts if it is meant.",
        )
    for token in leaf.tokens:
        flow.token(token, leaf.path)
    if leaf.least_health < LEAST_HEALTH_1E18:
        raise Refused(
            "least-health",
            f"{leaf.path} may leave a health factor of {leaf.least_health} / 10^18",
            "State one of at least 1, below which the loan is liquidated.",
        )
    flow.dated(leaf.deadline, leaf.path)
    flow.pull(leaf.a_token, leaf.most_collateral, leaf.target, False, False, leaf.path)
