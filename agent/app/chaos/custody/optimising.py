"""The attacker who is not content with being refused: he spends all that the Gate allows, as profitably as he can, for a day.

His means: a pool of his own, whose price he sets and whose fee he pays himself; the honest pool, held where it suits him for as
long as the mean of the second source (nobody here trades it back, which no market would leave undone); feeds at the edge of what
their publisher lets them be wrong by; and the gas money, sent to himself whole. The gap to the bound is what the owners' number
overstates, and is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from agent.app.chaos.custody.attack import FOREVER, MAX, NPM, as_thief
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import (
    AGENT,
    ETH,
    POOL_005,
    ROUTER02,
    THIEF,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)
from chains.devnet.artifacts import artifact
from chains.devnet.demo import sqrt_price_x96
from chains.devnet.funding import give_eth, give_token
from chains.errors import Halt
from chains.types import Address, Call
from contracts.codec import encode

FAMILY = "optimising attackers"
TRUE = Decimal(3_000)
OWN_FEE = 10_000
KEEPS = Decimal(1) - Decimal(OWN_FEE) / 1_000_000
DAY, STEP = 86_400, 7_100
EDGE = ("2985", "1.0025")
"""ETH's feed as low and USDC's as high as their errors of 50 and 25 bps let them be."""


def furnished(w: Gated, price: Decimal) -> None:
    """The thief rich, with a deep pool of his own at `price` USDC for one WETH."""
    w.rpc("anvil_impersonateAccount", THIEF)
    give_eth(w.url, THIEF, 100 * ETH)
    give_token(w.url, WETH, THIEF, 60_000 * ETH)
    give_token(w.url, USDC, THIEF, 180_000_000 * USDC_ONE)
    for token in (WETH, USDC):
        for spender in (NPM, ROUTER02):
            as_thief(w, token, encode("erc20", "approve", (spender, MAX)))
    npm = artifact("NonfungiblePositionManager")
    start = sqrt_price_x96(str(price), False)
    as_thief(w, NPM, npm.call("createAndInitializePoolIfNecessary", USDC, WETH, OWN_FEE, start))
    tick = int(w.read(POOL_005, "uniswap_v3_pool", "slot0")[1]) // 200 * 200
    amounts = (60_000_000 * USDC_ONE, 20_000 * ETH)
    as_thief(
        w,
        NPM,
        npm.call("mint", (USDC, WETH, OWN_FEE, tick - 800, tick + 1_600, *amounts, 0, 0, THIEF, FOREVER)),
    )


def moved(w: Gated, fee: int, price: Decimal) -> None:
    """The thief trades the pool of that fee to a price, from wherever it is. A swap that has nothing to do is refused: it is there."""
    limit = sqrt_price_x96(str(price), False)
    for sold, bought, amount in ((WETH, USDC, 20_000 * ETH), (USDC, WETH, 60_000_000 * USDC_ONE)):
        swap = w.single(
            amount, tokenIn=sold, tokenOut=bought, fee=fee, recipient=THIEF, sqrtPriceLimitX96=limit
        )
        call = Call(ROUTER02, swap)
        if not w.why(call, THIEF):
            w.thief(call, 3_000_000)


def squeezed(w: Gated, sold: str, bought: str, raw: int) -> int:
    """The Safe's `raw` of `sold` through his own pool for as little over the floor as he can bring about; what it brought."""
    floor = w.floor(sold, bought, raw)
    selling = sold == WETH
    whole = (
        Decimal(floor) / USDC_ONE / (Decimal(raw) / ETH)
        if selling
        else Decimal(raw) / USDC_ONE / (Decimal(floor) / ETH)
    )
    for above in ("0.00002", "0.0001", "0.0005", "0.002"):
        more = 1 + Decimal(above)
        moved(
            w, OWN_FEE, (whole / KEEPS * more if selling else whole * KEEPS / more).quantize(Decimal("1e-8"))
        )
        data = w.single(raw, tokenIn=sold, tokenOut=bought, fee=OWN_FEE)
        call = w.through(w.trade(raw, tokenIn=sold, tokenOut=bought, minimumOut=floor, data=data))
        if not w.why(call):
            w.sends(call)
            return floor
    raise Halt("CHAOS_WORLD", f"the attacker found no price the Gate takes: {w.why(call)}")


def left_usd(w: Gated) -> Decimal:
    return Decimal(w.read(w.gate, "gate", "budgetLeft")[0]) / ETH


def drained(w: Gated) -> None:
    """All that is on the agent's account to the thief, but for what the next call needs to be sent."""
    reserve = ETH * 35 // 1_000
    held = int(w.rpc("eth_getBalance", AGENT, "latest"), 16)
    if held > reserve:
        w.sends(Call(Address(THIEF), b"", held - reserve), 21_000)


