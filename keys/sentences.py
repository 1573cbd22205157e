"""A decoded transaction in plain sentences, for the person who is about to sign it. Pure.

`tokens` names tokens: EIP-55 address to (symbol, decimals). What is not named is shown by address and in base units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from chains.types import CowOrder
from contracts import leaves as lf
from contracts.universal_router import ADDRESS_THIS, MSG_SENDER, NATIVE
from keys import cow_order
from keys.safe import DELEGATECALL, SafeTx
from keys.sentences_admin import admin
from keys.sentences_delay import queue
from keys.sentences_powers import deployment, offer, payments, power, verb
from keys.sentences_words import Tokens, amount, ilk, name, when

_ROUTERS = ("universal router", "swap router 02")


def sentence(leaf: lf.Leaf, wallet: str, tokens: Tokens, router: bool = False) -> str:
    """One leaf, one sentence. `router`: it happens in a Uniswap router, where two small addresses stand for caller and router."""
    x: Any = leaf

    def _who(address: str, wallet: str) -> str:
        if address == wallet or (router and address == MSG_SENDER):
            return "this wallet"
        return "the router" if router and address == ADDRESS_THIS else f"SOMEBODY ELSE ({address})"

    match leaf:
        case lf.Unknown():
            return f"NOT UNDERSTOOD: {x.target}: {x.why}."
        case lf.NativeTransfer():
            return f"Sends {amount(x.value, NATIVE, tokens)} to {_who(x.target, wallet)}."
        case lf.Approve():
            if x.amount == 0:
                return f"Takes back the approval of {name(x.target, tokens)} for {x.spender}."
            return f"Lets {x.spender} take {amount(x.amount, x.target, tokens)}."
        case lf.Permit2Approve():
            if x.amount == 0:
                return f"Takes back the Permit2 approval of {name(x.token, tokens)} for {x.spender}."
            until = f"until {when(x.expiration)}" if x.expiration else "in this block only"
            return f"Lets {x.spender} take {amount(x.amount, x.token, tokens)} through Permit2 {until}."
        case lf.Transfer():
            return f"Sends {amount(x.amount, x.target, tokens)} to {_who(x.to, wallet)}."
        case lf.Wrap():
            return f"Wraps {amount(x.amount, NATIVE, tokens)}."
        case lf.Unwrap():
            return f"Unwraps {amount(x.amount, NATIVE, tokens)}."
        case lf.Swap():
            paid, got = amount(x.amount_in, x.token_in, tokens), amount(x.amount_out, x.token_out, tokens)
            until = f", not after {when(x.deadline)}" if x.deadline is not None else ", WITHOUT A DEADLINE"
            how = f"Sells {paid} for at least {got}" if x.exact_in else f"Buys {got} for at most {paid}"
            hook = f", through the UNKNOWN HOOK {x.hooks}" if x.hooks not in ("", NATIVE) else ""
            payer = f", paid by {_who(x.payer, wallet)}" if x.payer not in ("", wallet) else ""
            return f"{how} on {x.protocol}{hook}{payer}, paid to {_who(x.recipient, wallet)}{until}."
        case lf.RouterCall():
            value = f" with {amount(x.value, NATIVE, tokens)}" if x.value else ""
            until = f", not after {when(x.deadline)}" if x.deadline is not None else ""
            return f"Calls the Universal Router{value}{until}, which:"
        case lf.RouterEnd():
            return "And that is all the router does."
        case lf.RouterMove() if x.kind == "CHECK":
            least = amount(x.amount, x.token, tokens)
            return f"Router: goes on only if {_who(x.recipient, wallet)} holds at least {least}."
        case lf.RouterMove():
            if x.kind == "PAY_PORTION":
                return (
                    f"Router: pays {x.amount} bps of {name(x.token, tokens)} to {_who(x.recipient, wallet)}."
                )
            return f"Router: {x.kind.lower()} {amount(x.amount, x.token, tokens)} to {_who(x.recipient, wallet)}."
        case lf.Lending() if x.action == "REPAY_WITH_COLLATERAL":
            return f"Aave: repay {amount(x.amount, x.token, tokens)} out of what is lent of it."
        case lf.Lending():
            return f"Aave: {x.action.lower()} {amount(x.amount, x.token, tokens)} for {_who(x.who, wallet)}."
        case lf.FlashRepayment():
            owed, most = amount(x.repays, x.tokens[0], tokens), amount(x.most_collateral, x.a_token, tokens)
            health = Decimal(x.least_health).scaleb(-18).normalize()
            way = " for ".join(name(t, tokens) for t in x.tokens)
            return (
                f"FlashRepay: repays {owed} of the caller's own debt at the market {x.pool} out of his collateral, at most {most} (buying {way}), "
                f"and only if the health factor is at least {health:f} then, not after {when(x.deadline)}."
            )
        case lf.MorphoPayment():
            what = (
                amount(x.amount, x.token, tokens)
                if x.amount
                else f"{x.shares} shares of {name(x.token, tokens)}"
            )
            back = " AND HAS IT CALL THE WALLET" if x.calls_back else ""
            return f"Morpho Blue: {x.action.lower().replace('_', ' ')} {what} for {_who(x.who, wallet)} in the market {x.market}{back}."
        case lf.CometPayment():
            what = f"all of what is owed in {name(x.token, tokens)}"
            if x.amount != 2**256 - 1:
                what = amount(x.amount, x.token, tokens)
            return f"Compound III: pays {what} into the caller's own account at {x.target}, debt of it first."
        case lf.MakerJoin():
            return f"Maker: pays {x.amount} base units of the token of the adapter {x.target} in, booked for {_who(x.usr, wallet)}."
        case lf.MakerFrob():
            given = f"collateral {x.dink:+} of {_who(x.gives, wallet)}, debt {x.dart:+} (in units of art) by {_who(x.gets, wallet)}"
            return f"Maker: the {ilk(x.ilk)} vault {x.urn} is changed: {given}."
        case lf.MakerDrip():
            return "Maker: the fee of an ilk is accrued."
        case lf.LendingSwitch():
            return (
                f"Aave: {x.action.lower().replace('_', ' ')} {name(x.token, tokens) if x.token else x.value}."
            )
        case lf.BridgeDeposit():
            back = "" if x.depositor == wallet else f" A REFUND GOES TO SOMEBODY ELSE ({x.depositor})."
            only = (
                "" if x.relayer == NATIVE else f" ONLY {x.relayer} MAY PAY IT OUT at first ({x.exclusivity})."
            )
            calls = f" It CALLS THE RECIPIENT with {len(x.message)} bytes." if x.message else ""
            return (
                f"Across: sends {amount(x.amount_in, x.token_in, tokens)} to chain {x.destination}, where at least {x.amount_out} base units of "
                f"{x.token_out} are to reach {_who(x.recipient, wallet)} until {when(x.fill_deadline)}; else it is given back.{back}{only}{calls}"
            )
        case lf.OrderSignature():
            if x.invalid:
                return f"Ends CoW order {x.uid} for good: nobody can settle it any more."
            return f"{'SIGNS' if x.signed else 'Takes back the on-chain signature of'} CoW order {x.uid}."
        case lf.WalletAdmin():
            return admin(x)
        case lf.SafeExecution():
            return f"Executes a transaction of the Safe {x.target}:"
        case lf.CreateWallet():
            return f"Creates a wallet of {x.singleton}."
        case lf.DelayCall():
            return queue(x)
        case lf.Power():
            return power(x, wallet, tokens)
        case lf.Deployment():
            return deployment(x, wallet)
        case lf.PaymentsCreated():
            return payments(x, tokens)
        case (
            lf.RoleExecution()
            | lf.GateTrade()
            | lf.GateEnd()
            | lf.GateLend()
            | lf.GateRefuel()
            | lf.LoanPayment()
        ):
            return verb(x, tokens)
        case lf.GateOffer() | lf.OfferEnd():
            return offer(x, tokens)
    return f"{type(leaf).__name__} at {leaf.target}."


def describe(
    chain_id: int,
    wallet: str,
    tx: SafeTx,
    leaves: Sequence[lf.Leaf],
    tokens: Tokens,
    names: Mapping[str, str] | None = None,
    chain: str = "",
) -> list[str]:
    """The whole Safe transaction: where, which nonce, then every leaf. `chain` is its name; `names` are put beside the addresses they stand for."""
    kind = "a batch (delegatecall)" if tx.operation == DELEGATECALL else "one call"
    where = f"{chain} (chain id {chain_id})" if chain else f"chain {chain_id}, which has NO PROFILE HERE"
    lines = [f"Safe {wallet} on {where}, nonce {tx.nonce}: {kind} to {tx.to}."]
    if tx.gas_price or tx.base_gas or tx.safe_tx_gas or int(tx.refund_receiver, 16) or int(tx.gas_token, 16):
        lines.append(
            f"PAYS A REFUND: gas price {tx.gas_price}, base gas {tx.base_gas}, to {tx.refund_receiver}."
        )
    lines += [
        f"{number}. {sentence(leaf, wallet, tokens, (names or {}).get(leaf.target) in _ROUTERS)}"
        for number, leaf in enumerate(leaves, 1)
    ]
    for address, short in (names or {}).items():
        lines = [line.replace(address, f"{short} ({address})") for line in lines]
    return lines


def describe_order(order: CowOrder, tokens: Tokens, chain: str, known: bool) -> list[str]:
    """A CoW order of a Safe, field by field. `known`: its settlement contract is the one this installation knows on that chain."""
    where = (
        f"{chain} (chain id {order.chain_id})"
        if chain
        else f"chain {order.chain_id}, which has NO PROFILE HERE"
    )
    whom = "this wallet" if order.receiver == order.owner else f"SOMEBODY ELSE ({order.receiver})"
    parts = "in parts or as a whole" if order.partially_fillable else "as a whole or not at all"
    app_data = (
        "It names the empty document: no hooks."
        if order.app_data.lower() == cow_order.APP_DATA_HASH
        else f"It names a DOCUMENT UNKNOWN HERE ({order.app_data}), which may carry hooks and fees."
    )
    gives, takes = (
        amount(order.sell_raw, order.sell_token, tokens),
        amount(order.buy_raw, order.buy_token, tokens),
    )
    deal = (
        f"Buys exactly {takes} for at most {gives}" if order.buys else f"Sells {gives} for at least {takes}"
    )
    settled = "CoW Protocol" if known else f"an UNKNOWN CONTRACT ({order.settlement})"
    lines = [
        f"An order of Safe {order.owner} on {where}, to be settled by whoever {settled} admits.",
        f"1. {deal}, {parts}.",
        f"2. Pays to {whom}, not after {when(order.valid_to)}.",
        f"3. {app_data}",
    ]
    if order.fee_raw:
        lines.append(f"PAYS A FEE beside it: {amount(order.fee_raw, order.sell_token, tokens)}.")
    return [*lines, f"Order UID: {cow_order.uid(order)}"]
