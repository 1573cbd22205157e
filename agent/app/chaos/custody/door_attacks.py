"""The other doors: forged Safe signatures, the modifier's own functions, ERC-4337, gas money, the swap itself, and odd bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.app.chaos.custody.attack import (
    DAI,
    FOREVER,
    MAX,
    Attack,
    as_thief,
    direct,
    fixed,
    named,
    push_pool,
    rich_thief,
    role,
    routed,
    tail,
    to_gate,
    to_roles,
    to_safe,
    trade,
    v3,
    words,
)  # fmt: skip
from agent.app.chaos.custody.world import (
    AGENT,
    AGENT_SECRET,
    ETH,
    OWNERS,
    ROUTER02,
    THIEF,
    UNIVERSAL,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)  # fmt: skip
from chains.devnet.addresses import CHAINS, ENTRY_POINT, SAFE_4337
from chains.devnet.artifacts import artifact
from chains.devnet.demo import sqrt_price_x96
from chains.devnet.funding import give_token
from chains.types import Address, Call, Fees
from chains.userops import Paymaster, UserOperation, handle_ops
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.gate import FACTORY, init_code
from contracts.hashing import checksum, keccak
from contracts.multisend import Part
from keys import erc4337
from keys import safe as safes
from keys.curve import SigningKey
from keys.safe import SafeTx
from keys.scope import MODULE_FACTORY, ROLE, ROLES_MASTERCOPY

AGENT_KEY = SigningKey(AGENT_SECRET)
VIOLATES = "ConditionViolation"
MODULE = Address(SAFE_4337["Safe4337Module"])


# ---------------------------------------------------------------------- signatures of the Safe
def _takes(w: Gated, nonce: int | None = None) -> SafeTx:
    return SafeTx(
        USDC, 0, encode("erc20", "transfer", (THIEF, USDC_ONE)), 0, w.nonce() if nonce is None else nonce
    )


def _by_owners(w: Gated, tx: SafeTx, chain_id: int = 1, wallet: str = "", many: int = 2) -> bytes:
    digest = safes.safe_tx_hash(chain_id, Address(wallet or w.safe), tx)
    signed = [o.sign(digest) for o in OWNERS[:many]]
    return safes.pack_signatures(digest, signed, [o.address for o in OWNERS], many)


def _executes(make: Callable[[Gated], tuple[SafeTx, bytes]]) -> Callable[[Gated], Call]:
    return lambda w: Call(w.safe, safes.exec_transaction(*make(w)))


def _altered(**changes: object) -> Callable[[Gated], Call]:
    """What the owners signed, changed afterwards."""

    def made(w: Gated) -> tuple[SafeTx, bytes]:
        signed = SafeTx(WETH, 0, encode("weth9", "deposit", ()), 0, w.nonce())
        return replace(signed, **changes), _by_owners(w, signed)  # type: ignore[arg-type]

    return _executes(made)


def _contract_signature(w: Gated) -> tuple[SafeTx, bytes]:
    """v = 0: a contract says it signed. The contract is the thief's account, which is no owner."""
    at = words(THIEF, 130) + b"\x00"
    return _takes(w), at + at + tail(b"x")


def _held(w: Gated) -> tuple[SafeTx, bytes]:
    """Signed for the nonce that the owners have meanwhile used for something else: the first."""
    return _takes(w, 0), _by_owners(w, _takes(w, 0))