def refuelled(w: Gated) -> None:
    """As much gas money as the Gate gives now, in pieces."""
    for piece in (ETH // 20, ETH // 100, ETH // 400):
        while not w.why(w.through(w.refuel(piece))):
            drained(w)
            w.sends(w.through(w.refuel(piece)))
    drained(w)


def emptied(w: Gated) -> None:
    """The account's last ether, when nothing more is to be sent."""
    held = int(w.rpc("eth_getBalance", AGENT, "latest"), 16)
    w.sends(Call(Address(THIEF), b"", held - 21_000 * 20 * 10**9), 21_000)


def day(step: Callable[[Room, int], object], room: Room, every: int = STEP) -> str:
    """Steps over a simulated day, gas money drained at each of them."""
    w, first, n = room.gate, room.gate.now(), 0
    while True:
        step(room, n)
        refuelled(w)
        n += 1
        if w.now() - first + every >= DAY:
            break
        w.later(every, fresh=False)
    emptied(w)
    return f"{n} rounds in a day"


# ---------------------------------------------------------------------- his own pool, the feeds at their edge, the second source held
def _held_low(room: Room) -> object:
    w = room.gate
    w.rpc("anvil_setBalance", AGENT, hex(w.scope.gas_float_wei))
    furnished(w, Decimal(2_978))
    moved(w, 500, Decimal(2_977))
    w.later(3_600)
    return w.later(3_600)


def _own_pool_at_the_edge(room: Room, n: int) -> None:
    w = room.gate
    w.prices(*EDGE)
    raw = int(left_usd(w) / Decimal(EDGE[0]) * 10**18) - 10**12
    if raw > 10**15:
        squeezed(w, WETH, USDC, raw)


# ---------------------------------------------------------------------- feeds that drift as they may, whichever way pays
def _at_the_truth(room: Room) -> object:
    w = room.gate
    w.rpc("anvil_setBalance", AGENT, hex(w.scope.gas_float_wei))
    furnished(w, TRUE)
    return w.prices()


def _drifting(room: Room, n: int) -> None:
    """The feeds drift within their errors by chance; he sells or buys, whichever is paid worse at the true price."""
    w, chance = room.gate, room.chance
    eth = TRUE * (1 + Decimal(chance.randint(-50, 50)) / 10_000)
    usdc = 1 + Decimal(chance.randint(-25, 25)) / 10_000
    w.prices(str(eth), str(usdc))
    usd = left_usd(w)
    sold, bought = int(usd / eth * 10**18) - 10**12, int(usd / usdc * 10**6) - 10**3
    if sold <= 10**15:
        return
    by_sale = Decimal(sold) / ETH * TRUE - Decimal(w.floor(WETH, USDC, sold)) / USDC_ONE
    by_purchase = Decimal(bought) / USDC_ONE - Decimal(w.floor(USDC, WETH, bought)) / ETH * TRUE
    if by_sale >= by_purchase:
        squeezed(w, WETH, USDC, sold)
    else:
        squeezed(w, USDC, WETH, bought)


# ---------------------------------------------------------------------- the honest pool, sandwiched again and again
def _sandwich(room: Room, n: int) -> None:
    """Pushes the honest pool down to just above the floor, trades, and takes it back."""
    w = room.gate
    w.prices()
    raw = int(left_usd(w) / TRUE * 10**18) - 10**12
    if raw <= 10**15:
        return
    floor = w.floor(WETH, USDC, raw)
    at = Decimal(floor) / USDC_ONE / (Decimal(raw) / ETH) / Decimal("0.9995")
    for above in ("0.0002", "0.001", "0.003", "0.01"):
        moved(w, 500, (at * (1 + Decimal(above))).quantize(Decimal("1e-8")))
        call = w.through(w.trade(raw, minimumOut=floor, data=w.single(raw)))
        if not w.why(call):
            w.sends(call)
            break
    moved(w, 500, TRUE)


# ---------------------------------------------------------------------- churn
def _churn(room: Room, n: int) -> None:
    """Round trips at Aave: each withdrawal and loan spends budget and loses nothing but interest."""
    w = room.gate
    w.prices()
    for inner in (
        w.lend("supply", WETH, ETH),
        w.lend("borrow", USDC, 1_000 * USDC_ONE),
        w.lend("repay", USDC, 900 * USDC_ONE),
    ):
        call = w.through(inner)
        if not w.why(call):
            w.sends(call)


def _with_the_float(room: Room) -> object:
    room.gate.rpc("anvil_setBalance", AGENT, hex(room.gate.scope.gas_float_wei))
    return room.gate.prices()


def _gas_alone(room: Room, n: int) -> None:
    room.gate.prices()


def moves() -> list[Move]:
    def move(
        name: str,
        step: Callable[[Room, int], object],
        before: Callable[[Room], object],
        every: int = STEP,
        first: bool = False,
    ) -> Move:
        return Move(
            FAMILY, name, lambda room: day(step, room, every), "", before, repelled=False, first=first
        )

    return [
        move(
            "his own pool, feeds at their edge, the second source held",
            _own_pool_at_the_edge,
            _held_low,
            first=True,
        ),
        move("his own pool, feeds drifting", _drifting, _at_the_truth, 3 * STEP),
        move("the honest pool sandwiched to the end of the budget", _sandwich, _at_the_truth, 3 * STEP),
        move("lending in circles", _churn, _with_the_float, 3 * STEP),
        move("the gas money alone", _gas_alone, _with_the_float, 3 * STEP),
    ]
