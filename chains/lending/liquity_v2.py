"""A trove of Liquity v2 as plain integers, all of one block: what it holds and owes, its batch, the branch's price and parameters.

Layouts: AddressesRegistry's getters; TroveManager's Troves, getLatestTroveData (LatestTroveData), getLatestBatchData (LatestBatchData with
`totalDebtShares` first), shutdownTime and getCurrentICR; PriceFeed.fetchPrice and StabilityPool.getTotalBoldDeposits of liquity/bold. The
price is fetched as a liquidation would: the call is made to be answered only, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from chains.answers import at_same_block, words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, word
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ViewReader

DECIMALS = 18
NO_TROVE, CLOSED, LIQUIDATED = 0, 2, 3
"""Statuses of a trove (TroveManager.Status); 1 is an active one, 4 one below the least debt."""
KEPT_IN_POOL_1E18 = 10**18
"""So much the stability pool keeps (Constants.sol, MIN_BOLD_IN_SP)."""

_words = partial(words_of, "Liquity", "is it the AddressesRegistry of a branch of Liquity v2 on this chain?")


@dataclass(frozen=True, slots=True)
class TroveBatch:
    debt_1e18: int
    annual_rate_1e18: int
    management_fee_1e18: int
    last_update: int
    total_shares: int


@dataclass(frozen=True, slots=True)
class Trove:
    """`debt_1e18` is what is recorded of a trove of its own; in a `batch`, `batch_shares` of that. `entire_…` and `icr_1e18` are the contract's own."""

    registry: Address
    id: int
    block: BlockRef
    collateral: Address
    debt: Address
    coll_1e18: int
    debt_1e18: int
    annual_rate_1e18: int
    last_update: int
    redistributed_coll_1e18: int
    redistributed_debt_1e18: int
    price_1e18: int
    price_failed: bool
    mcr_1e18: int
    penalty_sp_1e18: int
    penalty_redistribution_1e18: int
    stability_pool_1e18: int
    shut_down: bool
    batch: TroveBatch | None
    batch_shares: int
    entire_debt_1e18: int
    entire_coll_1e18: int
    icr_1e18: int


async def read_trove(
    chain: ViewReader, registry: Address, trove_id: int, block: int | str = "latest"
) -> Trove | None:
    """None where it is closed or was liquidated. Raises Retry where the chain does not answer or moved meanwhile, NO_SUCH_MARKET where the
    branch never had such a trove."""
    getters = ("collToken", "boldToken", "troveManager", "priceFeed", "stabilityPool", "MCR", "LIQUIDATION_PENALTY_SP",
               "LIQUIDATION_PENALTY_REDISTRIBUTION")  # fmt: skip
    ref, head = await chain.multicall([Call(registry, call_data(f"{name}()")) for name in getters], block)
    told = [_words(name, r, 1)[0] for name, r in zip(getters, head, strict=True)]
    collateral, bold, manager, feed, pool = (address_of(word(value)) for value in told[:5])
    asked = {
        "Troves": (Call(manager, call_data("Troves(uint256)", trove_id)), 10),
        "getLatestTroveData": (Call(manager, call_data("getLatestTroveData(uint256)", trove_id)), 10),
        "decimals": (Call(collateral, call_data("decimals()")), 1),
        "decimals of BOLD": (Call(bold, call_data("decimals()")), 1),
        "getTotalBoldDeposits": (Call(pool, call_data("getTotalBoldDeposits()")), 1),
        "fetchPrice": (Call(feed, call_data("fetchPrice()")), 2),
        # After the price: where its source has failed, fetching it shuts the branch down.
        "shutdownTime": (Call(manager, call_data("shutdownTime()")), 1),
    }
    results = await at_same_block(chain, ref, [call for call, _ in asked.values()])
    trove = _words("Troves", results[0], 10)
    if trove[3] == NO_TROVE:
        raise Retry(
            "NO_SUCH_MARKET", f"{trove_id} is no trove of {registry}", "see registry and id of troves"
        )
    if trove[3] in (CLOSED, LIQUIDATED):
        return None
    found = {name: _words(name, r, n) for (name, (_, n)), r in zip(asked.items(), results, strict=True)}
    for name in ("decimals", "decimals of BOLD"):
        if found[name][0] != DECIMALS:
            raise Retry(
                "MALFORMED_ANSWER",
                f"a token of {registry} says it has {found[name][0]} decimals",
                "is it a branch of Liquity v2?",
            )
    latest, (price, failed) = found["getLatestTroveData"], found["fetchPrice"][:2]
    batch_manager = address_of(word(trove[8]))
    more = [Call(manager, call_data("getCurrentICR(uint256,uint256)", trove_id, price))]
    if batch_manager != ZERO_ADDRESS:
        more.append(Call(manager, call_data("getLatestBatchData(address)", batch_manager)))
    answers = await at_same_block(chain, ref, more)
    batch = None
    if batch_manager != ZERO_ADDRESS:
        b = _words("getLatestBatchData", answers[1], 12)
        if not b[0]:
            raise Retry(
                "MALFORMED_ANSWER", f"the batch of {trove_id} has no shares", "is it a branch of Liquity v2?"
            )
        batch = TroveBatch(b[4], b[5], b[7], b[10], b[0])
    return Trove(
        registry, trove_id, ref, collateral, bold, trove[1], trove[0], trove[7], trove[5], latest[3], latest[2], price, bool(failed),
        told[5], told[6], told[7], max(found["getTotalBoldDeposits"][0] - KEPT_IN_POOL_1E18, 0), bool(found["shutdownTime"][0]), batch,
        trove[9] if batch is not None else 0, latest[0], latest[1], _words("getCurrentICR", answers[0], 1)[0],
    )  # fmt: skip
