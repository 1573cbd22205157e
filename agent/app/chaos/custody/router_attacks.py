"""The Universal Router, which the Gate lists, told what no plan of ours tells it: plans inside plans, failures that are allowed, permits, positions.

The Gate reads nothing of it. It counts what came back, and what the Safe and the Gate let others take is the referee's to see.
"""

from __future__ import annotations

from collections.abc import Callable

from eth_abi.abi import encode as packed

from agent.app.chaos.custody.approval_attacks import AGENT_KEY
from agent.app.chaos.custody.attack import FOREVER, MAX, NPM, Attack, direct, fixed, named, trade, v3, words
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import ETH, THIEF, UNIVERSAL, USDC, WETH, Gated
from chains.devnet.addresses import PERMIT2
from chains.types import Call
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.hashing import keccak

SUB_PLAN, PERMIT2_PERMIT, PERMIT2_BATCH, V3_POSITIONS_PERMIT, V3_POSITIONS, V4_POSITIONS = (
    0x21,
    0x0A,
    0x03,
    0x11,
    0x12,
    0x14,
)
NOT_HIS_POSITION, NO_SUCH_ACTION = (
    "0x" + keccak(error)[:4].hex() for error in (b"NotAuthorizedForToken(uint256)", b"InvalidAction(bytes4)")
)
"""The router's own errors, as they are told where no interface of ours lists them."""
Coded = tuple[int, bytes]


def swept(to: str, token: str = WETH) -> Coded:
    return ur.encode_command(ur.Command("SWEEP", {"token": token, "recipient": to, "amountMin": 0}))


def sold(to: str, may_revert: bool = False, **fields: object) -> Coded:
    """An exact sale of what was pushed, paid to `to`."""
    honest = v3(to)
    return ur.encode_command(ur.Command(honest.name, {**honest.args, **fields}, may_revert))


def plan(*steps: Coded) -> bytes:
    """Commands and inputs as EXECUTE_SUB_PLAN takes them."""
    return packed(["bytes", "bytes[]"], [bytes(code for code, _ in steps), [data for _, data in steps]])


def routed(*steps: Coded) -> bytes:
    codes, inputs = bytes(code for code, _ in steps), tuple(data for _, data in steps)
    return encode("universal_router", "execute", (codes, inputs, FOREVER))


def through(made: Callable[[Gated], bytes]) -> Callable[[Gated], Call]:
    return trade(router=UNIVERSAL, data=made)


def _nested(depth: int) -> Coded:
    inner = swept(THIEF)
    for _ in range(depth):
        inner = (SUB_PLAN, plan(inner))
    return inner


def _permit(w: Gated) -> Coded:
    """Permit2's word that the thief may take the Gate's WETH, signed by the agent as if he were the Gate."""
    single = ((WETH, 2**160 - 1, 2**47, 0), THIEF, FOREVER)
    types = ["((address,uint160,uint48,uint48),address,uint256)", "bytes"]
    return PERMIT2_PERMIT, packed(types, [single, AGENT_KEY.sign(keccak(b"permit"))])


def _permits(w: Gated) -> Coded:
    batch = ([(WETH, 2**160 - 1, 2**47, 0), (USDC, 2**160 - 1, 2**47, 0)], THIEF, FOREVER)
    types = ["((address,uint160,uint48,uint48)[],address,uint256)", "bytes"]
    return PERMIT2_BATCH, packed(types, [batch, AGENT_KEY.sign(keccak(b"permits"))])


def _position(signature: str, *values: int | str) -> bytes:
    """A call of the position manager for the first position there is, whoever's it is."""
    return keccak(signature.encode())[:4] + words(*values)


def _from_safe(w: Gated) -> Coded:
    args = {"token": WETH, "recipient": THIEF, "amount": ETH}
    return ur.encode_command(ur.Command("PERMIT2_TRANSFER_FROM", args))


_DECREASE = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
_COLLECT = "collect((uint256,address,uint128,uint128))"
_WITNESS = "permitWitnessTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes32,string,bytes)"
_BATCH = "permitTransferFrom(((address,uint256)[],uint256,uint256),(address,uint256)[],address,bytes)"


def _witnessed(owner: Callable[[Gated], str]) -> Callable[[Gated], bytes]:
    """A transfer by signature with a witness, as off-chain orders have them signed; the agent signs for `owner`."""

    def made(w: Gated) -> bytes:
        types = [
            "((address,uint256),uint256,uint256)",
            "(address,uint256)",
            "address",
            "bytes32",
            "string",
            "bytes",
        ]
        order = "Order witness)Order(uint256 nonce)TokenPermissions(address token,uint256 amount)"
        signature = AGENT_KEY.sign(keccak(b"an order to another receiver"))
        values = [((WETH, ETH), 7, FOREVER), (THIEF, ETH), owner(w), keccak(b"order"), order, signature]
        return keccak(_WITNESS.encode())[:4] + packed(types, values)

    return made


