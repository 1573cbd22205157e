"""The road of an agent whose account is a Safe behind ERC-4337, on one chain: its nonces, its signature, its bundler, its receipts.

What the road signs stands for an ordinary transaction everywhere else: the same call, the hash of the operation, the account as sender and
a nonce with a key of its own (`chains.operations`). Nothing is estimated by a bundler: its gas is what the rehearsal on this machine took.
A bundler's word is nobody's proof: that an operation is in a block, whether its call succeeded and what it cost is read from the
EntryPoint's event by our own endpoints.

A bundler has told what it was given to whomever it likes: only one that its owner declares private takes a PRIVATE plan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from agent.app.auditing import gas_held
from agent.app.endpoints import resolve_endpoint
from agent.app.settings_scope import ScopeTable
from agent.app.settings_tree import Chain, Settings
from agent.app.signatures import SignerSender
from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Usage
from agent.execution.agent_batch import deadline_of
from agent.journal.book import Book
from chains import operations
from chains.bundler import Bundler, UserOpReceipt
from chains.gateway import Gateway
from chains.l1_data import DataPrices, data_prices
from chains.profile import ChainProfile
from chains.rpc import Rpc
from chains.types import (
    Address,
    BlockRef,
    Call,
    Environment,
    Hash32,
    Protection,
    Receipt,
    SignedTx,
    UnsignedTx,
)
from chains.userops import UserOperation
from keys.client import SignerClient

CANCEL_S = 600
"""How long an operation that only uses its nonce may still be included."""
OLDER = 35
"""Blocks before the signature that are looked through, too: a reorganisation moves what was in them."""


def _nothing(op_hash: Hash32) -> int | None:
    return None


async def free_data() -> DataPrices | None:
    """A chain that charges nothing for data elsewhere."""
    return None


def still_open(refused: Reject, ends: str) -> Reconcile:
    """What a bundler's refusal of a signed operation comes to: it was told all of it, and needs nobody's leave to include it. `ends`: what does
    end it."""
    return Reconcile(refused.code, f"{refused.message}; who was told of it could still include it", ends)


class Operations:
    """`prices` tells what data on Ethereum costs there now. `since` tells the block an operation of ours was signed at, by its hash; None for what is no operation of ours."""

    def __init__(
        self,
        account: Address,
        gateway: Gateway,
        bundler: Bundler,
        signer: SignerClient,
        name: str,
        private: bool,
        prices: Callable[[], Awaitable[DataPrices | None]] = free_data,
    ) -> None:
        self.account, self.name, self.private, self._prices = account, name, private, prices
        self._gateway, self._bundler, self._signer = gateway, bundler, signer
        self._tended: dict[Hash32, Hash32] = {}
        self.since: Callable[[Hash32], int | None] = _nothing

    async def check(self) -> None:
        """Raises Halt WRONG_CHAIN, Reject ENTRY_POINT_UNSUPPORTED, Retry where the bundler does not answer."""
        await self._bundler.check()

    async def next_nonce(self) -> int:
        return await self._bundler.next_nonce(self.account, operations.NONCE_KEY)

    async def gas_money(self) -> int:
        """Wei that operations can be paid of: the account's own, and its deposit in the EntryPoint."""
        return await gas_held(self._gateway, self.account)

    def no_road(self, protection: Protection) -> str:
        """Why an operation protected like this could not leave; empty where it could."""
        if protection is Protection.PRIVATE and not self.private:
            return f"the bundler {self.name} is not declared private: what it is told may be public"
        return (
            "an agent's account makes no orders for others to settle"
            if protection is Protection.INTENT
            else ""
        )

    # ------------------------------------------------------------------ signing

    async def sign(self, tx: UnsignedTx, now_s: int) -> SignedTx:
        """The call of `tx` as an operation, valid until the deadline in its own calldata, signed. Raises as the signer refuses."""
        return await self._signed(tx, deadline_of(tx.data), now_s)

    async def cancel(self, tx: UnsignedTx, now_s: int, until: int = 0) -> SignedTx:
        """An operation that does nothing but use `tx`'s nonce, valid for as long as what it takes the place of (`until`): the signer took
        that much, and afterwards nothing is left to cancel. Where that is over or not known, for CANCEL_S."""
        empty = UnsignedTx(tx.chain_id, tx.nonce, self.account, 0, b"", operations.EMPTY_CALL_GAS, tx.fees)
        return await self._signed(empty, until if until > now_s else now_s + CANCEL_S, now_s)

    async def _signed(self, tx: UnsignedTx, until: int, now_s: int) -> SignedTx:
        call = Call(tx.to, tx.data, tx.value)
        op = UserOperation(
            self.account,
            tx.nonce,
            operations.executing(call),
            tx.gas,
            operations.VERIFICATION_GAS,
            0,
            tx.fees,
        )
        op = operations.priced(op, await self._prices())
        named = operations.as_signed(tx.chain_id, op)
        request = f"operation-{tx.chain_id}-{self.account}-{operations.sequence_of(tx.nonce)}-{named.hash[2:34]}-{until}"
        signed = await self._signer.sign_operation(request, tx.chain_id, op, until, chain_time=now_s)
        return operations.as_signed(tx.chain_id, signed)

    # ------------------------------------------------------------------ leaving

    async def send(self, signed: SignedTx, protection: Protection) -> str:
        """Its hash, once the bundler took it. Raises Denied PROTECTION_NOT_HONOURED, and as `Bundler.send`; a nonce that is used
        already is Reconcile: it may be this very operation that used it. So is a refusal: a bundler that refuses has seen it all the same,
        and nothing but its nonce and its deadline keeps anybody from including it."""
        if why := self.no_road(protection):
            raise Denied(
                "PROTECTION_NOT_HONOURED",
                why,
                "declare it (`private = true` under [chains.bundler]) where its operator says so, or plan PUBLIC",
            )
        try:
            return (await self._bundler.send(operations.from_raw(signed.raw))).op_hash
        except Denied as stale:
            raise Reconcile(stale.code, stale.message, "it is looked for by its hash") from stale
        except Reject as refused:
            ends = "it is followed until its nonce is used or its deadline has passed"
            raise still_open(refused, ends) from refused

    async def tend(self, signed: SignedTx, protection: Protection, head: BlockRef, halted: str) -> None:
        """Once for every new head: what the bundler does not show is given to it again, the very same bytes; what it refused, too, for it may
        take it by then. Raises nothing."""
        if halted or self._tended.get(signed.hash) == head.hash:
            return
        self._tended[signed.hash] = head.hash
        try:
            if await self._bundler.pending(signed.hash) is None and await self.next_nonce() <= signed.nonce:
                await self.send(signed, protection)
        except Reconcile:
            pass  # it has it, or has refused it: asked again at the next head, and not at every look
        except FairleadError:
            self._tended.pop(signed.hash, None)  # tried again at the next look

    # ------------------------------------------------------------------ what became of it

    async def receipt(self, op_hash: Hash32, since: int) -> Receipt | None:
        """The operation's own: `status` 1 where its call succeeded, gas as the EntryPoint charged it, logs of its execution alone."""
        found = await self._bundler.receipt(op_hash, max(since - OLDER, 1))
        return None if found is None else as_receipt(found)

    async def bundle_of(self, op_hash: Hash32, since: int) -> Hash32 | None:
        """The transaction that carried an operation into a block, by the EntryPoint's event; None where it is in none."""
        found = await self._bundler.receipt(op_hash, max(since - OLDER, 1))
        return None if found is None else found.tx_hash


