"""Attacks with the agent's key on Safe, Roles modifier and Gate, each with the rule that has to refuse it."""

from __future__ import annotations

from agent.app.chaos.custody.attack import (
    DAI,
    FOREVER,
    MAX,
    Attack,
    again,
    data,
    direct,
    dirty,
    fixed,
    leveraged,
    own_pool,
    push_pool,
    replayed,
    role,
    routed,
    spent,
    to_gate,
    to_roles,
    to_safe,
    trade,
    unsigned_safe_tx,
    v3,
)  # fmt: skip
from agent.app.chaos.custody.world import (
    A_WETH,
    AGENT,
    DEBT_WETH,
    ETH,
    MULTI_SEND,
    POOL,
    THIEF,
    UNIVERSAL,
    USDC,
    USDC_ONE,
    WETH,
)  # fmt: skip
from chains.devnet.addresses import PERMIT2
from chains.types import Call
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.gate import FACTORY
from contracts.hashing import keccak
from contracts.multisend import Part, calldata
from keys.scope import ROLE

ROUND = (
    Attack("WETH.transfer as the Safe", "ConditionViolation", role(fixed(WETH), data("erc20", "transfer", THIEF, ETH))),
    Attack("WETH.approve as the Safe", "ConditionViolation", role(fixed(WETH), data("erc20", "approve", THIEF, MAX))),
    Attack("WETH.transferFrom the Safe", "reverted", direct(fixed(WETH), data("erc20", "transferFrom", to_safe, THIEF, ETH))),
    Attack("USDC.transferFrom the Safe", "exceeds allowance", direct(fixed(USDC), data("erc20", "transferFrom", to_safe, THIEF, 1))),
    Attack("ether sent to the thief", "ConditionViolation", role(fixed(THIEF), lambda w: b"", value=1)),
    Attack("delegatecall to a contract of his", "ConditionViolation", role(fixed(MULTI_SEND), data("multi_send", "multiSend", b""), op=1)),
    Attack("delegatecall to the Gate", "ConditionViolation", role(to_gate, lambda w: w.trade(), op=1)),
    Attack("ether along with a trade", "ConditionViolation", role(to_gate, lambda w: w.trade(), value=1)),
    Attack(
        "a MultiSend around it", "ConditionViolation",
        role(fixed(MULTI_SEND), lambda w: calldata([Part(WETH, 0, encode("erc20", "transfer", (THIEF, ETH)))])),
    ),
    Attack("Safe.enableModule", "ConditionViolation", role(to_safe, data("safe", "enableModule", THIEF))),
    Attack("Safe.enableModule directly", "GS031", direct(to_safe, data("safe", "enableModule", THIEF))),
    Attack("Safe.addOwnerWithThreshold", "ConditionViolation", role(to_safe, data("safe", "addOwnerWithThreshold", THIEF, 1))),
    Attack("Safe.setGuard", "ConditionViolation", role(to_safe, data("safe", "setGuard", THIEF))),
    Attack("Safe.setFallbackHandler", "ConditionViolation", role(to_safe, data("safe", "setFallbackHandler", THIEF))),
    Attack("Safe.execTransaction with his own word as signatures", "GS026", direct(to_safe, unsigned_safe_tx)),
    Attack("the owners' batch once more", "GS026", direct(to_safe, replayed)),
    Attack(
        "Safe.execTransactionFromModule", "GS104",
        direct(to_safe, lambda w: keccak(b"execTransactionFromModule(address,uint256,bytes,uint8)")[:4] + bytes(128) + bytes(32)),
    ),
)  # fmt: skip

MODIFIER = (
    Attack("Roles.transferOwnership", "OwnableUnauthorizedAccount", direct(to_roles, lambda w: keccak(b"transferOwnership(address)")[:4] + bytes(12) + bytes.fromhex(THIEF[2:]))),
    Attack("Roles.setTarget to the Safe", "OwnableUnauthorizedAccount", direct(to_roles, lambda w: keccak(b"setTarget(address)")[:4] + bytes(12) + bytes.fromhex(w.safe[2:]))),
    Attack("Roles.assignRoles to another", "OwnableUnauthorizedAccount", direct(to_roles, data("zodiac_roles", "assignRoles", THIEF, (ROLE,), (True,)))),
    Attack("Roles.allowFunction more", "OwnableUnauthorizedAccount", direct(to_roles, data("zodiac_roles", "allowFunction", ROLE, WETH, b"\xa9\x05\x9c\xbb", 3))),
    Attack("Roles.setUp again", "InvalidInitialization", direct(to_roles, data("zodiac_roles", "setUp", bytes(96)))),
    Attack("a role that is not his", "NoMembership", lambda w: Call(w.roles, encode("zodiac_roles", "execTransactionWithRole", (w.gate, 0, w.trade(), 0, bytes(32), True)))),
)  # fmt: skip

