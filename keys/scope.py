"""The agent's permissions, one typed set: what the owners grant, and the Safe transaction that grants exactly that. Pure.

    Scope ── batch ──> the calls the owners sign       (`batch`, `safe_tx`)
          ├─ sentences    keys.scope_words             every power in plain words
          ├─ readings     keys.scope_state             what has to be on chain afterwards; the difference to what is
          └─ bound        keys.scope_bound             what a thief of the agent's key can take, in dollars

The road of a trade: agent's key → Roles v2 (`execTransactionWithRole`) → Gate (`execTransactionFromModule`) → router. Neither
is a module of the Safe. The Roles modifier's target is the Gate, so a call passes both or nothing; the Gate holds ERC-20
allowances and no other power (why: contracts/src/Gate.sol). The batch makes, in this order: Gate by CREATE2, its settings, Roles
v2 by Zodiac's module factory, the role, the first term, what pays into loans (`keys.scope_payments`), the seal, and last the
allowances, so that nothing is lent to an unfinished Gate. All of it is one Safe transaction: it happens whole or not at all.

Anybody may create a Safe's Gate or Roles proxy before the owners do, since both addresses follow from what is public; that gives
him nothing, because only the Safe can configure them. `batch` then leaves the creation out (`standing`).

Units: `_raw` base units, `_wei` wei, `_bps` 1e-4, `_s` seconds, `_usd` dollars as Decimal. Errors: Usage SCOPE_INVALID.
Sources: Zodiac Roles v2 and ModuleProxyFactory by their published ABIs and addresses; EIP-1014; EIP-1167; Aave V3.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address, Call
from contracts import decode_powers, gate, offers
from contracts.abi_types import AbiError, Value
from contracts.codec import encode, selector
from contracts.hashing import address_bytes, keccak, to_checksum
from contracts.multisend import Part, calldata
from contracts.payments import FIRST, FORMS, FURTHER
from keys import scope_payments
from keys.safe import DELEGATECALL, SafeTx
from keys.scope_payments import Payer, PaymentRule

ROLE = keccak(b"fairlead.agent.1")
ROLES_MASTERCOPY = Address(decode_powers.ROLES_MASTERCOPY)
MODULE_FACTORY = Address(decode_powers.MODULE_FACTORY)
MODES = {"approve": 1, "push": 2}
ACTIONS = {"supply": 1, "withdraw": 2, "borrow": 4, "repay": 8}
USD = 10**18
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class TokenRule:
    """A token the agent may trade. `feed` answers USD; `feed_error_bps` is how far its publisher lets it lag (its deviation
    threshold). `allowance_raw` is what the Gate may ever take of it before the owners allow more."""

    address: Address
    symbol: str
    decimals: int
    feed: Address
    feed_decimals: int
    max_age_s: int
    feed_error_bps: int
    allowance_raw: int


@dataclass(frozen=True, slots=True)
class PairRule:
    """Two listed tokens and their second source: a Uniswap V3 pool of the two (`window_s` > 0), or a feed that tells the
    price of the lower address in the higher (`window_s` 0, with its `max_age_s` and `decimals`)."""

    token_a: Address
    token_b: Address
    source: Address
    window_s: int
    max_age_s: int = 0
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One function of one audited router: `contract` names its interface in contracts/abi, `mode` is approve or push."""

    router: Address
    contract: str
    function: str
    mode: str = "approve"

    @property
    def selector(self) -> bytes:
        return selector(self.contract, self.function)


@dataclass(frozen=True, slots=True)
class ReserveRule:
    """What may be done with `asset` at Aave V3. The two allowances are the ceilings of all withdrawing and all borrowing."""

    asset: Address
    a_token: Address
    debt_token: Address
    actions: tuple[str, ...]
    withdraw_raw: int = 0
    borrow_raw: int = 0

    @property
    def bits(self) -> int:
        return sum(ACTIONS[action] for action in set(self.actions))


