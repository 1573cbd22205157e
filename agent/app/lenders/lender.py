"""What a rescue needs of a lending protocol, and an account as it was seen there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.app.rescue.doubts import Doubt
from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Found, Loan
from agent.margin.model import Health, MarginModel, State
from chains.gateway import Gateway
from chains.types import Address, BlockRef, Call, ViewReader


@dataclass(frozen=True)
class SeenLoan:
    """`account` is the model's, None where none of this version is here; `trouble` says why it is UNKNOWN. `frozen` takes no collateral."""

    name: str
    chain: Chain
    found: Found | None
    account: Any | None
    engine: MarginModel
    health: Health | None
    symbols: Mapping[str, str]
    trouble: str = ""
    empty: bool = False
    frozen: frozenset[str] = field(default_factory=frozenset)

    @property
    def state(self) -> State:
        return State.UNKNOWN if self.trouble or self.health is None else self.health.state


def as_seen(chain: Chain, name: str, engine: MarginModel, loan: Loan | None) -> SeenLoan:
    """An account as it was judged; None stands for one in which nothing is. Raises its Halt: whoever acts stops there."""
    if loan is not None and loan.halt is not None:
        raise loan.halt
    if loan is None:
        nothing = Health(State.SAFE, None, 0, 0, "", (), None)
        return SeenLoan(name, chain, None, None, engine, nothing, {}, empty=True)
    judged = loan.judged
    account = judged.member.account if judged.member is not None else None
    return SeenLoan(judged.id, chain, loan.found, account, engine, judged.health, judged.symbols, judged.why)


class Lender(Protocol):
    """One market of one protocol. Raw amounts are base units, health factors in 1e18, None without debt."""

    @property
    def words(self) -> str:
        """The protocol's name in a sentence."""
        ...

    @property
    def contract(self) -> Address:
        """What is approved, and called."""
        ...

    @property
    def errors(self) -> Mapping[str, str]:
        """Reasons of its reverts to words."""
        ...

    def calls(
        self, verb: str, token: Address, raw: int, wallet: Address, seen: SeenLoan | None, time_s: int
    ) -> tuple[Call, ...]:
        """The verb's own calls, approvals among them. `seen` is the account as it is now, in a block of `time_s`."""
        ...

    def asked(self, wallet: Address) -> tuple[Call, ...]:
        """What its health is told by, inside a rehearsal."""
        ...

    def health(self, answers: Sequence[bytes], seen: SeenLoan | None, time_s: int) -> int | None:
        """The health factor by the answers to `asked` in a block of that time."""
        ...

    async def look(self, gateway: ViewReader, wallet: Address) -> SeenLoan | None:
        """None where the market, or the account, does not exist. What does not answer is UNKNOWN."""
        ...

    async def health_at(self, gateway: Gateway, wallet: Address, block: BlockRef) -> int | None:
        """The health factor at a block that is there."""
        ...

    async def stale(
        self, gateway: Gateway, seen: SeenLoan, limit_s: Callable[[Address | None], int]
    ) -> list[Doubt]:
        """What makes the protocol's own prices doubtful; `limit_s` is how old an answer of a source may be."""
        ...