SETTINGS = (
    Attack("the Gate past its modifier", "NotTheAgent", direct(to_gate, lambda w: w.trade())),
    Attack("the Gate's module door past its modifier", "NotTheAgent", direct(to_gate, lambda w: encode("gate", "execTransactionFromModule", (w.gate, 0, w.trade(), 0)))),
    Attack("Gate.setAgent through the role", "ConditionViolation", role(to_gate, data("gate", "setAgent", THIEF))),
    Attack("Gate.setAgent directly", "NotTheSafe", direct(to_gate, data("gate", "setAgent", THIEF))),
    Attack("Gate.setRoute to a token", "NotTheSafe", direct(to_gate, data("gate", "setRoute", WETH, b"\xa9\x05\x9c\xbb", 1))),
    Attack("Gate.setLimits", "NotTheSafe", direct(to_gate, lambda w: encode("gate", "setLimits", ({"burst": 2**127, "ratePerDay": 2**127, "slackBps": 1000, "divergenceBps": 1000, "deadlineSeconds": 3600, "termSeconds": 7_776_000, "healthFloor": 2 * 10**18},)))),
    Attack("Gate.renew", "NotTheSafe", direct(to_gate, data("gate", "renew"))),
    Attack("Gate.queue", "NotTheSafe", direct(to_gate, data("gate", "queue", b"\x00" * 4))),
    Attack("Gate.run", "NotAnOwner", direct(to_gate, data("gate", "run", b"\x00" * 4))),
    Attack("Gate.seal again", "NotTheSafe", direct(to_gate, data("gate", "seal", 3_600))),
    Attack("a second Gate of the Safe", "reverted", direct(fixed(FACTORY), lambda w: again(w))),
)  # fmt: skip