@dataclass(frozen=True, slots=True)
class GasRule:
    """Gas money for the agent's account out of the Safe's WETH: at most `burst_wei` + `per_day_wei` × T in T days,
    and only while the account holds less than `float_cap_wei`."""

    account: Address
    weth: Address
    burst_wei: int
    per_day_wei: int
    float_cap_wei: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything the agent may do, on one chain. In any 24 hours `per_day_usd` passes, of it `burst_usd` at once.

    `slack_bps`: what a trade may bring less than the worse of two sources. `divergence_bps`: how far these may differ.
    `term_s`: after how long without renewal all of it lapses. `delay_s`: how long a widening waits.
    `gas_float_wei`: what the owners leave on the agent's account themselves. `offers`: where it may also offer what it trades to
    others to settle, the creation code of the contract that holds such orders (contracts/src/Offers.sol); empty where it may not.
    `payments`: what it may pay into the Safe's loans beside the lending pool, and the creation code of the contracts that do.
    """

    chain_id: int
    safe: Address
    agent: Address
    tokens: tuple[TokenRule, ...]
    pairs: tuple[PairRule, ...]
    routes: tuple[RouteRule, ...]
    per_day_usd: Decimal
    burst_usd: Decimal
    slack_bps: int
    divergence_bps: int
    deadline_s: int
    term_s: int
    delay_s: int
    health_floor: Decimal = Decimal("1.5")
    lending_pool: Address = ZERO_ADDRESS
    reserves: tuple[ReserveRule, ...] = ()
    gas: GasRule | None = None
    gas_float_wei: int = 0
    sequencer: Address = ZERO_ADDRESS
    sequencer_grace_s: int = 0
    offers: bytes = field(default=b"", repr=False)
    payments: tuple[PaymentRule, ...] = ()
    payments_code: bytes = field(default=b"", repr=False)
    further_code: bytes = field(default=b"", repr=False)

    @property
    def intents(self) -> bool:
        return bool(self.offers)

    def token(self, address: str) -> TokenRule:
        """Raises Usage SCOPE_INVALID where the token is not listed."""
        for rule in self.tokens:
            if rule.address == address:
                return rule
        raise _invalid(f"{address} is not among the tokens")


def check(scope: Scope) -> None:
    """Raises Usage SCOPE_INVALID for what the Gate would refuse, and for what no owner should sign."""
    for name, value in _addresses(scope):
        try:
            plain = to_checksum(value)
        except ValueError as error:
            raise _invalid(f"{name}: {error}") from None
        if plain != value:
            raise _invalid(f"{name}: {value} is not checksummed; {plain} is")
    if scope.agent in (scope.safe, ZERO_ADDRESS):
        raise _invalid("the agent is an account of its own, neither the Safe nor 0x0")
    if not scope.tokens or not scope.pairs or not scope.routes:
        raise _invalid("a scope needs tokens, pairs and routes")
    _check_numbers(scope)
    _check_lists(scope)
    _check_reserves(scope)
    others = {scope.safe, scope.agent, scope.lending_pool, scope.sequencer} | {r.router for r in scope.routes}
    scope_payments.check(scope.payments, {t.address for t in scope.tokens}, others, scope.safe)


def _check_numbers(scope: Scope) -> None:
    if not Decimal(0) < scope.burst_usd < scope.per_day_usd <= Decimal(10) ** 12:
        raise _invalid(
            "0 < burst_usd < per_day_usd is needed: the rest is what a day gives back, and of nothing nothing ever comes back"
        )
    ranges = (
        ("slack_bps", scope.slack_bps, 1, 1_000),
        ("divergence_bps", scope.divergence_bps, 1, 1_000),
        ("deadline_s", scope.deadline_s, 1, 3_600),
        ("term_s", scope.term_s, 1, 90 * _DAY),
        ("delay_s", scope.delay_s, 3_600, 365 * _DAY),
        ("health_floor", scope.health_floor, Decimal("1.05"), Decimal(18)),
        ("gas_float_wei", scope.gas_float_wei, 0, 10**24),
        ("sequencer_grace_s", scope.sequencer_grace_s, 0, _DAY),
    )
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise _invalid(f"{name} is {value}; {least} to {most} is possible")
    if scope.gas is not None and not all(
        0 <= v < 1 << 96 for v in (scope.gas.burst_wei, scope.gas.per_day_wei, scope.gas.float_cap_wei)
    ):
        raise _invalid("an amount of gas money is negative or beyond any amount of ether")


def _check_lists(scope: Scope) -> None:
    listed = {rule.address for rule in scope.tokens}
    feeds = {rule.feed for rule in scope.tokens}
    if len(listed) != len(scope.tokens):
        raise _invalid("a token is listed twice")
    for token in scope.tokens:
        if (
            token.max_age_s < 1
            or not 0 <= token.feed_error_bps < 5_000
            or not 0 < token.allowance_raw < 1 << 256
        ):
            raise _invalid(f"{token.symbol}: an age, a feed error or an allowance that cannot be meant")
        if not 0 <= token.decimals <= 18 or not 0 <= token.feed_decimals <= 18:
            raise _invalid(f"{token.symbol}: decimals beyond 18")
    seen = set()
    for pair in scope.pairs:
        scope.token(pair.token_a), scope.token(pair.token_b)
        key = frozenset((pair.token_a, pair.token_b))
        if len(key) != 2 or key in seen:
            raise _invalid("a pair is two tokens, and listed once")
        seen.add(key)
        if pair.source in feeds:
            raise _invalid("a pair's second source is one of the feeds already: that is one source, not two")
        if pair.window_s and pair.window_s < 300:
            raise _invalid("a mean over less than 300 s is moved too cheaply")
        if not pair.window_s and pair.max_age_s < 1:
            raise _invalid("a second feed needs max_age_s")
    claimed = listed | feeds | {scope.safe, scope.agent, scope.lending_pool, scope.sequencer}
    claimed |= {r.a_token for r in scope.reserves} | {r.debt_token for r in scope.reserves}
    for route in scope.routes:
        if route.router in claimed:
            raise _invalid(f"{route.router} has another part here: it can be no route")
        if route.mode not in MODES:
            raise _invalid(f"a route is paid by {' or '.join(MODES)}, not {route.mode!r}")
        try:
            route.selector  # noqa: B018 - named by its interface, or unknown
        except AbiError as error:
            raise _invalid(str(error)) from None


def _check_reserves(scope: Scope) -> None:
    if scope.reserves and scope.lending_pool == ZERO_ADDRESS:
        raise _invalid("reserves need a lending_pool")
    listed = {rule.address for rule in scope.tokens}
    for reserve in scope.reserves:
        symbol = scope.token(reserve.asset).symbol
        if not reserve.actions or set(reserve.actions) - ACTIONS.keys():
            raise _invalid(f"{symbol}: actions are among {', '.join(ACTIONS)}")
        if reserve.a_token in listed or reserve.debt_token in listed:
            raise _invalid(f"{symbol}: an aToken is collateral, not something to trade")
        for action, allowed in (("withdraw", reserve.withdraw_raw), ("borrow", reserve.borrow_raw)):
            if (allowed > 0) != (action in reserve.actions) or not 0 <= allowed < 1 << 256:
                raise _invalid(f"{symbol}: {action} and {action}_raw > 0 belong together")


def gate_address(scope: Scope, creation: bytes) -> Address:
    """Where the Safe's Gate stands. Raises Usage GATE_CODE where `creation` is not the recorded code."""
    try:
        return Address(gate.address(creation, scope.safe))
    except ValueError as error:
        raise Usage("GATE_CODE", str(error), "run scripts/setup from the same version") from None


