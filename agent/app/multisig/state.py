"""The Safe as its chain has it now, and a transaction held against it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.app.settings_tree import Chain, Settings
from agent.domain.errors import Denied, Usage
from chains import gate_code
from chains.gateway import Gateway
from chains.types import Address, BlockRef
from chains.wallets import SafeState, identify
from contracts.leaves import Leaf, RouterCall, Swap
from keys import reading
from keys.policy_settings import OFFICIAL_MULTISEND_CALL_ONLY
from keys.safe import DELEGATECALL, SafeTx
from keys.safe_document import SafeDocument, Seen, check_against


@dataclass(frozen=True, slots=True)
class SafeNow:
    address: Address
    state: SafeState
    block: BlockRef

    @property
    def seen(self) -> Seen:
        s = self.state
        return Seen(s.version, s.singleton, s.owners, s.threshold, s.nonce)


def chain_named(settings: Settings, name: str) -> Chain:
    """Raises Usage UNKNOWN_CHAIN."""
    chain = settings.chain(name)
    if chain is None:
        known = ", ".join(c.name for c in settings.chains)
        raise Usage("UNKNOWN_CHAIN", f"there is no chain '{name}' in the settings", f"there are: {known}")
    return chain


def chain_of(settings: Settings, chain_id: int) -> Chain:
    """Raises Usage UNKNOWN_CHAIN."""
    chain = settings.chain(chain_id)
    if chain is None:
        raise Usage(
            "UNKNOWN_CHAIN",
            f"the transaction is for chain id {chain_id}, which the settings do not name",
            "add it under [[chains]]",
        )
    return chain


async def safe_now(gateway: Gateway, wallet: Address) -> SafeNow:
    """Raises Denied NOT_A_SAFE, SAFE_VERSION_UNKNOWN, Retry where the chain does not answer."""
    found = await identify(gateway, wallet)
    if found.safe is None:
        raise Denied(
            "SAFE_VERSION_UNKNOWN" if found.claims else "NOT_A_SAFE",
            f"there is {found.what} at {wallet} on chain {gateway.chain_id}, not an official Safe",
            "`fairlead wallet create` makes one; `fairlead wallet show` tells what stands where",
        )
    return SafeNow(wallet, found.safe, found.block)


def leaves_of(document: SafeDocument) -> tuple[Leaf, ...]:
    """What the transaction finally does, by this installation's own knowledge of addresses."""
    known = reading.known_of(document.chain_id, document.safe, document.tx, {}, gate_code.compiled())
    return reading.leaves_of(document.tx, known)


def deadline_of(document: SafeDocument) -> int | None:
    """The earliest deadline in the calldata, in seconds of the chain's clock: afterwards the whole batch reverts."""
    found = [
        leaf.deadline
        for leaf in leaves_of(document)
        if isinstance(leaf, RouterCall | Swap) and leaf.deadline is not None
    ]
    return min(found, default=None)


def is_rejection(document: SafeDocument) -> bool:
    """An empty call of the Safe to itself, which only uses its nonce."""
    tx: SafeTx = document.tx
    return tx.to == document.safe and not tx.value and not tx.data and tx.operation == 0


def check_now(document: SafeDocument, settings: Settings, now: SafeNow) -> None:
    """Everything that must be true before another signature is given or the transaction is sent.

    Raises Denied as `keys.safe_document.check_against`, SAFE_OTHER_WALLET, SAFE_REFUND, SAFE_FOREIGN_CODE, SAFE_EXPIRED.
    """
    if document.safe != settings.wallet.address:
        raise Denied(
            "SAFE_OTHER_WALLET",
            f"it is a transaction of the Safe {document.safe}, the settings are for {settings.wallet.address}",
            "use the settings of that wallet: fairlead --settings FILE wallet …",
        )
    state = now.state
    check_against(
        document,
        environment=settings.environment.value,
        version=state.version,
        singleton=state.singleton,
        owners=state.owners,
        threshold=state.threshold,
        nonce=state.nonce,
    )
    tx = document.tx
    if tx.safe_tx_gas or tx.base_gas or tx.gas_price or int(tx.gas_token, 16) or int(tx.refund_receiver, 16):
        raise Denied(
            "SAFE_REFUND",
            f"it pays a refund out of the wallet (gas price {tx.gas_price}, base gas {tx.base_gas}, to {tx.refund_receiver})",
            "propose it again with safeTxGas, baseGas, gasPrice, gasToken and refundReceiver of zero",
        )
    if tx.operation == DELEGATECALL and tx.to not in OFFICIAL_MULTISEND_CALL_ONLY:
        raise Denied(
            "SAFE_FOREIGN_CODE",
            f"it runs the code of {tx.to} as the Safe itself (delegatecall)",
            "only batches of the official MultiSendCallOnly are signed and sent here",
        )
    deadline = deadline_of(document)
    if deadline is not None and deadline < now.block.timestamp:
        raise Denied(
            "SAFE_EXPIRED",
            f"the deadline in its calldata passed {now.block.timestamp - deadline} s ago",
            "it can never execute any more; propose it again if it is still wanted",
        )
