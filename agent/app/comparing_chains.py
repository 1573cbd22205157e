"""The books beside a chain: transactions of ours, the nonces of the keys that send, the Safe's own, and what of ours stands there apart
from balances: offers, allowances, money on its way to another chain. Asks, changes nothing.

A nonce that no order of ours used is somebody else's with the key, and locks the chain. The Safe's own nonce is its owners' to use: it is
told with the count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.app.comparing import FOREIGN_NONCE, IN_FLIGHT, NOT_CERTIFIED, RUN_BOOKS_IT, Difference
from agent.app.operations import signed_at
from agent.app.watching.approvals import held_by
from agent.domain.errors import FairleadError
from agent.domain.instruments import Place, address_of, place_of
from agent.domain.submission_state import UNDECIDED, SubmissionState
from agent.journal.book import Book
from agent.journal.crossing_fold import open_crossings
from agent.journal.records import PartRecord
from chains.operations import sequence_of
from chains.types import Address, Call
from contracts.codec import decode_result, encode

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.wiring import App

UNKNOWN_HISTORY = "a journal before this one, or another program: `fairlead reconcile --adopt` takes the account over as it is"
ANOTHER = "another program has this key, or another journal"


def account_place(place: Place, account: Address) -> Place:
    """Under which an account's operations are counted in a `Certified`, beside the sending key's nonces under the chain itself."""
    return Place(f"{place}:{account}")


async def compare_chain(app: App, desk: ChainDesk, book: Book) -> list[Difference]:
    """Raises as the chain's reads."""
    mine = [r for r in book.parts.values() if r.authorized is not None and r.part.place == desk.place]
    if desk.operations is not None:
        desk.operations.since = signed_at(book, desk.operations.account)
    found = [d for record in mine if (d := await _transaction(desk, record)) is not None]
    taken_over = dict(book.certified.nonces) if book.certified is not None else {}
    if desk.sender is not None:
        signed = [r for r in mine if r.authorized and r.authorized.sender == desk.sender]
        used = await desk.gateway.nonce(desk.sender)
        pending = await desk.gateway.nonce(desk.sender, "pending")
        found += nonces(desk.place, desk.sender, signed, used, pending, taken_over.get(desk.place))
    if (account := desk.operations) is not None:
        signed = [r for r in mine if r.authorized and r.authorized.sender == account.account]
        used = sequence_of(await account.next_nonce())
        before = taken_over.get(account_place(desk.place, account.account))
        found += nonces(desk.place, account.account, signed, used, used, before)
    found += await _safe(desk, mine)
    return [*found, *_offers(desk, mine), *await _allowances(app, desk, mine), *_crossings(desk, book)]


async def _transaction(desk: ChainDesk, record: PartRecord) -> Difference | None:
    if record.submission not in UNDECIDED or record.ended or record.authorized is None:
        return None
    receipt = None
    for form in record.signed:
        receipt = receipt or await desk.truth.receipt(form.tx_hash)
    tx_hash = receipt.tx_hash if receipt is not None else record.authorized.tx_hash
    told = f"{record.part.cl_ord_id}: transaction {tx_hash} is "
    if receipt is None:
        told += f"in no block yet, deadline {record.authorized.deadline_s}"
        return Difference(desk.place, "transaction", told, IN_FLIGHT, True)
    told += f"in block {receipt.block_number}; the book has it as {record.submission.value}"
    return Difference(desk.place, "transaction", told, RUN_BOOKS_IT, False)


def nonces(
    place: Place, who: Address, mine: list[PartRecord], used: int, pending: int, taken_over: int | None
) -> list[Difference]:
    """Whoever sends: the nonces used on the chain against what this journal knows was used. Of an account behind ERC-4337 they are the
    sequence of our own key at the EntryPoint. `taken_over`: the first that a certificate left to this journal."""
    known = {sequence_of(form.nonce) for r in mine for form in r.signed}
    waiting = {
        sequence_of(r.authorized.nonce)
        for r in mine
        if r.authorized is not None and r.submission in UNDECIDED
    }
    found = []
    if not known and taken_over is None and used:
        told = f"{who} has used {used} nonces, and this journal signed for none of them"
        found.append(Difference(place, "history", told, UNKNOWN_HISTORY, False, NOT_CERTIFIED))
    first = taken_over if taken_over is not None else min(known, default=used)
    strange = [n for n in range(first, used) if n not in known]
    if strange:
        told = f"{who} has used {_listed(strange)} that this journal did not sign"
        found.append(Difference(place, "foreign nonce", told, ANOTHER, False, FOREIGN_NONCE))
    # What of ours lapsed may wait where it was sent for a while yet.
    unseen = [n for n in range(used, pending) if n not in known]
    if unseen:
        told = f"{who} has transactions waiting at {_listed(unseen)} that are not ours"
        found.append(Difference(place, "foreign nonce", told, ANOTHER, False, FOREIGN_NONCE))
    ahead = sorted(n for n in known if n >= used and n not in waiting and _decided(mine, n))
    if ahead:
        told = f"the book has {_listed(ahead)} as decided; the chain has used {used} only"
        why = "a block was replaced: `fairlead run --once` looks again"
        found.append(Difference(place, "nonce", told, why, False))
    return found


