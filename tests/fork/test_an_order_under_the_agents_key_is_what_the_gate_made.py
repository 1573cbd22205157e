"""Whoever has the agent's key, or settles for CoW, tries everything with an order of the Gate's Offers, on the genuine contracts: another
receiver, price, validity, pair, settlement, document, kind or balance, more than the budget, the same money twice. All of it reverts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import decode
from gate_reading import found

from agent.app.chaos.custody.attack import fixed, role
from agent.app.chaos.custody.offer_attacks import fields, holder, presigned
from agent.app.chaos.custody.offer_attacks import opening as offer_call
from agent.app.chaos.custody.offer_attacks import order as order_of
from agent.app.chaos.custody.world import ETH, OWNERS, THIEF, USDC, USDC_ONE, WETH, Gated, gated
from chains.devnet import cow_solver
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.cow_orders import SETTLEMENT, Order
from chains.devnet.jsonrpc import RpcError
from chains.devnet.nodes import OPERATOR
from chains.devnet.service import Status
from chains.types import Address, Call, CowOrder
from contracts import offers
from contracts.codec import decode_revert, encode
from contracts.hashing import keccak
from keys import cow_order
from keys.scope_bound import bound
from keys.scope_state import changes, readings

pytestmark = pytest.mark.devnet
DAI = Address(CHAINS[1].mocks["DAI"][0])
HOOKS = '{"metadata":{"hooks":{"pre":[{"callData":"0x","gasLimit":"21000","target":"0x00"}]}}}'
SETTLE = (
    "address[]", "uint256[]",
    "(uint256,uint256,address,uint256,uint256,uint32,bytes32,uint256,uint256,uint256,bytes)[]",
    "(address,uint256,bytes)[][3]",
)  # fmt: skip


@pytest.fixture
def world(devnet: Status) -> Iterator[Gated]:
    one = gated(devnet.cheat_urls, offers=bytes.fromhex(artifact("Offers").bytecode))
    cow_solver.admit(one.rpc)
    yield one
    one.rpc.close()


def opening(w: Gated, o: CowOrder) -> Call:
    return w.through(offer_call(o))


def opened(w: Gated, **changed: Any) -> CowOrder:
    made = order_of(w, **changed)
    w.does(offer_call(made))
    return made


def ending(w: Gated) -> bytes:
    return encode("gate", "endOffer", (WETH, w.now() + 60))


def settled(w: Gated, o: CowOrder, sold: int, flags: int = 0, send: bool = True, **changed: Any) -> str:
    """Settled by a listed solver who says `changed` of it; why not, or empty."""
    made = Order(
        o.sell_token, o.buy_token, o.receiver, o.sell_raw, o.buy_raw, o.valid_to, bytes.fromhex(o.app_data[2:]),
        o.partially_fillable, "eip1271", offers.signature(o.sell_token), o.owner, b"", {}, o.buys,
    )  # fmt: skip
    made = replace(made, **{k: v for k, v in changed.items() if k != "fee"})
    swap = cow_solver.best_swap(w.rpc, o.sell_token, o.buy_token, sold)
    assert swap is not None
    data = cow_solver.settlement(made, sold, sold, swap)
    settle = artifact("GPv2Settlement")
    if flags or "fee" in changed:
        tokens, prices, trades, interactions = decode(SETTLE, data[4:])
        told = list(trades[0])
        told[7], told[8] = changed.get("fee", 0), told[8] | flags
        data = settle.call(
            "settle", list(tokens), list(prices), [tuple(told)], [list(i) for i in interactions]
        )
    tx = {"from": OPERATOR, "to": SETTLEMENT, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
    try:
        w.rpc("eth_call", tx, "latest")
    except RpcError as error:
        return decode_revert(bytes.fromhex(str(error.data)[2:])) if error.data else str(error)
    if send:
        w.rpc("anvil_impersonateAccount", OPERATOR)
        assert w.rpc.transact(tx)["status"] == "0x1"
    return ""


def test_granted_the_chain_is_as_the_scope_says_and_the_bound_says_what_orders_add(world: Gated) -> None:
    assert changes(readings(world.scope, world.creation), found(world)) == ()
    scopes = world.scope, replace(world.scope, offers=b"")
    with_orders, without = (bound(scope, Decimal(3_000)) for scope in scopes)
    assert with_orders.share == without.share and with_orders.per_day_usd > without.per_day_usd


def test_the_digest_is_the_one_that_is_posted_and_settled(world: Gated) -> None:
    for one in (order_of(world), order_of(world, kind="buy", partially_fillable=False, sell_raw=7)):
        assert world.read(holder(world), "offers", "digestOf", fields(one)) == (cow_order.digest(one),)
    order = opened(world)
    before = world.balance(USDC)
    assert settled(world, order, ETH // 4) == "" and settled(world, order, ETH // 4 * 3) == ""
    assert world.balance(USDC) - before >= order.buy_raw, "the Safe is paid, by the limit"
    uid = bytes.fromhex(cow_order.uid(order)[2:])
    assert world.read(SETTLEMENT, "gpv2_settlement", "filledAmount", uid) == (ETH,)
    assert world.balance(WETH, holder(world)) == 0
    assert "Used" in world.why(opening(world, order)), "the same fields are never opened again"


REFUSED: dict[str, tuple[str, Callable[[Gated], Call]]] = {
    "a price of nothing": ("MinimumBelowFloor", lambda w: opening(w, order_of(w, buy_raw=0))),
    "a purchase that pays more than the floor lets": ("MinimumBelowFloor", lambda w: opening(w, order_of(w, kind="buy", buy_raw=2_900 * USDC_ONE))),
    "a validity that is over": ("DeadlinePassed", lambda w: opening(w, order_of(w, valid_to=w.now() - 1))),
    "a token for itself": ("PairNotListed", lambda w: opening(w, order_of(w, buy_token=Address(WETH)))),
    "nothing": ("AmountOutOfRange", lambda w: opening(w, order_of(w, sell_raw=0))),
    "opened past the Gate, under the role": ("ConditionViolation", role(holder, lambda w: encode("offers", "open", (fields(order_of(w)), 1)))),
    "a raw presignature by delegatecall": ("ConditionViolation", role(fixed(SETTLEMENT), presigned, 1)),
    "its holder as a route": ("RouteNotListed", lambda w: w.through(w.trade(router=holder(w), data=encode("offers", "end", (WETH,))))),
    "a holder of his own": ("ConditionViolation", role(lambda w: w.gate, lambda w: encode("gate", "setOffers", (THIEF,)))),
}  # fmt: skip


def test_what_the_gate_would_not_trade_it_does_not_offer(world: Gated) -> None:
    """The rest of it is in `offer_attacks`, which every run of custody's chaos tries."""
    before = world.fingerprint()
    for name, (rule, made) in REFUSED.items():
        assert rule in world.why(made(world)), (name, world.why(made(world)))
        world.sends(made(world))
    assert world.fingerprint() == before


