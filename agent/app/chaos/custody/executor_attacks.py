"""Attacks through the RouteExecutor, which the scope lists as a route: it pulls from the Gate and pays the Gate, whatever its hops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.app.chaos.custody.attack import DAI, Attack, direct, fixed, own_pool, push_pool, trade
from agent.app.chaos.custody.world import AGENT, ETH, EXECUTOR, THIEF, USDC, WETH, Gated
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token
from chains.devnet.solidity import rehearsal
from contracts import route_executor as rx
from contracts.codec import encode

FACTORY = CHAINS[1].uniswap.v3_factory
MANAGER = "0x000000000000000000000000000000000000fA15"
LOST = 1_000 * ETH


def v3(fee: int = 500, **changes: object) -> rx.Hop:
    fields: dict[str, object] = {"kind": "V3", "token_in": 0, "token_out": 1, "share": True, "amount": rx.ALL}
    fields |= {"venue": FACTORY, "detail": rx.fee_detail(fee)} | changes
    return rx.Hop(**fields)  # type: ignore[arg-type]


def routed(
    *hops: rx.Hop, tokens: Sequence[str] = (WETH, USDC), amount: int = ETH
) -> Callable[[Gated], bytes]:
    return lambda w: rx.route(tokens, amount, 0, w.now() + 60, hops)


def false_manager(w: Gated) -> None:
    """A manager of his (contracts/test/HostileManager.sol) that asks for its payment as a V3 pool; somebody's DAI lies at the executor."""
    w.rpc("anvil_setCode", MANAGER, "0x" + rehearsal("HostileManager.sol", "HostileManager")["runtime"])
    w.rpc("anvil_setStorageAt", MANAGER, "0x0", f"0x{LOST:064x}")
    give_token(w.url, DAI, EXECUTOR, LOST)


AS_A_POOL = v3(
    kind="V4", venue=MANAGER, detail=bytes(12) + bytes.fromhex(DAI[2:]), token_out=2, share=False, amount=1
)
"""What such a hop owes, read as what a V3 hop owes: any amount of DAI. That address's last bits say ether on both sides, so he is a token too."""

ROUTE = (
    Attack("a pair that is an account of his", "reverted", trade(router=EXECUTOR, data=routed(v3(kind="V2", venue=THIEF, detail=rx.fee_detail(3000))))),
    Attack("a vault of his that only takes", "reverted", trade(router=EXECUTOR, data=routed(v3(kind="BALANCER", venue=THIEF, detail=bytes(32))))),
    Attack("a pool of his own, at half the price", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed(v3(10_000))), own_pool),
    Attack("half of it through a pool of his own", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed(v3(amount=rx.ALL // 2), v3(10_000))), own_pool),
    Attack("the pool moved before the route", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed(v3())), push_pool),
    Attack("the tokens back, nothing bought", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed())),
    Attack("half of it not sold at all", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed(v3(amount=rx.ALL // 2)))),
    Attack("an account of his on the list of tokens", "reverted", trade(router=EXECUTOR, data=routed(v3(token_out=2), tokens=(WETH, AGENT, USDC)))),
    Attack("more than the trade pulled from the Gate", "TokenCallFailed", trade(router=EXECUTOR, data=routed(v3(), amount=2 * ETH))),
    Attack("less pulled than approved, the rest left for later", "ReceivedBelowMinimum", trade(router=EXECUTOR, data=routed(v3(), amount=ETH // 2))),
    Attack("the executor's pool callback called by him", "NotTheVenue", direct(fixed(EXECUTOR), lambda w: encode("route_executor", "uniswapV3SwapCallback", (ETH, 0, bytes(64))))),
    Attack("the executor's lock callback called by him", "NotTheVenue", direct(fixed(EXECUTOR), lambda w: encode("route_executor", "unlockCallback", (bytes(128),)))),
    Attack("the executor's callback as a route of the Gate", "RouteNotListed", trade(router=EXECUTOR, data=lambda w: encode("route_executor", "uniswapV3SwapCallback", (ETH, 0, bytes(64))))),
    Attack("what lies at the executor, by a manager of his that calls back as a pool", "NotTheVenue", trade(router=EXECUTOR, data=routed(AS_A_POOL, v3(), tokens=(WETH, USDC, MANAGER))), false_manager),
    Attack("the executor told to sell the Gate's tokens by him", "TokenCallFailed", direct(fixed(EXECUTOR), routed(v3()))),
    Attack("dirty bits in the executor's list of tokens", "reverted", trade(router=EXECUTOR, data=lambda w: routed(v3())(w).replace(bytes(12) + bytes.fromhex(USDC[2:]), b"\1" + bytes(11) + bytes.fromhex(USDC[2:])))),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"the RouteExecutor": ROUTE}