SAFE_SIGNATURES = (
    Attack("executed without signatures", "GS020", _executes(lambda w: (_takes(w), b""))),
    Attack("executed with half a signature", "GS020", _executes(lambda w: (_takes(w), bytes(65)))),
    Attack("executed with one owner's signature twice", "GS026", _executes(lambda w: (_takes(w), _by_owners(w, _takes(w), many=1) * 2))),
    Attack("executed with the agent's signature twice", "GS026", _executes(lambda w: (_takes(w), AGENT_KEY.sign(safes.safe_tx_hash(1, w.safe, _takes(w))) * 2))),
    Attack("executed with the word of a contract that is no owner", "reverted", _executes(_contract_signature)),
    Attack("executed with hashes the owners never approved", "GS025", _executes(lambda w: (_takes(w), b"".join(words(o, 0) + b"\x01" for o in sorted((k.address for k in OWNERS[:2]), key=lambda a: int(a, 16)))))),
    Attack("a held signature of a nonce that is used", "GS026", _executes(_held)),
    Attack("a held signature of a nonce to come", "GS026", _executes(lambda w: (_takes(w, w.nonce() + 1), _by_owners(w, _takes(w, w.nonce() + 1))))),
    Attack("signatures made for another chain", "GS026", _executes(lambda w: (_takes(w), _by_owners(w, _takes(w), chain_id=8453)))),
    Attack("signatures made for another Safe", "GS026", _executes(lambda w: (_takes(w), _by_owners(w, _takes(w), wallet=THIEF)))),
    Attack("signed by the owners, sent elsewhere", "GS026", _altered(to=USDC)),
    Attack("signed by the owners, its calldata changed", "GS026", _altered(data=encode("erc20", "transfer", (THIEF, ETH)))),
    Attack("signed by the owners, made a delegatecall", "GS026", _altered(operation=1)),
    Attack("signed by the owners, its refund sent to the thief", "GS026", _altered(gas_price=10**12, refund_receiver=THIEF)),
    Attack("signed by the owners, value added", "GS026", _altered(value=1)),
    Attack("the Safe set up once more", "GS200", direct(to_safe, lambda w: encode("safe", "setup", ((AGENT,), 1, "0x" + "0" * 40, b"", "0x" + "0" * 40, "0x" + "0" * 40, 0, "0x" + "0" * 40)))),
    Attack("the threshold lowered through the role", VIOLATES, role(to_safe, lambda w: encode("safe", "changeThreshold", (1,)))),
    Attack("an owner swapped through the role", VIOLATES, role(to_safe, lambda w: encode("safe", "swapOwner", ("0x" + "0" * 39 + "1", OWNERS[0].address, THIEF)))),
    Attack("an owner removed through the role", VIOLATES, role(to_safe, lambda w: encode("safe", "removeOwner", ("0x" + "0" * 39 + "1", OWNERS[0].address, 1)))),
    Attack("the Safe's storage written by a simulation", "GS031", direct(to_safe, named("setGuard(address)", THIEF))),
)  # fmt: skip


# ---------------------------------------------------------------------- the modifier's own functions, and modifiers of his own
def _own_roles(
    avatar: Callable[[Gated], str], target: Callable[[Gated], str], owner: str = AGENT
) -> Callable[[Gated], object]:
    """A Roles modifier of the agent's own, whose target is what he likes; anybody may make one."""

    def before(w: Gated) -> object:
        initializer = encode("zodiac_roles", "setUp", (words(owner, avatar(w), target(w)),))
        deploy = Call(
            MODULE_FACTORY,
            encode("zodiac_module_factory", "deployModule", (ROLES_MASTERCOPY, initializer, 7)),
        )
        at = "0x" + w.rpc("eth_call", {"to": deploy.to, "data": "0x" + deploy.data.hex()}, "latest")[-40:]
        w.kept["modifier"] = bytes.fromhex(at[2:])
        w.thief(deploy)
        for inner in (
            encode("zodiac_roles", "scopeTarget", (ROLE, target(w))),
            encode("zodiac_roles", "allowFunction", (ROLE, target(w), w.trade()[:4], 0)),
            encode("zodiac_roles", "allowFunction", (ROLE, target(w), MODULE_DOOR[:4], 0)),
            encode("zodiac_roles", "assignRoles", (AGENT, (ROLE,), (True,))),
        ):
            w.sends(Call(Address(checksum(w.kept["modifier"])), inner), 1_000_000)
        return None

    return before


MODULE_DOOR = keccak(b"execTransactionFromModule(address,uint256,bytes,uint8)")[:4]


def _through_his_own(to: Callable[[Gated], str], inner: Callable[[Gated], bytes]) -> Callable[[Gated], Call]:
    return lambda w: Call(
        Address(checksum(w.kept["modifier"])),
        encode("zodiac_roles", "execTransactionWithRole", (to(w), 0, inner(w), 0, ROLE, True)),
    )


def _second_gate(w: Gated) -> Call:
    """The Gate's own code for the same Safe under another salt: nobody has sealed it, and it has no allowance."""
    salt = keccak(b"the thief's salt")
    code = init_code(w.creation, w.safe)
    w.thief(Call(Address(FACTORY), salt + code))
    at = keccak(b"\xff" + bytes.fromhex(FACTORY[2:]) + salt + keccak(code))[12:]
    return Call(Address(checksum(at)), w.trade())


