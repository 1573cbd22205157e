"""Powers in plain words, decoded to the last argument: what a Gate, a Roles modifier or a debt token is told, before owners sign it. Pure.

What widens what others can do begins in capitals where nothing else bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from chains.types import ZERO_ADDRESS
from contracts import abi, codec
from contracts import leaves as lf
from contracts.decode_powers import DELAY_OWN, LENDING
from contracts.payments import ACTIONS, KINDS
from keys import sentences_delay
from keys.scope import ROLE
from keys.scope_words import LENDERS
from keys.sentences_conditions import conditions
from keys.sentences_words import Tokens, amount, ether, ilk, name, percent, span, usd_up, when

_OPTIONS = ("", ", ALSO SENDING ETHER ALONG", ", ALSO BY DELEGATECALL (as the Safe itself)", ", ALSO SENDING ETHER AND BY DELEGATECALL")  # fmt: skip
_NAMED = ("gate", "payments", "swap_router_02", "universal_router", "uniswap_v2_router", "balancer_v2_vault", "aave_v3_pool", "erc20", "weth9", "permit2", "safe")  # fmt: skip
Say = Callable[[Mapping[str, Any], Tokens], str]


def power(leaf: lf.Power, wallet: str, tokens: Tokens) -> str:
    """One sentence of one call that gives, changes or takes away a power."""
    args = dict(leaf.args)
    if leaf.contract == "aave_debt_token":
        return _credit(leaf.target, args, tokens)
    if leaf.contract == "zodiac_delay":
        said = sentences_delay.SAY[leaf.function](args)
    else:
        said = {"gate": _GATE, "payments": _PAYMENTS}.get(leaf.contract, _ROLES)[leaf.function](args, tokens)
    return f"{leaf.target}: {said}" if said.endswith(":") else f"{leaf.target}: {said}."


def deployment(leaf: lf.Deployment, wallet: str) -> str:
    args = dict(leaf.args)
    if leaf.what == "gate":
        whose = "this wallet" if args["safe"] == wallet else f"SOMEBODY ELSE ({args['safe']})"
        return f"Creates {leaf.address}, the Gate of {whose}: Fairlead's unaudited code, by the hash that is recorded of it."
    if leaf.what == "offers":
        return f"Creates {leaf.address}, which holds the orders for others to settle of the Gate {args['gate']}: Fairlead's unaudited code, by the hash that is recorded of it."
    if leaf.what == "zodiac_roles":
        own = "this wallet" if args["owner"] == wallet else f"SOMEBODY ELSE ({args['owner']})"
        acts = "" if args["avatar"] == args["owner"] else f", acting for SOMEBODY ELSE ({args['avatar']})"
        return f"Creates {leaf.address}, a Zodiac Roles modifier owned by {own}{acts}; all that it can reach is {args['target']}."
    if leaf.what == "zodiac_delay":
        own = "this wallet" if args["owner"] == wallet else f"SOMEBODY ELSE ({args['owner']})"
        acts = "this wallet" if args["target"] == wallet else f"ANOTHER ({args['target']})"
        ends = f", and expires {span(int(args['expiration']))} later" if int(args["expiration"]) else ""
        return f"Creates {leaf.address}, a Zodiac Delay owned by {own}, acting for {acts}: what is queued in it waits {span(int(args['cooldown']))}{ends}."
    return f"CREATES A CONTRACT UNKNOWN HERE at {leaf.address}."


def payments(leaf: lf.PaymentsCreated, tokens: Tokens) -> str:
    """A Payments contract and every rule of it: they can never be changed."""
    does = {bit: word for word, bit in ACTIONS.items()}
    where = {KINDS[kind]: words for kind, words in LENDERS.items()}
    said = []
    for number, rule in enumerate(leaf.rules):
        lender, market = rule["lender"], f" market 0x{rule['market'].hex()}" if any(rule["market"]) else ""
        if rule["kind"] == KINDS["maker"]:
            market = f", the {ilk(rule['market'])} vault {rule['account']}, whose fee {rule['fees']} accrues"
        elif "account" in rule:
            market = f", counted by its token {rule['account']}"
        once = amount(rule["burst"], rule["asset"], tokens)
        day = amount(rule["ratePerDay"], rule["asset"], tokens)
        said.append(
            f"({number}) {does.get(rule['action'], 'DOES WHAT IS UNKNOWN HERE')} {name(rule['asset'], tokens)} at {where.get(rule['kind'], 'A LENDER UNKNOWN HERE')} "
            f"{lender}{market}, at most {once} at once, and {day} a day come back to that"
        )
    vaults = any(rule["kind"] == KINDS["maker"] for rule in leaf.rules)
    own = "on that Safe's own account" + (" but at Maker, where the rules name the vaults," if vaults else "")
    held = (
        " WHOSE A VAULT AT MAKER IS, NOTHING HERE TELLS: whoever holds it takes out what is paid into it; compare each with the Safe's own."
        if vaults
        else ""
    )
    return (
        f"Creates {leaf.address}, which pays into loans of the Safe of the Gate {leaf.gate}, {own} and by these rules alone, for good: "
        f"{'; '.join(said)}.{held} Each lender is taken at its word: compare its address with its publisher's. Fairlead's unaudited code, by the hash that is recorded of it."
    )


def verb(leaf: lf.Leaf, tokens: Tokens) -> str:
    """What is done by a power that was given before."""
    x: Any = leaf
    match leaf:
        case lf.RoleExecution():
            return f"Under the role {role(x.role)} {x.target} calls {x.to}:"
        case lf.GateTrade():
            paid, got = amount(x.amount_in, x.token_in, tokens), amount(x.minimum_out, x.token_out, tokens)
            return f"{x.target} gives {x.router} {paid} for at least {got}, not after {when(x.deadline)}:"
        case lf.GateLend():
            return f"{x.target}: {x.action.lower()} {amount(x.amount, x.token, tokens)} on its Safe's lending account, not after {when(x.deadline)}."
        case lf.LoanPayment():
            return f"{x.target} pays {x.amount} base units by its rule {x.rule} into its Safe's own loan, not after {when(x.deadline)}."
        case lf.GateRefuel():
            return f"{x.target} turns {ether(x.amount)} of its Safe's WETH into gas money of the agent, not after {when(x.deadline)}."
    return "And what came of it the Gate pays to its Safe."


def offer(leaf: lf.GateOffer | lf.OfferEnd, tokens: Tokens) -> str:
    """An order for others to settle, made or ended at a Gate or its Offers contract."""
    if isinstance(leaf, lf.OfferEnd):
        until = f", not after {when(leaf.deadline)}" if leaf.deadline is not None else ""
        return f"{leaf.target} ends the order that sells {name(leaf.token, tokens)}{until}; what is left of it goes back to the Safe."
    gives = amount(leaf.sell_raw, leaf.sell_token, tokens)
    takes = amount(leaf.buy_raw, leaf.buy_token, tokens)
    deal = f"buys exactly {takes} for at most {gives}" if leaf.buys else f"sells {gives} for at least {takes}"
    parts = "in parts or as a whole" if leaf.partially_fillable else "as a whole or not at all"
    return f"{leaf.target} opens an order that others settle: it {deal}, {parts}, paid to its Safe, not after {when(leaf.valid_to)}."


def role(key: bytes) -> str:
    """A role's 32-byte key as people know it: Fairlead's own, a word in ASCII, or hex."""
    if key == ROLE:
        return "of Fairlead's agent"
    word = key.rstrip(b"\0")
    if word and all(0x21 <= c < 0x7F for c in word):
        return f"'{word.decode()}'"
    return f"0x{key.hex()}"


def function(four: bytes) -> str:
    """A function's name by its selector, as the audited interfaces here have it, with the selector itself: that is what counts."""
    for contract in _NAMED:
        if four in (found := codec.interface(contract).by_selector):
            return f"{found[four].name} (0x{four.hex()})"
    return f"the function 0x{four.hex()}"


