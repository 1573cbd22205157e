"""A debt repaid out of the loan's own collateral by FlashRepay (contracts/src/FlashRepay.sol, unaudited): what it could do, and its calls.

Only where [wallet] flash_repay names the code that stands there, at markets of Aave V3's kind, between assets that may be sold, by
Uniswap's own V3 pools of the settings, and signed by owners: the Gate cannot bound what leaves the collateral.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.amm import ConcentratedPool
from agent.app.rescue.doubts import Doubt
from agent.domain.errors import Retry
from agent.domain.instruments import AssetId
from agent.domain.units import WIDE, qty_exact, raw_down
from agent.execution.route_batch import is_foreign
from agent.execution.settlement import token_of
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.changes import deposits, owed
from agent.margin.flash import FLASH, loss_usd, most_raw, purchases
from agent.margin.rescue import Means, Move, health_after
from agent.margin.worths import raw_worth, worth_usd
from chains.gas import cost_at_most
from chains.lending.aave_v3 import a_token_of
from chains.types import Address, BlockRef, Call, Receipt
from contracts import flash_repay
from contracts.codec import decode_event, encode
from contracts.hashing import keccak, to_checksum

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.rescue.sight import Sight
    from agent.app.wiring import App

ADDRESS = Address(flash_repay.ADDRESS)
FLASH_GAS = 1_000_000
"""What it takes at most through the wallet, for comparing plans; the rehearsal then tells the truth."""
READ_AGAIN, READ_AGAIN_S = 2, 0.25
"""A block that moves under a read is no reason to say that nothing can be done."""
WAYS = 2
"""So many purchases of a debt with a collateral are planned with."""
PROBE = 8
"""They are the best for this part of the debt."""
WAD = 10**18


async def pools_of(app: App, desk: ChainDesk) -> tuple[dict[str, ConcentratedPool], list[Doubt]]:
    """Uniswap's own V3 pools of a chain by their ids; none where the settings do not opt in; or other code stands there, or none can be
    read, which are told. Raises as the gateway's reads."""
    if app.settings.wallet.flash_repay is None:
        return {}, []
    code = await desk.gateway.code(ADDRESS)
    if keccak(code) != flash_repay.FLASH.runtime_hash:
        told = "other code stands" if code else "nothing stands"
        message = f"{desk.profile.name}: {told} at FlashRepay's address {ADDRESS}"
        return {}, [Doubt("FLASH_ABSENT", message, "`fairlead wallet flash` tells how it is placed")]
    found = await app.market.pools_at(desk.profile.chain_id)
    for _ in range(READ_AGAIN):
        if found:
            break
        await app.clock.sleep(READ_AGAIN_S)
        found = await app.market.pools_at(desk.profile.chain_id)
    if not found:
        why = app.market.left_out.get(desk.profile.name, "the settings name none there")
        message = f"{desk.profile.name}: no pool could be read that would sell its collateral: {why}"
        return {}, [Doubt("FLASH_NO_POOLS", message, "it is looked again at the next block")]
    own = {n: p for n, p in found.items() if isinstance(p, ConcentratedPool)}
    return {n: p for n, p in own.items() if not is_foreign(p, desk.profile.chain_id)}, []


