"""What a transaction finally does, one dataclass a kind: the vocabulary `contracts.decode` speaks and a policy judges.

Amounts are ints of base units, addresses EIP-55, deadlines seconds of the chain's clock (None: the call carries none).
`path` says where the leaf stood, outermost first. NATIVE (the zero address) as a token is the chain's gas token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leaf:
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Unknown(Leaf):
    """Not recognised: `why` says what was met."""

    why: str


@dataclass(frozen=True, slots=True)
class NativeTransfer(Leaf):
    value: int


@dataclass(frozen=True, slots=True)
class Approve(Leaf):
    """ERC-20 approve on token `target`."""

    spender: str
    amount: int


@dataclass(frozen=True, slots=True)
class Permit2Approve(Leaf):
    token: str
    spender: str
    amount: int
    expiration: int


@dataclass(frozen=True, slots=True)
class Transfer(Leaf):
    """ERC-20 transfer of token `target` by the wallet itself."""

    to: str
    amount: int


@dataclass(frozen=True, slots=True)
class Wrap(Leaf):
    """WETH9 deposit of call value."""

    amount: int


@dataclass(frozen=True, slots=True)
class Unwrap(Leaf):
    amount: int


@dataclass(frozen=True, slots=True)
class Swap(Leaf):
    """A swap through router `target`, the `spender` of the input being `target` itself or Permit2 on its behalf.

    `amount_in` is exact where `exact_in` (then `amount_out` is the minimum), else the maximum (then `amount_out` is exact).
    `from_router`: paid with what the router holds, or with call value, not pulled from the wallet.
    `payer`: whose tokens are pulled, where the call names it (empty: the caller's). `hooks`: a V4 pool's hook contract.
    `partial`: a price limit may stop the swap before `amount_in` is used up.
    """

    protocol: str
    token_in: str
    token_out: str
    amount_in: int
    amount_out: int
    exact_in: bool
    recipient: str
    deadline: int | None
    from_router: bool = False
    via_permit2: bool = False
    partial: bool = False
    tokens: tuple[str, ...] = ()
    value: int = 0
    hooks: str = ""
    payer: str = ""


@dataclass(frozen=True, slots=True)
class RouterCall(Leaf):
    """Opens one Universal Router execution: what follows until the next leaf of another target happens inside it."""

    deadline: int | None
    value: int


@dataclass(frozen=True, slots=True)
class RouterMove(Leaf):
    """The router moving funds: `kind` PULL (Permit2, wallet to router), WRAP, UNWRAP, SWEEP, TRANSFER, PAY_PORTION.

    `amount` is exact for PULL, WRAP and TRANSFER, the minimum for UNWRAP and SWEEP, basis points for PAY_PORTION.
    """

    kind: str
    token: str
    recipient: str
    amount: int
    may_revert: bool = False


@dataclass(frozen=True, slots=True)
class RouterEnd(Leaf):
    """The execution `RouterCall` opened is over: what the router still holds anybody may take."""


@dataclass(frozen=True, slots=True)
class FlashRepayment(Leaf):
    """The caller's own debt of `repays` `tokens[0]` at the market `pool` repaid out of his collateral `tokens[-1]`, of which at most
    `most_collateral` of `a_token` is pulled from him; or nothing, where his health factor (1e18) would be below `least_health` then."""

    pool: str
    a_token: str
    repays: int
    most_collateral: int
    least_health: int
    deadline: int
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lending(Leaf):
    """Aave: `action` SUPPLY, WITHDRAW, BORROW, REPAY, REPAY_WITH_COLLATERAL. `who` is onBehalfOf, or `to` for WITHDRAW; "" for the last, which
    takes of the caller's own deposit and debt alone. 2**256-1 means all."""

    action: str
    token: str
    amount: int
    who: str
    rate_mode: int = 0


@dataclass(frozen=True, slots=True)
class MorphoPayment(Leaf):
    """Morpho Blue: `action` REPAY or SUPPLY_COLLATERAL of `token` for `who` in the market of that id. One of `amount` and `shares` is
    zero; `calls_back`: the contract would call its caller with data of the request's."""

    action: str
    token: str
    amount: int
    shares: int
    who: str
    market: str
    calls_back: bool


@dataclass(frozen=True, slots=True)
class CometPayment(Leaf):
    """Compound III: `token` paid into the caller's own account, what he owes of it first. 2**256-1 means all that is owed."""

    token: str
    amount: int


@dataclass(frozen=True, slots=True)
class MakerJoin(Leaf):
    """Maker (dss): the adapter `target` takes so much of its token of the caller, and books it for `usr` in the Vat."""

    usr: str
    amount: int


@dataclass(frozen=True, slots=True)
class MakerFrob(Leaf):
    """Maker's Vat: the vault `urn` of `ilk` is given `dink` of the collateral of `gives` and owes `dart` more, which `gets` is given. Below zero:
    the other way round."""

    ilk: bytes
    urn: str
    gives: str
    gets: str
    dink: int
    dart: int


@dataclass(frozen=True, slots=True)
class MakerDrip(Leaf):
    """Maker's Jug: the fee of an ilk is accrued, as anybody may have it."""

    ilk: bytes


@dataclass(frozen=True, slots=True)
class LendingSwitch(Leaf):
    """Aave: `action` COLLATERAL_ON, COLLATERAL_OFF or EMODE (with the category in `value`)."""

    action: str
    token: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class BridgeDeposit(Leaf):
    """Across' SpokePool takes `amount_in` of `token_in` of the caller: a relayer pays `amount_out` of `token_out` to `recipient` on chain
    `destination` until `fill_deadline` of that chain's clock, or `depositor` is given it back. `relayer` alone may do so for
    `exclusivity` (the zero address: anybody, at once); `message` is handed to the recipient.
    """

    depositor: str
    recipient: str
    token_in: str
    token_out: str
    amount_in: int
    amount_out: int
    destination: int
    relayer: str
    quoted_at: int
    fill_deadline: int
    exclusivity: int
    message: bytes


@dataclass(frozen=True, slots=True)
class OrderSignature(Leaf):
    """CoW's settlement contract: the caller signs order `uid` (0x hex) on chain, or takes that back; `invalid` ends it for good."""

    uid: str
    signed: bool
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class WalletAdmin(Leaf):
    """A call of the Safe on itself: owners, threshold, modules, guard, fallback handler, approved hashes. `args` by name, bytes as hex."""

    function: str
    summary: str
    args: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class SafeExecution(Leaf):
    """An execTransaction was opened; its inner call follows. Refund and gas fields are those of the Safe transaction."""

    operation: int
    safe_tx_gas: int
    base_gas: int
    gas_price: int
    gas_token: str
    refund_receiver: str


@dataclass(frozen=True, slots=True)
class CreateWallet(Leaf):
    singleton: str
    salt_nonce: int


@dataclass(frozen=True, slots=True)
class RoleExecution(Leaf):
    """Roles v2's execTransactionWithRole was opened at the modifier `target`; the call it makes at `to` follows."""

    to: str
    value: int
    operation: int
    role: bytes
    should_revert: bool


@dataclass(frozen=True, slots=True)
class DelayCall(Leaf):
    """A Zodiac Delay's queue: `kind` QUEUE, where one of its modules has the call at `to` that follows wait, or RUN, where the oldest
    that waits, which follows, is executed as the Safe; anybody may ask for that."""

    kind: str
    to: str
    value: int
    operation: int


@dataclass(frozen=True, slots=True)
class GateLend(Leaf):
    """A Gate acts on its Safe's own account at the lending pool: `action` SUPPLY, WITHDRAW, BORROW, REPAY."""

    action: str
    token: str
    amount: int
    deadline: int


@dataclass(frozen=True, slots=True)
class GateRefuel(Leaf):
    """A Gate turns `amount` of its Safe's WETH into gas money of the agent's account."""

    amount: int
    deadline: int


@dataclass(frozen=True, slots=True)
class Power(Leaf):
    """A power given, changed or taken away: `function` of the Gate, Roles modifier or debt token `target`, which speaks `contract`.

    `args` by name. Of the Gate's `queue` and `run` the call they carry follows as a leaf of its own.
    """

    contract: str
    function: str
    args: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Deployment(Leaf):
    """A contract is created at `address` by CREATE2. `what`: "gate" or "zodiac_roles" by its very code, empty for any other.

    `args` are the addresses it is set up with, by name.
    """

    address: str
    what: str
    args: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GateTrade(Leaf):
    """A Gate took `amount_in` of `token_in` from its Safe for `router`, whose call follows up to `GateEnd`.

    `minimum_out` of `token_out` has to come, or all of it reverts.
    """

    token_in: str
    token_out: str
    amount_in: int
    minimum_out: int
    deadline: int
    router: str


@dataclass(frozen=True, slots=True)
class GateOffer(Leaf):
    """A Gate opens an order for others to settle, by its Offers contract, which pays the Safe: `sell_raw` of `sell_token` for at least
    `buy_raw` of `buy_token`, or where it `buys` exactly that for at most `sell_raw`, until `valid_to`."""

    sell_token: str
    buy_token: str
    sell_raw: int
    buy_raw: int
    valid_to: int
    buys: bool
    partially_fillable: bool


@dataclass(frozen=True, slots=True)
class OfferEnd(Leaf):
    """The order that sells `token` is ended, at the Gate or at its Offers contract: what is left of it goes back to the Safe.
    `deadline` None: the call carries none."""

    token: str
    deadline: int | None


@dataclass(frozen=True, slots=True)
class LoanPayment(Leaf):
    """A Payments contract pays `amount` of its rule number `rule` into a loan of its Safe."""

    rule: int
    amount: int
    deadline: int


@dataclass(frozen=True, slots=True)
class PaymentsCreated(Leaf):
    """A Payments contract of the Gate `gate` is created at `address` by CREATE2; `rules` are Payments.Rule, by name, all it will ever allow."""

    address: str
    gate: str
    rules: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class GateEnd(Leaf):
    """The trade `GateTrade` opened is over: what came was paid to the Safe."""
