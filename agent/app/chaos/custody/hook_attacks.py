"""A Uniswap V4 pool with a hook of the thief's own, reached through the Universal Router that the Gate lists.

The hook (contracts/test/HostileHook.sol) does what the calldata's hookData tells it: it keeps what goes in or comes out, re-enters,
promises what it does not pay, takes the whole as a fee. The thief mines an address whose last bits are the hook's permissions; here
its code is put there. To re-enter as the agent, who alone may, the agent's own account is given code (EIP-7702).
"""

from __future__ import annotations

from collections.abc import Callable

from eth_abi.abi import encode as packed

from agent.app.chaos.custody.attack import FOREVER, MAX, Attack, as_thief, rich_thief, trade
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import (
    AGENT,
    ETH,
    THIEF,
    UNIVERSAL,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)
from chains.devnet.addresses import CHAINS, PERMIT2
from chains.devnet.artifacts import artifact
from chains.devnet.demo import sqrt_price_x96
from chains.devnet.funding import give_token
from chains.devnet.solidity import rehearsal
from chains.types import Address, Call
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.hashing import checksum, keccak

NOTHING, KEEP_INPUT, KEEP_OUTPUT, REENTER, REENTER_QUIETLY, PROMISE_MORE, WHOLE_FEE = range(7)
_BEFORE_SWAP, _AFTER_SWAP, _BEFORE_RETURNS, _AFTER_RETURNS = 1 << 7, 1 << 6, 1 << 3, 1 << 2
_PERMITS = _BEFORE_SWAP | _AFTER_SWAP | _BEFORE_RETURNS | _AFTER_RETURNS
HOOK = Address(checksum(keccak(b"the thief's hook")[12:18] + bytes(12) + _PERMITS.to_bytes(2, "big")))
PUPPET = Address(checksum(keccak(b"code for the agent's account")[12:]))
_DYNAMIC_FEE = 0x800000
_SPACING = 60
_MINT, _SETTLE_PAIR = 0x02, 0x0D
KEY = {
    "currency0": USDC,
    "currency1": WETH,
    "fee": _DYNAMIC_FEE,
    "tickSpacing": _SPACING,
    "hooks": HOOK,
}
OPEN_DELTA = 0
"""All that is owed, to the router's settling and taking."""


def hooked_pool(w: Gated) -> None:
    """The thief's pool at 3,000 USDC with his hook, furnished so that an honest trade in it would pass."""
    rich_thief(w)
    give_token(w.url, USDC, THIEF, 40_000_000 * USDC_ONE)
    w.rpc("anvil_setCode", HOOK, "0x" + rehearsal("HostileHook.sol", "HostileHook")["runtime"])
    at = CHAINS[1].uniswap
    start = sqrt_price_x96("3000", False)
    as_thief(w, at.v4_pool_manager, artifact("PoolManager").call("initialize", tuple(KEY.values()), start))
    permit2 = artifact("Permit2")
    for token in (WETH, USDC):
        as_thief(w, token, encode("erc20", "approve", (PERMIT2, MAX)))
        as_thief(w, PERMIT2, permit2.call("approve", token, at.v4_position_manager, 2**160 - 1, FOREVER))
    lower, upper = -887_220, 887_220
    types = [
        "(address,address,uint24,int24,address)",
        *"int24 int24 uint256 uint128 uint128 address bytes".split(),
    ]
    minting = packed(
        types,
        [tuple(KEY.values()), lower, upper, 5 * 10**17, 30_000_000 * USDC_ONE, 20_000 * ETH, THIEF, b""],
    )
    steps = [minting, packed(["address", "address"], [USDC, WETH])]
    unlock = packed(["bytes", "bytes[]"], [bytes([_MINT, _SETTLE_PAIR]), steps])
    as_thief(
        w, at.v4_position_manager, artifact("PositionManager").call("modifyLiquidities", unlock, FOREVER)
    )


def through(what: int, amount: int = 0, to: str = THIEF, inner: bytes = b"", sold: int = ETH) -> bytes:
    """The router's calldata for a sale of WETH in that pool, hookData saying what the hook is to do; the Gate is paid."""
    said = packed(["uint256", "uint256", "address", "bytes"], [what, amount, to, inner])
    swap = {"poolKey": KEY, "zeroForOne": False, "amountIn": sold, "amountOutMinimum": 0, "hookData": said}
    return ur.execute(
        [
            ur.v4_swap(
                [
                    ur.Command("SWAP_EXACT_IN_SINGLE", {"swap": swap}),
                    ur.Command("SETTLE", {"currency": WETH, "amount": OPEN_DELTA, "payerIsUser": False}),
                    ur.Command("TAKE", {"currency": USDC, "recipient": ur.MSG_SENDER, "amount": OPEN_DELTA}),
                ]
            )
        ],
        FOREVER,
    )