def as_receipt(found: UserOpReceipt) -> Receipt:
    """Gas used times price, and a rest where the charge is no multiple of it, are what the EntryPoint charged, to the wei."""
    price, rest = divmod(found.gas_cost_wei, max(found.gas_used, 1))
    return Receipt(
        found.op_hash,
        found.block_number,
        found.block_hash,
        int(found.success),
        max(found.gas_used, 1),
        price,
        found.logs,
        rest,
    )


@dataclass(frozen=True)
class OperationTruth:
    """A chain's truth about transactions and operations alike: `agent.execution.tracker.ChainTruth`."""

    gateway: Gateway
    operations: Operations

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return await self.gateway.block(tag)

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        since = self.operations.since(tx_hash)
        if since is None:
            return await self.gateway.receipt(tx_hash)
        return await self.operations.receipt(tx_hash, since)

    async def nonce(self, address: Address, block: int | str = "latest") -> int:
        if address == self.operations.account:
            return await self.operations.next_nonce()
        return await self.gateway.nonce(address, block)


@dataclass
class EitherSender:
    """Signs as whoever the nonce belongs to: the sending key, or the account behind the EntryPoint of that chain."""

    key: SignerSender
    accounts: Mapping[int, Operations]

    async def sign(self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False) -> SignedTx:
        if operations.is_keyed(tx.nonce):
            return await self._account(tx).sign(tx, now_s)
        return await self.key.sign(tx, safe_nonce, now_s, attended=attended)

    async def cancel(self, tx: UnsignedTx, now_s: int, until: int = 0) -> SignedTx:
        """`until`: when what it takes the place of lapses, seconds of the chain's clock; 0 where it does not."""
        if operations.is_keyed(tx.nonce):
            return await self._account(tx).cancel(tx, now_s, until)
        return await self.key.cancel(tx, now_s)

    def _account(self, tx: UnsignedTx) -> Operations:
        if tx.chain_id not in self.accounts:
            raise Usage(
                "NO_BUNDLER",
                f"a user operation on chain {tx.chain_id}, and no scope there has an account that makes them",
                'put scopes.account = "safe_4337" and [chains.bundler] back until it is over',
            )
        return self.accounts[tx.chain_id]


def signed_at(book: Book, account: Address) -> Callable[[Hash32], int | None]:
    """The block before which no operation of ours was signed, by its hash, as the journal tells."""

    def since(op_hash: Hash32) -> int | None:
        for record in book.parts.values():
            signed = record.authorized
            if signed is None or signed.sender != account:
                continue
            mine = {one.tx_hash for one in record.signed} | {one.tx_hash for one in record.cancels}
            if op_hash in mine:
                return signed.since_block
        return None

    return since


def scope_of_account(settings: Settings, chain: Chain) -> ScopeTable | None:
    """The scope of a chain whose agent is an account behind ERC-4337."""
    for table in settings.scopes:
        if table.chain == chain.name and table.account == "safe_4337":
            return table
    return None


def operations_of(
    settings: Settings,
    chain: Chain,
    profile: ChainProfile,
    gateway: Gateway,
    session: aiohttp.ClientSession,
    signer: SignerClient,
) -> Operations | None:
    """None where no scope of the chain has an account behind ERC-4337, or no bundler is named."""
    table = scope_of_account(settings, chain)
    if table is None or table.agent is None or chain.bundler is None:
        return None
    url = resolve_endpoint(chain.bundler.url)
    bundler = Bundler(Rpc(url, session), gateway)

    async def prices() -> DataPrices | None:
        return await data_prices(gateway, profile, expected=settings.environment is Environment.LIVE)

    who = Address(table.agent)
    return Operations(who, gateway, bundler, signer, url.origin, chain.bundler.private, prices)