def _decided(mine: list[PartRecord], nonce: int) -> bool:
    """Whether the book has a block that used it; what lapsed unused decides nothing."""
    return any(
        r.submission not in (None, SubmissionState.EXPIRED)
        for r in mine
        if any(sequence_of(form.nonce) == nonce for form in r.signed)
    )


def _listed(numbers: list[int]) -> str:
    """Few one by one, many as runs from the first to the last."""
    if len(numbers) > 8:
        return f"{len(numbers)} nonces from {numbers[0]} to {numbers[-1]}"
    return f"nonces {', '.join(map(str, numbers))}"


async def _safe(desk: ChainDesk, mine: list[PartRecord]) -> list[Difference]:
    """The Safe's transactions since our first that were none of ours; none where we had none executed."""
    ours = {form.wallet_nonce for r in mine for form in r.signed if form.wallet_nonce >= 0}
    if not ours:
        return []
    answer = await desk.gateway.call(Call(desk.wallet, encode("safe", "nonce")))
    if not answer.ok:
        return []  # it is no Safe, which a signature's own checks tell
    now = int(decode_result("safe", "nonce", answer.data)[0])
    theirs = [n for n in range(min(ours), now) if n not in ours]
    if not theirs:
        return []
    told = f"the Safe {desk.wallet} executed {len(theirs)} of {now - min(ours)} transactions since its nonce {min(ours)} by no order of ours"
    return [Difference(desk.place, "safe nonce", told, "its owners' own: what they move is theirs", True)]


def _offers(desk: ChainDesk, mine: list[PartRecord]) -> list[Difference]:
    opened = [r for r in mine if r.is_offer and not r.ended and r.authorized is not None]
    return [
        Difference(
            desk.place,
            "offer",
            f"{r.part.cl_ord_id} may be settled by others until {r.authorized.deadline_s}",
            IN_FLIGHT,
            True,
        )
        for r in opened
        if r.authorized is not None
    ]


async def _allowances(app: App, desk: ChainDesk, mine: list[PartRecord]) -> list[Difference]:
    """Of the settings' tokens to spenders we know: a batch of ours takes its own back, so that what is left is told."""
    addresses = (address_of(a) for a in app.directory.at(desk.place) if "/erc20:" in a)
    tokens = tuple(Address(a) for a in addresses if a is not None)
    flying = next((r.part.cl_ord_id for r in mine if not r.ended and r.authorized is not None), None)
    try:
        held = await held_by(desk.profile, desk.gateway, desk.wallet, tokens)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        told = f"what others may take of the wallet is not known: {error.message}"
        return [Difference(desk.place, "allowance", told, "`fairlead wallet approvals` asks again", False)]
    why = (
        f"{flying} is in flight"
        if flying is not None
        else "the wallet's owners gave it, or a trade left it (APPROVALS_LEFT told so): `fairlead wallet approvals` takes it back"
    )
    return [
        Difference(desk.place, "allowance", f"{a.spender_name} may {a.may(held.tokens[a.token])}", why, True)
        for a in held.left
    ]


def _crossings(desk: ChainDesk, book: Book) -> list[Difference]:
    """Money that left here for another chain, or is to arrive here, and is not over."""
    return [
        Difference(
            desk.place,
            "crossing",
            f"{one.cl_ord_id} from {place_of(one.given)} to {place_of(one.received)} is {one.stage}",
            "it is on its way: `fairlead run` follows it",
            True,
        )
        for one in open_crossings(book)
        if desk.place == place_of(one.given)
    ]


__all__ = ["account_place", "compare_chain", "nonces"]