CHANGED: dict[str, dict[str, Any]] = {
    "another receiver": {"receiver": THIEF},
    "its holder as the receiver": {"receiver": "0x" + "0" * 40},
    "a document with hooks": {"app_data": keccak(HOOKS.encode())},
    "no document": {"app_data": bytes(32)},
    "a later end": {"valid_to": 2**32 - 1},
    "a lower price": {"buy_raw": 1},
    "more of it": {"sell_raw": 2 * ETH},
    "a purchase": {"buys": True},
    "as a whole only": {"partially": False},
    "a fee": {"fee": 1},
    "balances outside, at Balancer's vault": {"flags": 2 << 2},
    "balances inside Balancer's vault": {"flags": 3 << 2},
    "proceeds inside Balancer's vault": {"flags": 1 << 4},
    "another token's place": {"signature": offers.signature(USDC)},
}


def test_nothing_else_than_the_very_order_is_settled(world: Gated) -> None:
    order = opened(world)
    for name, change in CHANGED.items():
        flags = change.get("flags", 0)
        told = {key: value for key, value in change.items() if key != "flags"}
        why = settled(world, order, ETH, flags, send=False, **told)
        assert "NotLive" in why, (name, why)
    elsewhere = replace(order, settlement=Address(CHAINS[1].uniswap.router02))
    asked = Call(
        holder(world),
        encode("offers", "isValidSignature", (cow_order.digest(elsewhere), offers.signature(WETH))),
    )
    assert "NotLive" in world.why(asked), "another settlement contract's order is another order"
    assert settled(world, order, ETH) == ""


def test_what_was_fair_when_it_was_made_is_settled_only_while_it_is(world: Gated) -> None:
    order = opened(world)
    world.prices("3010")
    assert "BelowFloor" in settled(world, order, ETH)
    world.prices("2700")
    assert "SourcesDisagree" in settled(world, order, ETH)
    world.prices()
    freeze = {"from": OWNERS[0].address, "to": world.gate, "data": "0x" + encode("gate", "freeze").hex()}
    world.rpc("anvil_impersonateAccount", OWNERS[0].address)
    world.rpc("anvil_setBalance", OWNERS[0].address, hex(ETH))
    assert world.rpc.transact({**freeze, "gas": hex(200_000)})["status"] == "0x1"
    assert "GateSaysNo" in settled(world, order, ETH)
    before = world.balance(WETH)
    world.does(ending(world))  # a freeze stops no end
    assert world.balance(WETH) - before == ETH and world.balance(WETH, holder(world)) == 0
    uid = bytes.fromhex(cow_order.uid(order)[2:])
    assert world.read(SETTLEMENT, "gpv2_settlement", "filledAmount", uid) == (2**256 - 1,)
    assert world.read(WETH, "erc20", "allowance", holder(world), offers.RELAYER) == (0,)


def test_what_lapsed_comes_home_by_anybody_and_its_charge_stays(world: Gated) -> None:
    left = world.read(world.gate, "gate", "budgetLeft")[0]
    order = opened(world)
    charged = left - world.read(world.gate, "gate", "budgetLeft")[0]
    assert charged == 3_060 * ETH, "a fiftieth above its value"
    assert settled(world, order, ETH // 2) == ""
    world.later(301)
    assert settled(world, order, ETH // 4)
    before = world.balance(WETH)
    assert world.thief(Call(holder(world), encode("offers", "end", (WETH,))))["status"] == "0x1"
    assert world.balance(WETH) - before == ETH // 2
    refilled = left - world.read(world.gate, "gate", "budgetLeft")[0]
    assert refilled > charged * 9 // 10, "only time gives it back"