def _batched(w: Gated) -> bytes:
    types = ["((address,uint256)[],uint256,uint256)", "(address,uint256)[]", "address", "bytes"]
    values = [
        ([(WETH, ETH), (USDC, 1)], 8, FOREVER),
        [(THIEF, ETH), (THIEF, 1)],
        w.safe,
        AGENT_KEY.sign(keccak(b"both")),
    ]
    return keccak(_BATCH.encode())[:4] + packed(types, values)


PLANS = (
    Attack("a sub-plan that pays the thief", "ReceivedBelowMinimum", through(lambda w: routed((SUB_PLAN, plan(sold(THIEF)))))),
    Attack("a sub-plan that may fail, and does", "ReceivedBelowMinimum", through(lambda w: routed((SUB_PLAN | ur.ALLOW_REVERT, plan(sold(w.gate, amountOutMin=MAX))), swept(THIEF)))),
    Attack("sub-plans three deep that sweep to the thief", "ReceivedBelowMinimum", through(lambda w: routed(_nested(3)))),
    Attack("a sale that may fail, and does, and the rest swept", "V3TooLittleReceived", through(lambda w: routed(sold(w.gate, True, amountOutMin=MAX), swept(THIEF)))),
    Attack("half sold to the Gate, half to the thief", "ReceivedBelowMinimum", through(lambda w: routed(sold(w.gate, amountIn=ETH // 2), sold(THIEF, amountIn=ETH // 2)))),
    Attack("the Gate's own word to Permit2, by the agent", "command 0 failed", through(lambda w: routed(_permit(w)))),
    Attack("the Gate's own word to Permit2 on two tokens, by the agent", "command 0 failed", through(lambda w: routed(_permits(w)))),
    Attack("what the Gate was given, pulled back by Permit2", "AllowanceExpired", through(lambda w: routed(_from_safe(w)))),
    Attack("a position's liquidity taken out through the router", NOT_HIS_POSITION, through(lambda w: routed((V3_POSITIONS, _position(_DECREASE, 1, 1, 0, 0, FOREVER))))),
    Attack("a position's fees collected through the router", NOT_HIS_POSITION, through(lambda w: routed((V3_POSITIONS, _position(_COLLECT, 1, THIEF, 2**128 - 1, 2**128 - 1))))),
    Attack("another function of the position manager through the router", NO_SUCH_ACTION, through(lambda w: routed((V3_POSITIONS, _position("setApprovalForAll(address,bool)", THIEF, 1))))),
    Attack("a V4 position's action other than a mint", NO_SUCH_ACTION, through(lambda w: routed((V4_POSITIONS, _position("setApprovalForAll(address,bool)", THIEF, 1))))),
    Attack("a command that there is not", "InvalidCommandType", through(lambda w: routed((0x3E, b"")))),
    Attack("more inputs than commands", "LengthMismatch", through(lambda w: encode("universal_router", "execute", (b"\x00", (b"", b""), FOREVER)))),
    Attack("no commands at all", "ReceivedBelowMinimum", through(lambda w: encode("universal_router", "execute", (b"", (), FOREVER)))),
    Attack("the router's own deadline passed", "TransactionDeadlinePassed", through(lambda w: ur.execute([v3(w.gate)], 1))),
)  # fmt: skip

WITNESSES = (
    Attack("Permit2.permitWitnessTransferFrom the Safe", "GS", direct(fixed(PERMIT2), _witnessed(lambda w: w.safe))),
    Attack("Permit2.permitWitnessTransferFrom the Gate", "reverted", direct(fixed(PERMIT2), _witnessed(lambda w: w.gate))),
    Attack("Permit2.permitTransferFrom the Safe, two tokens", "GS", direct(fixed(PERMIT2), _batched)),
    Attack("an LP NFT's permit by the agent", "Unauthorized", direct(fixed(NPM), named("permit(address,uint256,uint256,uint8,bytes32,bytes32)", THIEF, 1, FOREVER, 27, 1, 1))),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {
    "the router's other commands": PLANS,
    "orders and permits by witness": WITNESSES,
}


# ---------------------------------------------------------------------- what passes, within the bound
def _honest_inside(room: Room) -> str:
    """A plan inside a plan that pays the Gate: the Gate takes it, and it is a trade like any other."""
    w = room.gate
    w.does(w.trade(router=UNIVERSAL, data=routed((SUB_PLAN, plan(sold(w.gate))))))
    return "one trade, honest"


def moves() -> list[Move]:
    family = "the router's other commands"
    return [Move(family, "a sub-plan that pays the Gate", _honest_inside, repelled=False)]