def _does(made: Callable[[Gated], bytes]) -> Callable[[Gated], Call]:
    return trade(router=UNIVERSAL, data=made)


def _puppet(w: Gated) -> None:
    """The agent's account runs the thief's code, by a delegation that the agent's key signed."""
    hooked_pool(w)
    w.rpc("anvil_setCode", PUPPET, "0x" + rehearsal("HostileHook.sol", "Puppet")["runtime"])
    w.rpc("anvil_setCode", AGENT, "0xef0100" + PUPPET[2:])


def as_agent(to: str, inner: bytes) -> bytes:
    return keccak(b"call(address,bytes)")[:4] + packed(["address", "bytes"], [to, inner])


def _again(w: Gated) -> bytes:
    """The agent's account told to go through the modifier into the Gate once more, from inside the swap."""
    call = w.through(w.trade(ETH))
    return through(REENTER, 0, AGENT, as_agent(call.to, call.data))


def _lends(w: Gated) -> bytes:
    call = w.through(w.lend("borrow", USDC, 1_000 * USDC_ONE))
    return through(REENTER, 0, AGENT, as_agent(call.to, call.data))


def _awaits_ether(w: Gated) -> None:
    """Gas money that arrives makes the agent's account trade, inside the Gate's own call."""
    _puppet(w)
    call = w.through(w.trade(ETH))
    prepare = keccak(b"prepare(address,bytes)")[:4] + packed(["address", "bytes"], [call.to, call.data])
    as_thief(w, AGENT, prepare)


ATTACKS = (
    Attack("the hook keeps all that goes in", "ReceivedBelowMinimum", _does(lambda w: through(KEEP_INPUT, ETH)), hooked_pool),
    Attack("the hook keeps half of what goes in", "ReceivedBelowMinimum", _does(lambda w: through(KEEP_INPUT, ETH // 2)), hooked_pool),
    Attack("the hook keeps all that comes out", "ReceivedBelowMinimum", _does(lambda w: through(KEEP_OUTPUT, 0)), hooked_pool),
    Attack("the hook leaves one unit less than the floor", "ReceivedBelowMinimum", _does(lambda w: through(KEEP_OUTPUT, w.floor(WETH, USDC, ETH) - 1)), hooked_pool),
    Attack("the hook takes the whole as a fee", "ReceivedBelowMinimum", _does(lambda w: through(WHOLE_FEE)), hooked_pool),
    Attack("the hook promises what it does not pay", "CurrencyNotSettled", _does(lambda w: through(PROMISE_MORE, 100 * USDC_ONE)), hooked_pool),
    Attack("the hook enters the Gate by itself", "Busy", _does(lambda w: through(REENTER, 0, w.gate, w.trade())), hooked_pool),
    Attack("the hook goes through the modifier by itself", "NotAuthorized", _does(lambda w: through(REENTER, 0, w.roles, w.through(w.trade()).data)), hooked_pool),
    Attack("the hook has the agent's account trade again", "Busy", _does(_again), _puppet),
    Attack("the hook has the agent's account borrow meanwhile", "Busy", _does(_lends), _puppet),
    Attack("the hook pays the Safe and not the Gate", "ReceivedBelowMinimum", _does(lambda w: through(KEEP_OUTPUT, 0, w.safe)), hooked_pool),
    Attack("gas money has the agent's account trade again", "Busy", lambda w: w.through(w.refuel(ETH // 100)), _awaits_ether),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"a V4 pool with a hook of his own": ATTACKS}


# ---------------------------------------------------------------------- what passes, within the bound
def _to_the_floor(room: Room) -> str:
    """Everything that the budget lets through now, the hook leaving just the floor of it."""
    w = room.gate
    sold = int(w.scope.burst_usd / 3_000 * 10**18) - 10**12
    data = through(KEEP_OUTPUT, w.floor(WETH, USDC, sold), sold=sold)
    w.does(w.trade(sold, router=UNIVERSAL, data=data))
    return "the floor and not one unit more was left"


def _quietly(room: Room) -> str:
    """The re-entry fails and the hook says nothing of it: the trade is an honest one, and the only one."""
    w = room.gate
    call = w.through(w.trade(ETH))
    data = through(REENTER_QUIETLY, 0, AGENT, as_agent(call.to, call.data))
    w.does(w.trade(ETH, router=UNIVERSAL, data=data))
    return "one trade, honest"


def moves() -> list[Move]:
    family = "a V4 pool with a hook of his own"
    return [
        Move(family, "the hook leaves the floor of all that may pass", _to_the_floor, "", lambda r: hooked_pool(r.gate), repelled=False),
        Move(family, "a re-entry that fails in silence", _quietly, "", lambda r: _puppet(r.gate), repelled=False),
    ]  # fmt: skip