OWNABLE = "OwnableUnauthorizedAccount"
MODIFIER = (
    Attack("Roles.renounceOwnership", OWNABLE, direct(to_roles, named("renounceOwnership()"))),
    Attack("Roles.setAvatar", OWNABLE, direct(to_roles, named("setAvatar(address)", THIEF))),
    Attack("Roles.enableModule", OWNABLE, direct(to_roles, named("enableModule(address)", THIEF))),
    Attack("Roles.disableModule", OWNABLE, direct(to_roles, named("disableModule(address,address)", "0x" + "0" * 39 + "1", AGENT))),
    Attack("Roles.setDefaultRole", OWNABLE, direct(to_roles, named("setDefaultRole(address,bytes32)", AGENT, ROLE))),
    Attack("Roles.scopeTarget", OWNABLE, direct(to_roles, named("scopeTarget(bytes32,address)", ROLE, WETH))),
    Attack("Roles.allowTarget", OWNABLE, direct(to_roles, named("allowTarget(bytes32,address,uint8)", ROLE, WETH, 3))),
    Attack("Roles.setTransactionUnwrapper", OWNABLE, direct(to_roles, named("setTransactionUnwrapper(address,bytes4,address)", THIEF, bytes(32), THIEF))),
    Attack("Roles.setAllowance", OWNABLE, direct(to_roles, named("setAllowance(bytes32,uint128,uint128,uint128,uint64,uint64)", ROLE, MAX >> 128, MAX >> 128, 0, 0, 0))),
    Attack("Roles without naming the role", "NoMembership", direct(to_roles, lambda w: MODULE_DOOR + words(w.gate, 0, 4 * 32, 0) + tail(w.trade()))),
    Attack("the role used by the thief's own account", "NotAuthorized", lambda w: w.through(w.trade()), sender=THIEF),
    Attack("a Roles modifier of his own before the Gate", "NotTheAgent", _through_his_own(to_gate, lambda w: w.trade()), _own_roles(to_gate, to_gate)),
    Attack("a Roles modifier of his own before the Safe", "GS104", _through_his_own(to_safe, lambda w: MODULE_DOOR + words(USDC, 0, 4 * 32, 0) + tail(encode("erc20", "transfer", (THIEF, 1)))), _own_roles(to_safe, to_safe)),
    Attack("a Gate of his own for the same Safe", "NotTheAgent", _second_gate),
)  # fmt: skip


# ---------------------------------------------------------------------- ERC-4337
def _op(w: Gated, sender: str = "", call: bytes = b"", **fields: object) -> UserOperation:
    part = Part(USDC, 0, encode("erc20", "transfer", (THIEF, USDC_ONE)))
    op = UserOperation(
        Address(sender or w.safe),
        0,
        call or erc4337.executed(part),
        500_000,
        1_000_000,
        60_000,
        Fees(10**9, 10**9),
    )
    return replace(op, **fields)  # type: ignore[arg-type]


def _bundles(make: Callable[[Gated], UserOperation]) -> Callable[[Gated], Call]:
    return lambda w: handle_ops((make(w),), THIEF)


def _with_module(w: Gated) -> object:
    """The owners let their Safe take user operations; none of them signs one."""
    for part in erc4337.enabling(w.safe):
        w.owners_do(SafeTx(Address(part.to), 0, part.data, 0, w.nonce()))
    w.rpc("anvil_setBalance", w.safe, hex(ETH))
    return None


def _signed_op(
    w: Gated, keys: list[SigningKey], until: int = FOREVER, after: int = 0, chain_id: int = 1
) -> UserOperation:
    op, window = _op(w), erc4337.Window(until, after)
    digest = erc4337.safe_op_hash(chain_id, op, window)
    ordered = sorted(keys, key=lambda key: int(key.address, 16))
    return replace(op, signature=window.pack() + b"".join(key.sign(digest) for key in ordered))


def _stranger(w: Gated) -> UserOperation:
    return replace(_signed_op(w, OWNERS[:2]), nonce=7)


def _other_call(w: Gated) -> UserOperation:
    part = Part(WETH, 0, encode("erc20", "transfer", (THIEF, ETH)))
    return replace(_signed_op(w, OWNERS[:2]), call_data=erc4337.executed(part))


def _dearer(w: Gated) -> UserOperation:
    return replace(_signed_op(w, OWNERS[:2]), fees=Fees(10**12, 10**12))