assert set(_NAMED) <= set(abi.names())


def _credit(token: str, a: Mapping[str, Any], tokens: Tokens) -> str:
    if not a["amount"]:
        return (
            f"Takes back what {a['delegatee']} may borrow of {name(token, tokens)} on this wallet's account."
        )
    much = amount(a["amount"], token, tokens)
    return f"LETS {a['delegatee']} BORROW ON THIS WALLET'S ACCOUNT, {much} of debt in all."


# ------------------------------------------------------------------ the Gate


def _limits(a: Mapping[str, Any], tokens: Tokens) -> str:
    n = a["n"]
    health = (Decimal(n["healthFloor"]) / 10**18).normalize()
    return (
        f"at most {usd_up(n['burst'])} pass at once, and {usd_up(n['ratePerDay'])} a day come back to that; a trade may bring "
        f"{percent(n['slackBps'])} less than the worse of two prices, which may differ by {percent(n['divergenceBps'])}; deadlines are at most "
        f"{span(n['deadlineSeconds'])} away; it all lapses {span(n['termSeconds'])} after a renewal; health stays at {health:f} or above"
    )


def _token(a: Mapping[str, Any], tokens: Tokens) -> str:
    if a["feed"] == ZERO_ADDRESS:
        return f"{name(a['token'], tokens)} is no longer traded"
    token = f"{name(a['token'], tokens)} ({a['token']})" if a["token"] in tokens else a["token"]
    return f"{token} may be traded, at the dollar price of the feed {a['feed']} while that is at most {span(a['maxAge'])} old"