def offers_address(scope: Scope, gate_at: Address) -> Address:
    """Where the Gate's Offers stands, ZERO_ADDRESS where the scope has none. Raises Usage GATE_CODE as `gate_address`."""
    if not scope.intents:
        return ZERO_ADDRESS
    try:
        return Address(offers.address(scope.offers, gate_at))
    except ValueError as error:
        raise Usage("GATE_CODE", str(error), "run scripts/setup from the same version") from None


def payers(scope: Scope, gate_at: Address) -> tuple[Payer, ...]:
    """What pays into loans, at most one contract of each form. Raises Usage GATE_CODE as `gate_address`."""
    codes = {FIRST.interface: scope.payments_code, FURTHER.interface: scope.further_code}
    rules, found = scope_payments.split(scope.payments), []
    for form in FORMS:
        if own := rules.get(form.interface):
            at = scope_payments.address(codes[form.interface], gate_at, own, form)
            found.append(Payer(form, at, roles_of(scope.safe, at), own, codes[form.interface]))
    return tuple(found)


def roles_initializer(safe: Address, gate_at: Address) -> bytes:
    """setUp(abi.encode(owner, avatar, target)): the Safe owns it, and all it can reach is the Gate."""
    words = b"".join(bytes(12) + address_bytes(a) for a in (safe, safe, gate_at))
    return encode("zodiac_roles", "setUp", (words,))