def flash_means(app: App, sight: Sight, time_s: int) -> list[Means]:
    """Each debt repaid with each collateral, where its loss and gas stay within the rule's `most_cost_usd`. `time_s` as for plans."""
    one, rule = sight.one, sight.rule
    gas = sight.usd_of_wei(cost_at_most(FLASH_GAS, sight.fees))
    if not isinstance(one.account, Account) or not isinstance(one.engine, AaveModel) or gas is None:
        return []
    if not sight.pools or not rule.swap or any(d.no_sale for d in sight.doubts):
        return []
    limits, symbols = app.settings.limits, app.directory.symbols
    sold = {str(a) for a, symbol in symbols.items() if symbol in limits.allow_assets}
    lent = {r.asset: one.engine.supply_raw(r, time_s) for r in one.account.reserves}
    found = []
    for debt, due in owed(one.engine, one.account, time_s).items():
        due = min(due, raw_worth(one.account, debt, limits.per_order_usd))
        for given in deposits(one.engine, one.account):
            if given == debt or debt not in sold or given not in sold:
                continue
            for way in purchases(sight.pools, debt, given, WAYS, max(due // PROBE, 1)):
                if not all(AssetId(token) in symbols for token in way.tokens):
                    continue  # the signer reads every token of the way
                room = WIDE.subtract(rule.most_cost_usd, gas)
                most = most_raw(one.account, way, due, lent[given], room)
                if most > 0:
                    found.append(Means(FLASH, debt, most, gas, buys=way))
    return found


def lost_usd(sight: Sight, move: Move) -> Decimal:
    """What the purchase loses by the protocol's own prices, without gas."""
    if move.means.buys is None:
        return Decimal(0)
    return loss_usd(sight.one.account, move.means.buys, move.raw) or Decimal(0)


def taken_raw(move: Move) -> int:
    """Base units of the collateral that the plan takes."""
    assert move.means.buys is not None
    taken = move.means.buys.takes(move.raw)
    assert taken is not None, "it was planned with"
    return taken


def most_raw_taken(sight: Sight, move: Move, most_cost_usd: Decimal) -> int:
    """The most that may be taken: the rule's slippage above the plan, less where gas and loss would pass `most_cost_usd`, never below the plan."""
    account, means, planned = sight.one.account, move.means, taken_raw(move)
    slipped = -(-planned * (10_000 + sight.rule.max_slippage_bps) // 10_000)
    room = WIDE.subtract(most_cost_usd, means.fixed_usd)
    affordable = raw_worth(account, means.lent, WIDE.add(worth_usd(account, means.asset, move.raw), room))
    return max(min(slipped, affordable), planned)


def least_health_1e18(sight: Sight, move: Move, time_s: int) -> int:
    """What the contract has to find afterwards: the rule's trigger, so that nothing more is due; no more than halfway to what is foretold
    where that is out of reach, and always above where liquidation begins."""
    before, after = (health_after(sight.one.engine, sight.one.account, time_s, m) for m in ([], [move]))
    least = raw_down(sight.rule.trigger, 18)
    if before is not None and after is not None:
        least = min(least, (before + after) // 2)
    return max(least, WAD)


async def a_token(sight: Sight, at: BlockRef, move: Move) -> Address:
    """The market's own token of the collateral. Raises Retry FLASH_NO_TOKEN, and as the gateway's reads."""
    asset = token_of(AssetId(move.means.lent))
    found = await a_token_of(sight.desk.gateway, sight.lender.contract, asset, at.number)
    if found is None:
        raise Retry("FLASH_NO_TOKEN", f"{sight.lender.words} tells no token of {asset}", "`fairlead health`")
    return found


def calls(
    sight: Sight, move: Move, token: Address, most: int, time_s: int, deadline: int
) -> tuple[Call, ...]:
    """Approved is what may be taken at most; then it is called once, and the approval taken back."""
    way = move.means.buys
    assert way is not None
    asked = flash_repay.Repayment(
        pool=sight.lender.contract,
        aToken=token,
        repays=move.raw,
        mostCollateral=most,
        leastHealth=least_health_1e18(sight, move, time_s),
        deadline=deadline,
        factory=sight.desk.profile.contracts["uniswap_v3_factory"],
        tokens=tuple(token_of(AssetId(t)) for t in way.tokens),
        fees=tuple(p.fee_pips for p in way.pools),
    )
    approve, back = (Call(token, encode("erc20", "approve", (ADDRESS, raw))) for raw in (most, 0))
    return (approve, Call(ADDRESS, flash_repay.repay(asked)), back)


def booked(receipt: Receipt, wallet: Address) -> Mapping[str, int] | None:
    """`repaid` and `taken` in base units by the contract's own event in the receipt; None where it is not there."""
    for log in receipt.logs:
        if to_checksum(log.address) != ADDRESS:
            continue
        event = decode_event("flash_repay", log)
        if event is not None and event.args["account"] == wallet:
            return {name: int(event.args[name]) for name in ("repaid", "taken")}
    return None


def booked_words(app: App, move: Move, repaid_raw: int, taken_raw: int) -> str:
    """What became of the loan, to the last base unit."""
    debt, given = (app.directory.assets[AssetId(a)] for a in (move.means.asset, move.means.lent))
    repaid, taken = qty_exact(repaid_raw, debt.decimals), qty_exact(taken_raw, given.decimals)
    return f"{repaid:f} {debt.symbol} of the debt were repaid with {taken:f} {given.symbol} of the collateral"
