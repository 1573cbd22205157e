"""A lending account as its model judges it, or UNKNOWN with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.app.settings_tree import Chain
from agent.app.watching.aave import label
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin.accounts import Judged
from agent.margin.fixes import cheapest
from agent.margin.model import Health, MarginModel, State
from agent.margin.surface import Member
from chains.types import Address, BlockRef, Call, ViewReader
from contracts.codec import encode


class Found(Protocol):
    """An account as its reader found it, all of one block."""

    @property
    def block(self) -> BlockRef: ...


@dataclass(frozen=True, slots=True)
class Loan:
    """One account, with the block it was read at (None where it was not), and as its reader found it. `halt` as of `ChainHealth`."""

    judged: Judged
    block: BlockRef | None
    found: Found | None = None
    halt: FairleadError | None = None


def judged(
    name: str,
    model: MarginModel,
    account: object,
    chain: Chain,
    block: BlockRef,
    symbols: dict[str, str],
    decimals: dict[str, int],
    why: str,
) -> Loan:
    place = f"eip155:{chain.chain_id}"
    if why:
        return Loan(Judged(name, model.name, place, None, symbols, model.price_decimals, why), block)
    health: Health = model.health(account, block.timestamp)
    thin = health.state in (State.AT_RISK, State.LIQUIDATABLE)
    fix = cheapest(model, account, block.timestamp) if thin else None
    member = Member(name, model, account, block.timestamp)
    return Loan(
        Judged(name, model.name, place, health, symbols, model.price_decimals, "", member, fix, decimals),
        block,
    )


def unknown(name: str, model: str, chain: Chain, error: FairleadError) -> Loan:
    halt = error if error.verb == "HALT" else None
    return Loan(Judged(name, model, f"eip155:{chain.chain_id}", None, {}, 0, str(error)), None, halt=halt)


async def symbols_of(
    gateway: ViewReader, chain_id: int, tokens: list[Address], block: BlockRef
) -> dict[str, str]:
    _, results = await gateway.multicall([Call(t, encode("erc20", "symbol")) for t in tokens], block.number)
    return {
        erc20_id(chain_id, t): label(r.data if r.ok else b"", t) for t, r in zip(tokens, results, strict=True)
    }
