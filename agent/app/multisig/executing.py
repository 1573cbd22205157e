"""A signed Safe transaction on its way: held against the chain, rehearsed with its real signatures, bounded, sent, followed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.chain_desk import ChainDesk
from agent.app.instructed import Ended, instructed
from agent.app.multisig.claims import Counted, as_the_safe_sees
from agent.app.multisig.effects import UNLIMITED, Effects, effects_of
from agent.app.multisig.room import known_tokens
from agent.app.multisig.state import SafeNow, check_now, deadline_of, is_rejection, safe_now
from agent.domain.errors import Denied, Halt, Reject, Usage
from agent.domain.events import Authorized, ChainBatch, Refused, Simulated
from agent.domain.ids import ClOrdId, child_id, part_id
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.units import WIDE, qty_exact
from agent.execution.authority import EXEC_OVERHEAD_GAS, Authority
from agent.execution.desk import Desk
from agent.journal.book import Book
from chains.gas import Urgency, bid, cost_at_most, gas_limit_up
from chains.simulate import NATIVE, WATCHER, SafeCall, Step, inner_calls
from chains.types import Address, Call
from contracts.codec import decode_result, encode
from keys.safe import exec_call
from keys.safe_document import SafeDocument

if TYPE_CHECKING:
    from agent.app.wiring import App

FOR_EVER_S = 1 << 40
"""Stands for "no deadline" in the record: then only a used nonce ends it."""
_UNBOUNDED = ("EVERYTHING", "MODULE ADDED", "THE SAFE'S", "NOT KNOWN", "Leaves: ")
"""In a sentence about the Safe or a collectible: what it may cost has no figure, so only a person says yes."""


@dataclass(frozen=True)
class Execution:
    """`fee_usd` is the most its transaction may cost; `loss_usd` that, and what leaves or may be taken less what comes, at the
    settings' prices; None where something of it has no price."""

    document: SafeDocument
    counted: Counted
    packed: bytes
    now: SafeNow
    effects: Effects
    part: Part
    batch: ChainBatch
    what: str
    gas: int
    fee_wei: int
    fee_usd: Decimal | None
    loss_usd: Decimal | None


async def prepare(app: App, desk: ChainDesk, document: SafeDocument, book: Book) -> Execution:
    """Everything that can be known before sending. Raises Denied as `check_now` and `safe_signatures.pack`, SAFE_NONCE_FUTURE, NO_ROAD,
    ALREADY_SENT; Halt SAFE_HASH_DIFFERS; Reject WOULD_REVERT."""
    now = await safe_now(desk.gateway, desk.wallet)
    check_now(document, app.settings, now)
    if document.tx.nonce > now.state.nonce:
        raise Denied(
            "SAFE_NONCE_FUTURE",
            f"its nonce is {document.tx.nonce}, the Safe is at {now.state.nonce}",
            "what is signed for the nonces before it is executed, or rejected, first: `fairlead wallet outstanding`",
        )
    counted = await as_the_safe_sees(desk.gateway, document, now)
    document, packed = counted.document, counted.packed(now)
    if why := desk.no_road(desk.protection):
        raise Denied("NO_ROAD", why, "configure a relay for the chain; there is no fall-back to public")
    effects, gas = await _rehearse(app, desk, document, packed, now)
    fee_wei = cost_at_most(
        gas_limit_up(gas + EXEC_OVERHEAD_GAS), bid(await desk.gateway.fee_history(), Urgency.NORMAL)
    )
    prices = await app.oracles.medians()
    px = prices.get(desk.profile.native)
    with localcontext(WIDE):
        fee_usd = qty_exact(fee_wei, 18) * px if px is not None else None
    inner = SafeCall(document.tx.to, document.tx.value, document.tx.data, document.tx.operation)
    batch = ChainBatch(
        document.chain_id,
        document.safe,
        tuple(inner_calls(inner)),
        deadline_of(document) or FOR_EVER_S,
        desk.protection,
    )
    return Execution(
        document,
        counted,
        packed,
        now,
        effects,
        _part(app, desk, document, effects, book),
        batch,
        what_of(document),
        gas,
        fee_wei,
        fee_usd,
        _loss(app, desk, effects, fee_usd, prices),
    )


def what_of(document: SafeDocument) -> str:
    if is_rejection(document):
        return f"reject whatever else is signed at Safe nonce {document.tx.nonce}"
    note = f" ({document.origin})" if document.origin else ""
    return f"execute the owners' Safe transaction {document.hash[:18]}… at nonce {document.tx.nonce}{note}"