USER_OPERATIONS = (
    Attack("an operation of the Safe, which takes none", "AA2", _bundles(lambda w: _op(w, signature=bytes(77))), sender=THIEF),
    Attack("an operation of the Gate", "AA2", _bundles(lambda w: _op(w, w.gate)), sender=THIEF),
    Attack("an operation of the Roles modifier", "AA2", _bundles(lambda w: _op(w, w.roles)), sender=THIEF),
    Attack("an operation of the agent's account, which has no code", "reverted", _bundles(lambda w: _op(w, AGENT)), sender=THIEF),
    Attack("the Safe as the paymaster of his operation", "AA", _bundles(lambda w: _op(w, w.gate, paymaster=Paymaster(w.safe, 10**5, 10**5))), sender=THIEF),
    Attack("the module's door, without the EntryPoint", "UnsupportedEntryPoint", direct(fixed(MODULE), lambda w: encode("safe_4337_module", "executeUserOp", (USDC, 0, encode("erc20", "transfer", (THIEF, 1)), 0)))),
    Attack("the same on a Safe with the module", "UnsupportedEntryPoint", direct(to_safe, lambda w: encode("safe_4337_module", "executeUserOp", (USDC, 0, encode("erc20", "transfer", (THIEF, 1)), 0))), _with_module),
    Attack("an operation signed by the agent", "AA24", _bundles(lambda w: _signed_op(w, [AGENT_KEY, SigningKey(keccak(b"thief"))])), _with_module, THIEF),
    Attack("an operation signed by one owner and the agent", "AA24", _bundles(lambda w: _signed_op(w, [OWNERS[0], AGENT_KEY])), _with_module, THIEF),
    Attack("an operation the owners signed, long ago", "AA22", _bundles(lambda w: _signed_op(w, OWNERS[:2], until=w.now() - 1)), _with_module, THIEF),
    Attack("an operation the owners signed, for later", "AA22", _bundles(lambda w: _signed_op(w, OWNERS[:2], after=w.now() + 900)), _with_module, THIEF),
    Attack("an operation the owners signed for another chain", "AA24", _bundles(lambda w: _signed_op(w, OWNERS[:2], chain_id=8453)), _with_module, THIEF),
    Attack("an operation the owners signed, at another nonce", "AA", _bundles(_stranger), _with_module, THIEF),
    Attack("an operation the owners signed, its call changed", "AA24", _bundles(_other_call), _with_module, THIEF),
    Attack("an operation the owners signed, its fees raised", "AA", _bundles(_dearer), _with_module, THIEF),
    Attack("an operation through the role", VIOLATES, role(fixed(ENTRY_POINT), lambda w: named("withdrawTo(address,uint256)", THIEF, 1)(w))),
    Attack("a deposit that is not his withdrawn", "Withdraw amount too large", direct(fixed(ENTRY_POINT), named("withdrawTo(address,uint256)", THIEF, ETH))),
)  # fmt: skip