TRADES = (
    Attack("recipient: the thief", "ReceivedBelowMinimum", trade(data=lambda w: w.single(recipient=THIEF))),
    Attack("recipient: the agent", "ReceivedBelowMinimum", trade(data=lambda w: w.single(recipient=AGENT))),
    Attack("recipient: the Safe itself, so that other money might count", "ReceivedBelowMinimum", trade(data=lambda w: w.single(recipient=w.safe))),
    Attack("recipient: a thief behind the Universal Router", "ReceivedBelowMinimum", trade(router=UNIVERSAL, data=routed(lambda w: [v3(THIEF)]))),
    Attack("swept to the thief after an honest swap", "ReceivedBelowMinimum", trade(router=UNIVERSAL, data=routed(lambda w: [v3(ur.ADDRESS_THIS), ur.Command("SWEEP", {"token": USDC, "recipient": THIEF, "amountMin": 0})]))),
    Attack("a tenth to the thief", "ReceivedBelowMinimum", trade(router=UNIVERSAL, data=routed(lambda w: [v3(ur.ADDRESS_THIS), ur.Command("PAY_PORTION", {"token": USDC, "recipient": THIEF, "bips": 1000}), ur.Command("SWEEP", {"token": USDC, "recipient": ur.MSG_SENDER, "amountMin": 0})]))),
    Attack("the tokens only pushed, nothing bought", "ReceivedBelowMinimum", trade(router=UNIVERSAL, data=routed(lambda w: [ur.Command("SWEEP", {"token": WETH, "recipient": THIEF, "amountMin": 0})]))),
    Attack("pulled out of the Gate by Permit2", "AllowanceExpired", trade(router=UNIVERSAL, data=routed(lambda w: [v3(THIEF, payer=True)]))),
    Attack("a zero minimum", "MinimumBelowFloor", trade(minimumOut=0)),
    Attack("a minimum one unit below the floor", "MinimumBelowFloor", trade(minimumOut=lambda w: w.floor(WETH, USDC, ETH) - 1)),
    Attack("his own pool, at half the price", "ReceivedBelowMinimum", trade(data=lambda w: w.single(fee=10_000)), lambda w: own_pool(w)),
    Attack("the pool moved before the trade", "ReceivedBelowMinimum", trade(), lambda w: push_pool(w)),
    Attack("an unlisted token bought", "TokenNotListed", trade(tokenOut=DAI, minimumOut=1)),
    Attack("an unlisted token sold", "TokenNotListed", trade(tokenIn=DAI, minimumOut=1)),
    Attack("the aToken sold", "TokenNotListed", trade(tokenIn=A_WETH, minimumOut=1)),
    Attack("a token for itself", "PairNotListed", trade(tokenOut=WETH, minimumOut=1)),
    Attack("a router of his own", "RouteNotListed", trade(router=THIEF)),
    Attack("the token as the router", "RouteNotListed", trade(router=WETH, data=data("erc20", "transfer", THIEF, ETH))),
    Attack("Permit2 as the router", "RouteNotListed", trade(router=PERMIT2, data=data("permit2", "approve", WETH, THIEF, 2**160 - 1, FOREVER))),
    Attack("the lending pool as the router", "RouteNotListed", trade(router=POOL, data=data("aave_v3_pool", "borrow", USDC, 10**9, 2, 0, to_safe))),
    Attack("the Safe as the router", "RouteNotListed", trade(router=to_safe, data=data("safe", "enableModule", THIEF))),
    Attack("an unlisted function of a listed router", "RouteNotListed", trade(data=lambda w: encode("swap_router_02", "multicall", (FOREVER, (w.single(),))))),
    Attack("calldata of three bytes", "RouteNotListed", trade(data=b"\x04\xe4\x5a")),
    Attack("more than the budget at once", "OverBudget", trade(amount=11 * ETH)),
    Attack("the rest of the budget and a little", "OverBudget", trade(amount=2 * ETH), spent),
    Attack("less taken than approved, the rest left for later", "ReceivedBelowMinimum", trade(data=lambda w: w.single(ETH // 2))),
    Attack("more than the Gate was given", "STF", trade(data=lambda w: w.single(2 * ETH))),
    Attack("an expired deadline", "DeadlinePassed", trade(deadline=lambda w: w.now() - 1)),
    Attack("a deadline in the far future", "DeadlineTooFar", trade(deadline=FOREVER)),
    Attack("an amount of nothing", "AmountOutOfRange", trade(amountIn=0, minimumOut=0)),
    Attack("a stale oracle", "PriceStale", trade(minimumOut=1), lambda w: w.later(3_700, fresh=False)),
    Attack("an oracle that fell by a tenth", "SourcesDisagree", trade(minimumOut=1), lambda w: w.prices("2700")),
    Attack("a price from before the sequencer went down", "SequencerDown", trade(minimumOut=1), lambda w: w.sequencer(down=True)),
    Attack("the first prices after it came back", "SequencerDown", trade(minimumOut=1), lambda w: (w.sequencer(down=True), w.sequencer(down=False))),
    Attack("dirty bits above an address", "reverted", lambda w: w.through(dirty(w.trade()))),
)  # fmt: skip

LENDING = (
    Attack("collateral withdrawn to below the owners' floor", "HealthLowered", lambda w: w.through(w.lend("withdraw", WETH, 5 * ETH)), lambda w: (leveraged(w), w.later(40_000))),
    Attack("borrowed to below the owners' floor", "HealthLowered", lambda w: w.through(w.lend("borrow", USDC, 9_900 * USDC_ONE)), lambda w: (leveraged(w), w.later(40_000))),
    Attack("collateral withdrawn beyond the budget", "OverBudget", lambda w: w.through(w.lend("withdraw", WETH, 3 * ETH)), leveraged),
    Attack("two lending actions in one", "ReserveNotListed", lambda w: w.through(encode("gate", "lend", (6, WETH, ETH, w.now())))),
    Attack("a reserve that is not listed", "ReserveNotListed", lambda w: w.through(encode("gate", "lend", (1, DAI, ETH, w.now())))),
    Attack("credit delegated to the thief", "ConditionViolation", role(fixed(DEBT_WETH), data("aave_debt_token", "approveDelegation", THIEF, MAX))),
    Attack("borrowed on the Safe's account", "panic", direct(fixed(POOL), data("aave_v3_pool", "borrow", USDC, 10**6, 2, 0, to_safe)), leveraged),
    Attack("withdrawn from the Safe's account", "32", direct(fixed(POOL), data("aave_v3_pool", "withdraw", WETH, ETH, THIEF)), leveraged),
    Attack("the aTokens taken", "panic", direct(fixed(A_WETH), data("erc20", "transferFrom", to_safe, THIEF, ETH)), leveraged),
    Attack("eMode switched on the Safe's account", "ConditionViolation", role(fixed(POOL), data("aave_v3_pool", "setUserEMode", 1))),
    Attack("collateral switched off", "ConditionViolation", role(fixed(POOL), data("aave_v3_pool", "setUserUseReserveAsCollateral", WETH, False)), leveraged),
    Attack("more gas money than a day's", "OverGasBudget", lambda w: w.through(w.refuel(ETH // 15))),
    Attack("gas money on a full account", "FloatFull", lambda w: w.through(w.refuel(ETH // 20)), lambda w: w.rpc("anvil_setBalance", AGENT, hex(ETH // 5))),
    Attack("after the term", "Lapsed", trade(), lambda w: w.later(7 * 86_400 + 1)),
    Attack("after the freeze", "IsFrozen", trade(), lambda w: w.safe_calls(w.gate, "gate", "freeze")),
    Attack("after his membership ended", "NoMembership", trade(), lambda w: w.safe_calls(w.roles, "zodiac_roles", "assignRoles", AGENT, (ROLE,), (False,))),
    Attack("after the Safe took its allowance back", "TokenCallFailed", trade(), lambda w: w.safe_calls(WETH, "erc20", "approve", w.gate, 0)),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {
    "round the Gate": ROUND,
    "the Roles modifier": MODIFIER,
    "the Gate's settings": SETTINGS,
    "a trade that is none": TRADES,
    "lending and gas": LENDING,
}