def roles_address(scope: Scope, gate_at: Address) -> Address:
    return roles_of(scope.safe, gate_at)


def roles_of(safe: Address, gate_at: Address) -> Address:
    """Where Zodiac's factory puts it, with salt nonce 0."""
    return Address(decode_powers.proxy_address(ROLES_MASTERCOPY, roles_initializer(safe, gate_at), 0))


def verbs(scope: Scope) -> tuple[str, ...]:
    """The Gate's functions the role may call."""
    return (
        "trade",
        *(["lend"] if scope.reserves else []),
        *(["refuel"] if scope.gas else []),
        *(["offer", "endOffer"] if scope.intents else []),
    )


def limits(scope: Scope) -> dict[str, Value]:
    """Gate.Limits; dollars become 1e18 USD, rounded down."""
    burst, day = usd_raw(scope.burst_usd), usd_raw(scope.per_day_usd)
    return {
        "burst": burst,
        "ratePerDay": day - burst,
        "slackBps": scope.slack_bps,
        "divergenceBps": scope.divergence_bps,
        "deadlineSeconds": scope.deadline_s,
        "termSeconds": scope.term_s,
        "healthFloor": int(scope.health_floor * USD),
    }


def gas_money(rule: GasRule) -> dict[str, Value]:
    """Gate.Gas."""
    return {
        "account": rule.account,
        "burst": rule.burst_wei,
        "weth": rule.weth,
        "ratePerDay": rule.per_day_wei,
        "floatCap": rule.float_cap_wei,
    }


def batch(scope: Scope, creation: bytes, standing: Collection[str] = ()) -> tuple[Part, ...]:
    """The calls that grant the scope to a Safe that has granted none. `standing`: addresses that have code already.

    Raises Usage SCOPE_INVALID, GATE_CODE.
    """
    check(scope)
    at = gate_address(scope, creation)
    roles = roles_address(scope, at)
    parts = []
    if at not in standing:
        parts.append(Part(gate.FACTORY, 0, gate.SALT + gate.init_code(creation, scope.safe)))
    offers_at = offers_address(scope, at)
    if scope.intents and offers_at not in standing:
        parts.append(Part(offers.FACTORY, 0, offers.creating(scope.offers, at)))
    parts += _settings(scope, at, roles, offers_at)
    if roles not in standing:
        initializer = roles_initializer(scope.safe, at)
        parts.append(
            _part(MODULE_FACTORY, "zodiac_module_factory", "deployModule", ROLES_MASTERCOPY, initializer, 0)
        )
    parts.append(_part(roles, "zodiac_roles", "scopeTarget", ROLE, at))
    parts += [
        _part(roles, "zodiac_roles", "allowFunction", ROLE, at, selector("gate", verb), 0)
        for verb in verbs(scope)
    ]
    parts.append(_part(roles, "zodiac_roles", "assignRoles", scope.agent, (ROLE,), (True,)))
    parts.append(_part(at, "gate", "renew"))
    parts += payment_parts(scope, at, standing)
    parts.append(_part(at, "gate", "seal", scope.delay_s))
    parts += _allowances(scope, at)
    return tuple(parts)


def payment_parts(scope: Scope, at: Address, standing: Collection[str] = ()) -> list[Part]:
    """The calls that let the agent pay into loans, none where the scope has no payments. Of a Gate that is sealed they take effect after
    its delay. Raises Usage SCOPE_INVALID, GATE_CODE."""
    if not scope.payments:
        return []
    check(scope)
    return [part for payer in payers(scope, at) for part in payer_parts(scope, at, payer, standing)]


def payer_parts(scope: Scope, at: Address, payer: Payer, standing: Collection[str] = ()) -> list[Part]:
    """The same of one contract alone."""
    parts = []
    if payer.contract not in standing:
        parts.append(scope_payments.creating(payer, at))
    if payer.roles not in standing:
        made = (ROLES_MASTERCOPY, roles_initializer(scope.safe, payer.contract), 0)
        parts.append(_part(MODULE_FACTORY, "zodiac_module_factory", "deployModule", *made))
    parts += scope_payments.under_a_role(payer, ROLE, scope.agent)
    return parts + scope_payments.opening(payer, again=payer.contract in standing)


