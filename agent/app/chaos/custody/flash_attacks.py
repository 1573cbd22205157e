"""Attacks through FlashRepay, which no scope lists: it repays its caller's debt out of its caller's collateral, and the caller is never the Safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from agent.app.chaos.custody.attack import Attack, direct, fixed, leveraged, trade
from agent.app.chaos.custody.world import A_WETH, AGENT, ETH, POOL, THIEF, USDC, USDC_ONE, WETH, Gated
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token
from chains.types import Address, Call
from contracts import flash_repay
from contracts.codec import encode

FLASH = Address(flash_repay.ADDRESS)
LOST = 3 * ETH


def asked(**changes: object) -> Callable[[Gated], bytes]:
    """Five thousand dollars repaid for two WETH at most, with these fields changed."""

    def made(w: Gated) -> bytes:
        fields: dict[str, object] = {
            "pool": POOL,
            "aToken": A_WETH,
            "repays": 5_000 * USDC_ONE,
            "mostCollateral": 2 * ETH,
        }
        fields |= {"leastHealth": 0, "deadline": w.now() + 60, "factory": CHAINS[1].uniswap.v3_factory}
        fields |= {"tokens": (USDC, WETH), "fees": (500,)} | changes
        return encode("flash_repay", "repay", (asdict(flash_repay.Repayment(**fields)),))  # type: ignore[arg-type]

    return made  # fmt: skip


def lent_to_it(w: Gated) -> None:
    """The Safe owes, and somebody's aTokens lie at FlashRepay."""
    leveraged(w)
    give_token(w.url, WETH, AGENT, LOST)
    for to, data in (
        (WETH, encode("erc20", "approve", (POOL, LOST))),
        (POOL, encode("aave_v3_pool", "supply", (WETH, LOST, FLASH, 0))),
    ):
        assert w.sends(Call(to, data))["status"] == "0x1"


def called_back(w: Gated) -> bytes:
    """As a pool would, for the Safe's account."""
    return encode("flash_repay", "uniswapV3SwapCallback", (ETH, -1, asked()(w)[4:] + bytes(64)))


LOAN = (
    Attack("the Safe's loan repaid with its collateral by him", "39", direct(fixed(FLASH), asked()), leveraged),
    Attack("FlashRepay as a route of the Gate", "RouteNotListed", trade(router=FLASH, data=asked()), leveraged),
    Attack("FlashRepay's callback called by him", "NotThePool", direct(fixed(FLASH), called_back), leveraged),
    Attack("FlashRepay's callback as a route of the Gate", "RouteNotListed", trade(router=FLASH, data=called_back), leveraged),
    Attack("aTokens that lie at FlashRepay, by a token of his", "NotTheReservesToken", direct(fixed(FLASH), asked(aToken=THIEF)), lent_to_it),
    Attack("aTokens that lie at FlashRepay, by a market of his", "reverted", direct(fixed(FLASH), asked(pool=THIEF)), lent_to_it),
    Attack("aTokens that lie at FlashRepay, as what is owed", "reverted", direct(fixed(FLASH), asked(tokens=(A_WETH, WETH))), lent_to_it),
    Attack("a repayment of nothing", "BadAmount", direct(fixed(FLASH), asked(repays=0)), leveraged),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"FlashRepay": LOAN}