# ---------------------------------------------------------------------- gas money
def _refuelled(w: Gated) -> object:
    return w.does(w.refuel(ETH // 20))


GAS_MONEY = (
    Attack("gas money twice", "OverGasBudget", lambda w: w.through(w.refuel(ETH // 20)), _refuelled),
    Attack("a day's gas money after six hours", "OverGasBudget", lambda w: w.through(w.refuel(ETH // 20)), lambda w: (_refuelled(w), w.later(6 * 3_600))),
    Attack("no gas money at all", "AmountOutOfRange", lambda w: w.through(w.refuel(0))),
    Attack("gas money beyond any number", "AmountOutOfRange", lambda w: w.through(w.refuel(2**96))),
    Attack("gas money with a deadline in the far future", "DeadlineTooFar", lambda w: w.through(encode("gate", "refuel", (ETH // 100, FOREVER)))),
    Attack("gas money after its deadline", "DeadlinePassed", lambda w: w.through(encode("gate", "refuel", (ETH // 100, w.now() - 1)))),
    Attack("gas money past the modifier", "NotTheAgent", direct(to_gate, lambda w: w.refuel(ETH // 100))),
    Attack("gas money by the thief's own account", "NotTheAgent", direct(to_gate, lambda w: w.refuel(ETH // 100)), sender=THIEF),
    Attack("gas money for another account", "NotTheSafe", direct(to_gate, lambda w: encode("gate", "setGas", ((THIEF, 2**95, WETH, 2**95, 2**95),)))),
    Attack("gas money of a frozen Gate", "IsFrozen", lambda w: w.through(w.refuel(ETH // 100)), lambda w: w.safe_calls(w.gate, "gate", "freeze")),
    Attack("ether pushed into the Gate", "UnexpectedEther", lambda w: Call(w.gate, b"", 1)),
)  # fmt: skip


# ---------------------------------------------------------------------- the swap itself
def _donated(w: Gated) -> object:
    """Money of the thief's own in the Gate, to be counted as proceeds."""
    rich_thief(w)
    as_thief(w, USDC, encode("erc20", "transfer", (w.gate, 10_000 * USDC_ONE)))
    return None


def _due_to_the_safe(w: Gated) -> object:
    """The same in the Safe, as if an order of its own were being settled."""
    rich_thief(w)
    as_thief(w, USDC, encode("erc20", "transfer", (w.safe, 10_000 * USDC_ONE)))
    return None


def _pool_of_dai(w: Gated) -> object:
    """WETH for DAI at a hundredth of its price, in a pool of the thief's own."""
    rich_thief(w)
    give_token(w.url, DAI, THIEF, 10**24)
    npm, at = artifact("NonfungiblePositionManager"), CHAINS[1].uniswap.v3_npm
    as_thief(w, DAI, encode("erc20", "approve", (at, MAX)))
    price = sqrt_price_x96("1", True)
    as_thief(w, at, npm.call("createAndInitializePoolIfNecessary", DAI, WETH, 10_000, price))
    as_thief(
        w, at, npm.call("mint", (DAI, WETH, 10_000, -887_200, 887_200, 10**21, 10**21, 0, 0, THIEF, FOREVER))
    )
    return None


def _moved_for_long(w: Gated) -> object:
    """The honest pool held down for the whole of its mean: what the second source says follows, and the first does not."""
    push_pool(w)
    as_thief(w, ROUTER02, w.single(300 * ETH, recipient=THIEF))
    w.later(3_600)
    return w.later(60)


def _path(fee: int) -> Callable[[Gated], bytes]:
    path = ur.v3_path([WETH, DAI, USDC], [fee, 500])
    return lambda w: encode(
        "swap_router_02",
        "exactInput",
        ({"path": path, "recipient": w.gate, "amountIn": ETH, "amountOutMinimum": 0},),
    )


def _unwrapped(w: Gated) -> list[ur.Command]:
    return [ur.Command("UNWRAP_WETH", {"recipient": THIEF, "amountMin": 0})]


def _transferred(w: Gated) -> list[ur.Command]:
    return [ur.Command("TRANSFER", {"token": WETH, "recipient": THIEF, "value": ETH})]


RECEIVED = "ReceivedBelowMinimum"
SWAPS = (
    Attack("to the thief, with money of his own lying in the Gate", RECEIVED, trade(data=lambda w: w.single(recipient=THIEF)), _donated),
    Attack("to the thief, with other money come to the Safe", RECEIVED, trade(data=lambda w: w.single(recipient=THIEF)), _due_to_the_safe),
    Attack("over a token and a pool of his own", "reverted", trade(data=_path(10_000)), _pool_of_dai),
    Attack("unwrapped to the thief", RECEIVED, trade(router=UNIVERSAL, data=routed(_unwrapped))),
    Attack("handed on to the thief", RECEIVED, trade(router=UNIVERSAL, data=routed(_transferred))),
    Attack("left in the router for the next one", RECEIVED, trade(router=UNIVERSAL, data=routed(lambda w: [v3(ur.ADDRESS_THIS)]))),
    Attack("nothing done at all", RECEIVED, trade(router=UNIVERSAL, data=routed(lambda w: []))),
    Attack("the pool held down for an hour", "SourcesDisagree", trade(minimumOut=1), _moved_for_long),
    Attack("a feed at the edge and the pool pushed", RECEIVED, trade(), lambda w: (w.prices("2985", "1.0025"), push_pool(w))),
    Attack("USDC's feed stale, ETH's fresh", "PriceStale", trade(minimumOut=1), lambda w: (w.later(86_500, fresh=False), w.prices_of_eth())),
    Attack("a feed that says nothing is worth anything", "Price", trade(minimumOut=1), lambda w: w.prices("0")),
    Attack("the price of one pool for a sale in another, reversed", "reverted", trade(data=lambda w: w.single(tokenIn=USDC, tokenOut=WETH))),
    Attack("the minimum of a smaller sale", "MinimumBelowFloor", trade(minimumOut=lambda w: w.floor(WETH, USDC, ETH // 2))),
    Attack("an amount above any balance", "AmountOutOfRange", trade(amountIn=2**128, minimumOut=1)),
    Attack("another's contract as the router", "RouteNotListed", trade(router=CHAINS[1].uniswap.v3_npm)),
    Attack("the Gate as its own router", "RouteNotListed", trade(router=to_gate, data=lambda w: w.trade())),
    Attack("the modifier as the router", "RouteNotListed", trade(router=to_roles, data=lambda w: w.trade())),
    Attack("V2's router, which is not listed", "RouteNotListed", trade(router=CHAINS[1].uniswap.v2_router)),
)  # fmt: skip


# ---------------------------------------------------------------------- odd bytes
def _set_word(inner: bytes, index: int, value: int | str) -> bytes:
    """The calldata with its word `index` (counted behind the selector) replaced."""
    at = 4 + 32 * index
    return inner[:at] + words(value) + inner[at + 32 :]


def _inner(make: Callable[[Gated], bytes]) -> Callable[[Gated], Call]:
    return lambda w: w.through(make(w))


def _exec(op: int, at: int = 0) -> Callable[[Gated], Call]:
    def made(w: Gated) -> Call:
        data = encode("zodiac_roles", "execTransactionWithRole", (w.gate, 0, w.trade(), 0, ROLE, True))
        return Call(w.roles, _set_word(data, at, op))

    return made


REVERTED = "reverted"
BYTES = (
    Attack("a tuple's offset beyond the end", REVERTED, _inner(lambda w: _set_word(w.trade(), 0, 2**40))),
    Attack("a tuple's offset that wraps around", REVERTED, _inner(lambda w: _set_word(w.trade(), 0, MAX))),
    Attack("the route's calldata beyond the end", REVERTED, _inner(lambda w: _set_word(w.trade(), 7, 2**40))),
    Attack("the route's calldata longer than it is", REVERTED, _inner(lambda w: _set_word(w.trade(), 8, 2**32))),
    Attack("dirty bits above the second token", REVERTED, _inner(lambda w: _set_word(w.trade(), 2, int(USDC, 16) + 2**160))),
    Attack("dirty bits above the router", REVERTED, _inner(lambda w: _set_word(w.trade(), 6, int(ROUTER02, 16) + 2**200))),
    Attack("dirty bits above a lending action", REVERTED, _inner(lambda w: _set_word(w.lend("supply", WETH, ETH), 0, 257))),
    Attack("dirty bits above a lending asset", REVERTED, _inner(lambda w: _set_word(w.lend("supply", WETH, ETH), 1, int(WETH, 16) + 2**255))),
    Attack("dirty bits above the recipient of a swap", REVERTED, trade(data=lambda w: _set_word(w.single(), 3, int(w.gate, 16) + 2**160))),
    Attack("a trade cut short", REVERTED, _inner(lambda w: w.trade()[:-64])),
    Attack("a refuel cut short", REVERTED, _inner(lambda w: w.refuel(1)[:36])),
    Attack("a selector alone", REVERTED, _inner(lambda w: w.trade()[:4])),
    Attack("no calldata at all", "ConditionViolation", _inner(lambda w: b"")),
    Attack("calldata shorter than a selector", "0x4684c122", _inner(lambda w: w.trade()[:3])),
    Attack("an operation that is neither call nor delegatecall", REVERTED, _exec(2, 3)),
    Attack("an operation with dirty bits", REVERTED, _exec(256, 3)),
    Attack("a target with dirty bits", REVERTED, lambda w: Call(w.roles, _set_word(_exec(0, 3)(w).data, 0, int(w.gate, 16) + 2**160))),
    Attack("the module door nested in the role", "ConditionViolation", _inner(lambda w: encode("gate", "execTransactionFromModule", (w.gate, 0, w.trade(), 0)))),
    Attack("a MultiSend as the inner call", "ConditionViolation", _inner(lambda w: encode("multi_send", "multiSend", (b"",)))),
    Attack("another's selector that ends like a trade", "ConditionViolation", _inner(lambda w: b"\x00" + w.trade()[1:])),
)  # fmt: skip
FAMILIES: dict[str, tuple[Attack, ...]] = {
    "signatures of the Safe": SAFE_SIGNATURES,
    "modifiers and Gates of his own": MODIFIER,
    "ERC-4337": USER_OPERATIONS,
    "gas money": GAS_MONEY,
    "the swap itself": SWAPS,
    "odd bytes": BYTES,
}
