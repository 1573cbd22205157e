"""Attacks with orders for others to settle, where the owners granted the agent's key such orders: opened past the rules, signed past the
Gate, taken from where they lie. What a listed solver may try is in tests/fork/test_an_order_under_the_agents_key_is_what_the_gate_made.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.app.chaos.custody.attack import DAI, Attack, direct, fixed, role, to_gate, trade
from agent.app.chaos.custody.world import ETH, THIEF, USDC, WETH, Gated
from chains.devnet.artifacts import artifact
from chains.types import Address, Call, CowOrder
from contracts import offers
from contracts.codec import encode, selector
from keys import cow_order
from keys.scope import ROLE

SETTLEMENT = Address(offers.SETTLEMENT)
MUCH = 10**12


def holder(w: Gated) -> Address:
    """The Gate's Offers."""
    return Address(offers.address(_code(), w.gate))


def order(w: Gated, **changed: Any) -> CowOrder:
    """A sale of one WETH at the floor of now, with whatever is named changed."""
    made = CowOrder(
        1, SETTLEMENT, holder(w), w.safe, Address(WETH), Address(USDC), ETH, w.floor(WETH, USDC, ETH),
        w.now() + 300, cow_order.APP_DATA_HASH, 0, True, "sell",
    )  # fmt: skip
    return replace(made, **changed)


def fields(o: CowOrder) -> dict[str, Any]:
    amounts = o.sell_raw, o.buy_raw, o.valid_to
    return offers.order(o.sell_token, o.buy_token, *amounts, o.buys, o.partially_fillable)


def opening(o: CowOrder) -> bytes:
    return encode("gate", "offer", (fields(o),))


def granted(w: Gated) -> None:
    """By the owners, after the fact: the contract placed by anybody, listed by the queue, and the role's two functions."""
    w.thief(Call(Address(offers.FACTORY), offers.creating(_code(), w.gate)))
    listed = encode("gate", "setOffers", (holder(w),))
    w.safe_calls(w.gate, "gate", "queue", listed)
    w.later(w.scope.delay_s)
    w.safe_calls(w.gate, "gate", "run", listed)
    for verb in ("offer", "endOffer"):
        w.safe_calls(w.roles, "zodiac_roles", "allowFunction", ROLE, w.gate, selector("gate", verb), 0)


def opened(w: Gated) -> None:
    granted(w)
    w.does(opening(order(w)))


def frozen(w: Gated) -> None:
    granted(w)
    w.safe_calls(w.gate, "gate", "freeze")


def presigned(w: Gated) -> bytes:
    uid = bytes.fromhex(cow_order.uid(order(w, receiver=Address(THIEF)))[2:])
    return encode("gpv2_settlement", "setPreSignature", (uid, True))


def made(**changed: Any) -> Callable[[Gated], Call]:
    """An order with the named fields changed; values may be functions of the world."""
    return lambda w: w.through(
        opening(order(w, **{k: v(w) if callable(v) else v for k, v in changed.items()}))
    )


def _code() -> bytes:
    return bytes.fromhex(artifact("Offers").bytecode)


ORDERS = (
    Attack("an order where none is granted", "ConditionViolation", made()),
    Attack("an order one unit under the floor", "MinimumBelowFloor", made(buy_raw=lambda w: w.floor(WETH, USDC, ETH) - 1), granted),
    Attack("a purchase at any price", "MinimumBelowFloor", made(kind="buy", buy_raw=1), granted),
    Attack("an order for a day", "DeadlineTooFar", made(valid_to=lambda w: w.now() + 86_400), granted),
    Attack("an order for an unlisted token", "TokenNotListed", made(buy_token=DAI), granted),
    Attack("an order beyond the budget", "OverBudget", made(sell_raw=11 * ETH, buy_raw=MUCH), granted),
    Attack("a second order of the same token", "StillOpen", made(buy_raw=MUCH), opened),
    Attack("an order opened past the Gate", "NotTheGate", direct(holder, lambda w: encode("offers", "open", (fields(order(w, buy_raw=1)), 1))), granted),
    Attack("an order opened past the modifier", "NotTheAgent", direct(to_gate, lambda w: opening(order(w))), granted),
    Attack("a raw presignature under the role", "ConditionViolation", role(fixed(SETTLEMENT), presigned), granted),
    Attack("a raw presignature in its holder's name", "cannot presign order", direct(fixed(SETTLEMENT), presigned), granted),
    Attack("the settlement contract as a router", "RouteNotListed", trade(router=SETTLEMENT, data=presigned), granted),
    Attack("what lies apart taken straight", "reverted", direct(fixed(WETH), lambda w: encode("erc20", "transferFrom", (holder(w), THIEF, ETH))), opened),
    Attack("a live order ended by a stranger", "MayNotEnd", direct(holder, lambda w: encode("offers", "end", (WETH,))), opened, sender=THIEF),
    Attack("an order after the freeze", "IsFrozen", made(), frozen),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"orders for others to settle": ORDERS}
