"""One chain at the desk: its reads, its one relay, when it is final, and the numbers that authority and tracker share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.app.bearer import fate_of
from agent.app.operations import Operations, OperationTruth
from agent.app.tending import Tending
from agent.domain.errors import Retry, Usage
from agent.domain.instruments import Place, chain_place
from agent.execution.agent_batch import AgentRoad
from agent.execution.batch import Routers
from agent.execution.bearing import Fate
from agent.ports import Clock
from chains.ending import ended
from chains.followed import Followed, FollowedView
from chains.gateway import Gateway
from chains.heads import Heads
from chains.profile import ChainProfile
from chains.relay import Relay, sendable
from chains.simulate import Simulator
from chains.types import Address, BlockRef, Hash32, Protection, Receipt, SignedTx
from chains.warm import Warm
from contracts.hashing import keccak
from contracts.route_executor import EXECUTOR


@dataclass
class ChainDesk:
    """Implements the tracker's ChainWatch and the outbox's Channel. `relay` is None where nothing can be sent.

    `road` is set where this process trades by the agent's own key; None where owners sign.
    """

    profile: ChainProfile
    gateway: Gateway
    relay: Relay | None
    simulator: Simulator | None
    wallet: Address
    sender: Address | None
    protection: Protection
    finality: str
    finality_depth: int
    poll_s: float
    clock: Clock
    heads: Heads | None = None
    warm: Warm = field(init=False)
    """The same reads as the gateway's, made once for a block where new heads are told."""
    followed: Followed = field(default_factory=Followed)
    """What the wallet's accounts at lending markets hold, kept by their events."""
    native_pools: set[str] = field(default_factory=set)
    fork_routers: dict[str, Address] = field(default_factory=dict)
    """By a pair's id, its own factory's V2 router, where the settings name one."""
    tending: Tending = field(default_factory=Tending)
    road: AgentRoad | None = None
    wanted: Protection | None = None
    """What plans ask for where nobody says otherwise, if that is not `protection`, which our own transactions have."""
    halted: Callable[[], str] = lambda: ""
    """Why trading is halted, or ''."""
    takes_offers: bool = False
    """Whether an order book is configured for orders that others settle."""
    operations: Operations | None = None
    executor: Address | None = None
    """The RouteExecutor, where the settings opt in to it; used once its code was seen to be what they say."""
    executor_is: str = "not looked for"
    """What stands at its address; '' where it is the RouteExecutor."""
    """Where the agent's account is one behind ERC-4337."""

    def account_view(self) -> FollowedView:
        """For one look at the wallet's lending accounts."""
        return self.followed.over(self.gateway, self.gateway)

    @property
    def place(self) -> Place:
        return chain_place(self.profile.chain_id)

    @property
    def truth(self) -> Gateway | OperationTruth:
        return self.gateway if self.operations is None else OperationTruth(self.gateway, self.operations)

    @property
    def by_operation(self) -> Operations | None:
        """Where this process trades by user operations."""
        return self.operations if self.road is not None and self.road.entry_point is not None else None

    def _theirs(self, signed: SignedTx) -> Operations | None:
        """Whose signed operation it is; None for a transaction."""
        mine = self.operations is not None and signed.sender == self.operations.account
        return self.operations if mine else None

    async def gas_money(self) -> int:
        """Wei that whoever sends here has for gas; 0 where nobody does."""
        if self.by_operation is not None:
            return await self.by_operation.gas_money()
        return await self.warm.balance(self.sender) if self.sender is not None else 0

    @property
    def routers(self) -> Routers:
        contracts = self.profile.contracts
        return Routers(
            self.profile.chain_id,
            contracts["permit2"],
            contracts["universal_router"],
            contracts.get("balancer_vault"),
            self.profile.wrapped_native,
            self.executor if not self.executor_is and (self.road is None or self.road.executor) else None,
            self.fork_routers if self.road is None else {},  # the Gate's routes do not know them
        )

    async def find_executor(self) -> None:
        """Looks, until it was found, for the code the settings opted in to. Raises as the gateway's reads."""
        if self.executor is None or not self.executor_is:
            return
        code = await self.gateway.code(self.executor)
        other = "no code" if not code else f"other code, 0x{keccak(code).hex()}"
        self.executor_is = "" if keccak(code) == EXECUTOR.runtime_hash else other

    @property
    def multi_send(self) -> Address:
        return self.profile.contracts["safe_multi_send_call_only"]

    def __post_init__(self) -> None:
        # A missed slot is no silence; a head older than two of them says nothing of now.
        self.warm = Warm(self.gateway, self.heads, fresh_s=2 * self.profile.block_time_ms / 1000 + 1)
        self.tending.halted = self.halted

    # ------------------------------------------------------------------ the outbox's channel

    @property
    def name(self) -> str:
        if self.by_operation is not None:
            return f"bundler {self.by_operation.name}"
        return self.relay.profile.name if self.relay else "none"

    def no_road(self, protection: Protection) -> str:
        """Why a transaction protected like this could not leave; empty where it could."""
        if protection is Protection.INTENT:
            if not self.takes_offers:
                return "no order book that takes INTENT orders is configured"
            protection = self.protection  # what opens it is a transaction of ours
        if self.by_operation is not None:
            return self.by_operation.no_road(protection)
        if self.relay is None:
            return f"no relay that honours {protection.value} is configured"
        if protection not in self.relay.profile.honours:
            return f"the relay {self.relay.profile.name} does not honour {protection.value}"
        return ""

    async def send(self, signed: SignedTx, protection: Protection, max_block: int) -> str:
        if (account := self._theirs(signed)) is not None:
            return await account.send(signed, protection)
        if self.relay is None:
            raise Usage(
                "NO_RELAY",
                f"{self.profile.name} has no relay that honours {protection.value}",
                "configure one under its [[chains]] table; there is no fall-back to public",
            )
        item = sendable(signed, protection, self.relay.profile)
        block = None
        if self.relay.profile.per_block:
            block = (await self.warm.block("latest")).number + 1
        received = await self.relay.send(item, block=block, max_block=max_block)
        self.tending.sent.add(signed.hash)
        return received.reference

    async def cancel(self, signed: SignedTx) -> bool:
        """A bundler gives nothing back: an operation ends by its nonce or its time."""
        if self.relay is None or self._theirs(signed) is not None:
            return False
        return await self.relay.cancel(signed)

    # ------------------------------------------------------------------ the tracker's watch

    def heads_told(self) -> int:
        return self.heads.told if self.heads is not None else 0

    async def next_look(self, told: int, *, learnt: bool = True) -> None:
        """Until a head after the first `told` is told, and no longer than a poll takes: a dead feed stops nobody. A look that learnt
        nothing is made again after a poll."""
        if self.heads is None or not learnt:
            return await self.clock.sleep(self.poll_s)
        waits = [
            asyncio.ensure_future(self.heads.after(told)),
            asyncio.ensure_future(self.clock.sleep(self.poll_s)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(waits)

    async def tend(self, signed: SignedTx, protection: Protection, head: BlockRef, max_block: int) -> str:
        """Once for every new head: see `agent.app.tending`, and `Operations.tend`."""
        if (account := self._theirs(signed)) is not None:
            await account.tend(signed, protection, head, self.halted())
            return ""
        if self.relay is None:
            return ""
        return await self.tending.tend(
            signed, protection, head, max_block, self.relay, self.gateway, self.simulator
        )

    async def wallet_fate(
        self, signed: SignedTx, wallet_nonce: int, signed_at: int, ours: frozenset[Hash32]
    ) -> Fate:
        """See `agent.app.bearer`."""
        return await fate_of(self.gateway, self.wallet, signed, wallet_nonce, signed_at, ours)

    async def is_final(self, receipt: Receipt, head: BlockRef) -> bool:
        """By the chain's own tag, or by depth where the settings say so."""
        if self.finality == "depth":
            return head.number - receipt.block_number >= self.finality_depth
        try:
            tagged = await self.gateway.block(self.finality)
        except Retry:
            return False
        return tagged.number >= receipt.block_number