def safe_tx(
    scope: Scope, creation: bytes, multi_send: Address, nonce: int, standing: Collection[str] = ()
) -> SafeTx:
    """`batch` as the one transaction the owners sign. `multi_send` is the Safe version's MultiSendCallOnly."""
    return SafeTx(multi_send, 0, calldata(batch(scope, creation, standing)), DELEGATECALL, nonce)


def agent_call(scope: Scope, creation: bytes, inner: bytes) -> Call:
    """What the agent's account sends so that the Gate runs `inner`, one of its verbs."""
    at = gate_address(scope, creation)
    data = encode("zodiac_roles", "execTransactionWithRole", (at, 0, inner, 0, ROLE, True))
    return Call(roles_address(scope, at), data)


def _settings(scope: Scope, at: Address, roles: Address, offers_at: Address) -> list[Part]:
    parts = [_part(at, "gate", "setToken", t.address, t.feed, t.max_age_s) for t in scope.tokens]
    for pair in scope.pairs:
        low, high = sorted((pair.token_a, pair.token_b), key=lambda a: int(a, 16))
        parts.append(_part(at, "gate", "setPair", low, high, pair.source, pair.window_s, pair.max_age_s))
    if scope.lending_pool != ZERO_ADDRESS:
        parts.append(_part(at, "gate", "setLendingPool", scope.lending_pool))
    parts += [
        _part(at, "gate", "setReserve", r.asset, r.a_token, r.debt_token, r.bits) for r in scope.reserves
    ]
    parts += [_part(at, "gate", "setRoute", r.router, r.selector, MODES[r.mode]) for r in scope.routes]
    if scope.gas is not None:
        parts.append(_part(at, "gate", "setGas", gas_money(scope.gas)))
    if scope.sequencer != ZERO_ADDRESS:
        parts.append(_part(at, "gate", "setSequencer", scope.sequencer, scope.sequencer_grace_s))
    if scope.intents:
        parts.append(_part(at, "gate", "setOffers", offers_at))
    parts.append(_part(at, "gate", "setLimits", limits(scope)))
    parts.append(_part(at, "gate", "setAgent", roles))
    return parts


def _allowances(scope: Scope, at: Address) -> list[Part]:
    parts = [_part(t.address, "erc20", "approve", at, t.allowance_raw) for t in scope.tokens]
    for reserve in scope.reserves:
        if reserve.withdraw_raw:
            parts.append(_part(reserve.a_token, "erc20", "approve", at, reserve.withdraw_raw))
        if reserve.borrow_raw:
            call = _part(reserve.debt_token, "aave_debt_token", "approveDelegation", at, reserve.borrow_raw)
            parts.append(call)
    return parts


def _part(to: str, contract: str, function: str, *args: Value) -> Part:
    return Part(to, 0, encode(contract, function, args))


def usd_raw(amount: Decimal) -> int:
    """Dollars as the Gate's 1e18 units, rounded down."""
    with localcontext() as context:
        context.prec = 60
        return int(amount * USD)


def _addresses(scope: Scope) -> list[tuple[str, str]]:
    named: list[tuple[str, str]] = [
        ("safe", scope.safe),
        ("agent", scope.agent),
        ("lending_pool", scope.lending_pool),
        ("sequencer", scope.sequencer),
    ]
    for token in scope.tokens:
        named += [(f"token {token.symbol}", token.address), (f"feed of {token.symbol}", token.feed)]
    for pair in scope.pairs:
        named += [("pair", pair.token_a), ("pair", pair.token_b), ("source of a pair", pair.source)]
    named += [("route", route.router) for route in scope.routes]
    for rule in scope.payments:
        named += [("payment", rule.asset), ("lender of a payment", rule.lender)]
        named += [("account of a payment", rule.account), ("fees of a payment", rule.fees)]
    for reserve in scope.reserves:
        named += [("reserve", reserve.asset), ("aToken", reserve.a_token), ("debt token", reserve.debt_token)]
    if scope.gas is not None:
        named += [("gas account", scope.gas.account), ("weth", scope.gas.weth)]
    return named


def _invalid(why: str) -> Usage:
    return Usage("SCOPE_INVALID", why, "correct the scope in the settings; nothing was signed")
