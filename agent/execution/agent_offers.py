"""Orders that others settle, under the agent's own key: the calls of its Gate that open and end one, and what one leaves behind. Pure.

The order belongs to the Gate's Offers contract (contracts/src/Offers.sol), which is given its fields and computes its digest; what it
sells lies there until it is settled or sent home. So no owner signs, nothing of the Safe is approved to anybody, and there is one such
order of a token at a time.
"""

from __future__ import annotations

from agent.execution.agent_batch import AgentRoad, under_the_role
from chains.types import Address, Call, CowOrder
from contracts import offers
from contracts.abi_types import Value
from contracts.codec import decode_result, encode
from keys import cow_order


def is_agents(order: CowOrder) -> bool:
    """Whether it was opened under the agent's key: then a contract of the Gate owns it, and the Safe receives."""
    return order.owner != order.receiver


def opening(road: AgentRoad, order: CowOrder) -> Call:
    """The Gate takes what the order sells from the Safe and lets the order exist, or all of it reverts."""
    return under_the_role(road, encode("gate", "offer", (_fields(order),)))


def ending(road: AgentRoad, token: Address, deadline_s: int) -> Call:
    """The order that sells `token` ends, and what is left of it goes back to the Safe."""
    return under_the_role(road, encode("gate", "endOffer", (token, deadline_s)))


def asked(order: CowOrder) -> tuple[Call, ...]:
    """What tells what an order left behind: the one that Offers holds of its token, what lies there of it, what the relayer may take."""
    holder, token = order.owner, order.sell_token
    return (
        Call(holder, encode("offers", "live", (token,))),
        Call(token, encode("erc20", "balanceOf", (holder,))),
        Call(token, encode("erc20", "allowance", (holder, Address(offers.RELAYER)))),
    )


def left_raw(order: CowOrder, answers: tuple[bytes, ...]) -> int:
    """Base units of what it sells that lie in Offers for this order, or that may still be taken; 0 where another has its place."""
    if decode_result("offers", "live", answers[0])[0] != cow_order.digest(order):
        return 0
    held, allowed = (int.from_bytes(answer[:32], "big") for answer in answers[1:])
    return max(held, allowed)


def digest_asked(order: CowOrder) -> Call:
    """Asks Offers itself what it calls the order of these fields."""
    return Call(order.owner, encode("offers", "digestOf", (_fields(order),)))


def _fields(order: CowOrder) -> dict[str, Value]:
    amounts = order.sell_raw, order.buy_raw, order.valid_to
    return offers.order(order.sell_token, order.buy_token, *amounts, order.buys, order.partially_fillable)