def _pair(a: Mapping[str, Any], tokens: Tokens) -> str:
    both = f"{name(a['tokenA'], tokens)} and {name(a['tokenB'], tokens)}"
    if a["source"] == ZERO_ADDRESS:
        return f"{both} are no longer exchanged for each other"
    mean = f"the mean of {span(a['window'])} of the pool {a['source']}"
    feed = f"the feed {a['source']} while that is at most {span(a['maxAge'])} old"
    return f"{both} may be exchanged for each other, at a second price by {mean if a['window'] else feed}"


def _route(a: Mapping[str, Any], tokens: Tokens) -> str:
    called = f"{function(a['selector'])} of {a['router']}"
    paid = {0: "", 1: "by an exact approval that it takes back", 2: "by paying it beforehand"}
    if a["mode"] not in paid:
        return f"{called} may be called in a MODE {a['mode']} THAT DOES NOT EXIST"
    return f"trades may use {called}, paid {paid[a['mode']]}" if a["mode"] else f"{called} is no longer used"


def _reserve(a: Mapping[str, Any], tokens: Tokens) -> str:
    actions = [word.lower() for bit, word in LENDING.items() if a["actions"] & bit]
    asset = name(a["asset"], tokens)
    if not actions:
        return f"{asset} is no longer lent or borrowed"
    return f"the agent may {' and '.join(actions)} {asset} on this wallet's lending account (held as {a['aToken']}, owed as {a['debtToken']})"


def _gas(a: Mapping[str, Any], tokens: Tokens) -> str:
    n = a["n"]
    if not (n["burst"] or n["ratePerDay"]):
        return "no gas money is paid"
    return (
        f"{ether(n['burst'])} at once and {ether(n['ratePerDay'])} a day of {name(n['weth'], tokens)} may become gas money of {n['account']}, "
        f"while that holds less than {ether(n['floatCap'])}"
    )


def _sequencer(a: Mapping[str, Any], tokens: Tokens) -> str:
    if a["feed"] == ZERO_ADDRESS:
        return "NOBODY IS ASKED whether the chain's sequencer is up"
    return f"no price is believed while {a['feed']} says the chain's sequencer is down, nor {span(a['grace'])} after"


def _agent(a: Mapping[str, Any], tokens: Tokens) -> str:
    if a["agent_"] == ZERO_ADDRESS:
        return "nobody may trade through it any more"
    return f"{a['agent_']} may trade through it, within what else is set"


_GATE: Mapping[str, Say] = {
    "seal": lambda a, t: (
        f"seals itself: from then on anything more has to wait {span(a['delay_'])}, and any one owner can cancel it meanwhile"
    ),
    "queue": lambda a, t: (
        "has the following wait for its delay, after which any one owner can carry it out or cancel it:"
    ),
    "run": lambda a, t: "carries out what has waited long enough:",
    "cancel": lambda a, t: f"drops what waits under 0x{a['id'].hex()}",
    "freeze": lambda a, t: "is frozen: the agent can do nothing, and all that waits is dropped",
    "unfreeze": lambda a, t: "STARTS THE AGENT AGAIN after a freeze",
    "renew": lambda a, t: "gives the agent another term",
    "setAgent": _agent,
    "setLimits": _limits,
    "setToken": _token,
    "setPair": _pair,
    "setRoute": _route,
    "setLendingPool": lambda a, t: f"its lending pool is {a['pool']}, for good",
    "setReserve": _reserve,
    "setGas": _gas,
    "setSequencer": _sequencer,
    "setOffers": lambda a, t: (
        "makes no orders for others to settle any more, and those that are open die"
        if a["to"] == ZERO_ADDRESS
        else f"what may be traded may also be offered to others to settle, by {a['to']}"
    ),
}