async def _rehearse(
    app: App, desk: ChainDesk, document: SafeDocument, packed: bytes, now: SafeNow
) -> tuple[Effects, int]:
    """(what it changes, gas of the very transaction that would be sent). The contract's own hash is asked first."""
    assert desk.simulator is not None and desk.sender is not None
    tx, chain = document.tx, app.settings.chain(document.chain_id)
    assert chain is not None
    asked = encode(
        "safe",
        "getTransactionHash",
        (tx.to, tx.value, tx.data, tx.operation, tx.safe_tx_gas, tx.base_gas, tx.gas_price, tx.gas_token, tx.refund_receiver, tx.nonce),
    )  # fmt: skip
    answer = (await desk.simulator.run([Step(WATCHER, Call(document.safe, asked))], at=now.block)).steps[0]
    if not answer.ok or decode_result("safe", "getTransactionHash", answer.data)[0] != document.digest:
        raise Halt(
            "SAFE_HASH_DIFFERS",
            f"the Safe {document.safe} computes another hash than {document.hash}",
            "its code is not what it seems; run `fairlead wallet show`",
        )
    known = await known_tokens(app.settings, chain, desk.gateway)
    effects = await effects_of(
        desk.simulator, desk.profile, document.safe, tx, desk.sender, known, now.state, now.block
    )
    if not effects.ok:
        raise Reject("WOULD_REVERT", f"it would fail: {effects.reason}", "nothing was sent")
    real = await desk.simulator.run([Step(desk.sender, exec_call(document.safe, tx, packed))], at=now.block)
    if not real.ok:
        raise Reject("WOULD_REVERT", f"the Safe refuses it: {real.reason}", "nothing was sent")
    return effects, real.steps[0].gas_used


def _part(app: App, desk: ChainDesk, document: SafeDocument, effects: Effects, book: Book) -> Part:
    """Its name in the journal, derived from the Safe's hash; the attempt grows only once the one before it is over."""
    listed = [a for a in app.directory.at(desk.place) if "/erc20:" in a]
    if len(listed) < 2:
        raise Usage(
            "FEW_ASSETS",
            f"the settings name {len(listed)} tokens on {desk.profile.name}; the record needs two",
            "add the tokens the wallet holds under [assets]",
        )
    changes = {a: effects.changes.get(_token(a), 0) for a in listed}
    leaves = min(listed, key=lambda a: changes[a])
    comes = max((a for a in listed if a != leaves), key=lambda a: changes[a])
    child, attempt = child_id(ClOrdId(f"safe-{document.hash}"), 0), 1
    while (record := book.parts.get(part_id(child, desk.place, attempt))) is not None:
        if not record.ended:
            raise Denied(
                "ALREADY_SENT",
                f"it is on its way as {record.part.cl_ord_id}",
                "`fairlead run --once` follows it to its end",
            )
        attempt += 1
    return Part(
        cl_ord_id=part_id(child, desk.place, attempt),
        child=child,
        place=desk.place,
        attempt=attempt,
        asset_in=leaves,
        asset_out=comes,
        in_raw=max(-changes[leaves], 0),
        out_raw=max(changes[comes], 0),
        floor_raw=0,
        legs=(),
    )


def _token(asset: AssetId) -> Address:
    return Address(asset.rpartition(":")[2])


def _loss(
    app: App, desk: ChainDesk, effects: Effects, fee_usd: Decimal | None, prices: dict[str, Decimal]
) -> Decimal | None:
    """In USD; None where something that leaves, is owed, or may be taken afterwards, cannot be priced. What comes and has no price
    counts as nothing."""
    if fee_usd is None or any(word in line for line in effects.said for word in _UNBOUNDED):
        return None
    priced: dict[Address, tuple[int, Decimal]] = {}
    if (native := prices.get(desk.profile.native)) is not None:
        priced[NATIVE] = (18, native)
    for asset in app.directory.at(desk.place):
        symbol = app.directory.symbol_of(asset)
        if "/erc20:" in asset and symbol in prices:
            priced[_token(asset)] = (app.directory.assets[asset].decimals, prices[symbol])
    total = fee_usd
    with localcontext(WIDE):
        for token, change in effects.changes.items():
            owed = effects.names.get(token) is not None and effects.names[token].symbol.startswith(
                ("variableDebt", "stableDebt")
            )
            if token in priced:
                decimals, px = priced[token]
                total -= qty_exact(change, decimals) * px
            elif (change > 0) if owed else (change < 0):
                return None
        for a in effects.allowances:
            if a.after <= a.before:
                continue
            if a.token not in priced or a.after >= UNLIMITED:
                return None
            decimals, px = priced[a.token]
            total += qty_exact(a.after - a.before, decimals) * px
    return total


def check_max_loss(found: Execution, most_usd: Decimal) -> None:
    """Raises Denied PRICE_UNKNOWN, MAX_LOSS."""
    if found.loss_usd is None:
        raise Denied(
            "PRICE_UNKNOWN",
            "what it may cost cannot be told in dollars: something that leaves, is owed or may be taken has no price or no limit",
            "leave --yes out: a person reads it and says yes",
        )
    if found.loss_usd > most_usd:
        raise Denied(
            "MAX_LOSS",
            f"it may cost {found.loss_usd:.2f} USD; {most_usd} are allowed",
            "raise --max-loss if that is meant",
        )


async def carry_out(found: Execution, desk: Desk) -> Ended | None:
    """On the road of every transaction, with the owners' signatures as they are. None where the lane stopped it."""
    authority = desk.authority
    assert isinstance(authority, Authority)

    async def authorize(simulated: Simulated) -> Authorized | Refused:
        return await authority.authorize_signed(simulated, found.document.tx, found.packed)

    simulated = Simulated(
        found.part, found.batch, None, found.part.out_raw, 0, found.gas, found.now.block.number, desk.clock.now_ns()
    )  # fmt: skip
    return await instructed(desk, found.what, simulated, authorize)