_PAYMENTS: Mapping[str, Say] = {
    "open": lambda a, t: (
        f"{a['agent_']} may pay by its rules, at once while its Gate is not sealed, else after the Gate's delay"
    ),
    "close": lambda a, t: "pays nothing any more",
}

# ------------------------------------------------------------------ Zodiac Roles v2


def _options(a: Mapping[str, Any]) -> str:
    return (
        _OPTIONS[a["options"]]
        if a["options"] < len(_OPTIONS)
        else f", WITH OPTIONS {a['options']} UNKNOWN HERE"
    )


def _assign(a: Mapping[str, Any], tokens: Tokens) -> str:
    if len(a["roleKeys"]) != len(a["memberOf"]) or not a["roleKeys"]:
        return f"is told roles of {a['module']} THAT DO NOT FIT TOGETHER"
    both = zip(a["roleKeys"], a["memberOf"], strict=True)
    said = [f"{'gets' if member else 'loses'} the role {role(key)}" for key, member in both]
    return f"the account {a['module']} {' and '.join(said)}"


def _allowance(a: Mapping[str, Any], tokens: Tokens) -> str:
    again = f"{a['refill']} more every {span(a['period'])}, up to {a['maxRefill']}"
    since = f", counted from {when(a['timestamp'])}" if a["timestamp"] else ""
    more = f", and {again}{since}" if a["period"] else ", and no more"
    return f"the allowance {role(a['key'])} is {a['balance']} (base units, wei or calls, as its conditions say){more}"


def _unwrapper(a: Mapping[str, Any], tokens: Tokens) -> str:
    called = f"{function(a['selector'])} of {a['to']}"
    if a["adapter"] == ZERO_ADDRESS:
        return f"{called} is no longer unpacked"
    return f"calls of {called} are unpacked by {a['adapter']}, WHICH DECIDES WHAT THE ROLES SEE OF THEM"


_ROLES: Mapping[str, Say] = {
    "assignRoles": _assign,
    "setDefaultRole": lambda a, t: (
        f"where {a['module']} names no role, it acts under the role {role(a['roleKey'])}"
    ),
    "scopeTarget": lambda a, t: (
        f"the role {role(a['roleKey'])} may call {a['targetAddress']}, in the functions that are listed one by one"
    ),
    "revokeTarget": lambda a, t: (
        f"the role {role(a['roleKey'])} may no longer call {a['targetAddress']} at all"
    ),
    "allowTarget": lambda a, t: (
        f"the role {role(a['roleKey'])} MAY CALL EVERY FUNCTION of {a['targetAddress']}{_options(a)}"
    ),
    "allowFunction": lambda a, t: (
        f"the role {role(a['roleKey'])} may call {function(a['selector'])} of {a['targetAddress']}, with any arguments{_options(a)}"
    ),
    "scopeFunction": lambda a, t: (
        f"the role {role(a['roleKey'])} may call {function(a['selector'])} of {a['targetAddress']}{_options(a)}, only where {conditions(a['conditions'], role)}"
    ),
    "revokeFunction": lambda a, t: (
        f"the role {role(a['roleKey'])} may no longer call {function(a['selector'])} of {a['targetAddress']}"
    ),
    "setAllowance": _allowance,
    "setTransactionUnwrapper": _unwrapper,
    "enableModule": lambda a, t: f"the account {a['module']} becomes a member, and may do what its roles say",
    "disableModule": lambda a, t: f"the account {a['module']} is no longer a member",
    "setAvatar": lambda a, t: f"ACTS FOR ANOTHER WALLET from then on: {a['avatar']}",
    "setTarget": lambda a, t: f"PASSES ITS CALLS ON TO ANOTHER CONTRACT from then on: {a['target']}",
    "transferOwnership": lambda a, t: f"BELONGS TO {a['newOwner']} from then on, who alone changes its roles",
    "renounceOwnership": lambda a, t: "BELONGS TO NOBODY from then on: its roles can never be changed again",
}

SAID: Mapping[str, frozenset[str]] = {
    "gate": frozenset(_GATE),
    "payments": frozenset(_PAYMENTS),
    "zodiac_roles": frozenset(_ROLES),
    "zodiac_delay": DELAY_OWN & frozenset(sentences_delay.SAY),
    "aave_debt_token": frozenset({"approveDelegation"}),
}
"""By interface: the functions there are sentences for."""
