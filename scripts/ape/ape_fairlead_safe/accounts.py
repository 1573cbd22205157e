"""The Safe as an ape account: what ape calls with it becomes one Safe transaction, signed by Fairlead's signer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ape.api import AccountAPI, AccountContainerAPI, ReceiptAPI, TransactionAPI
from ape.exceptions import AccountsError, SignatureError
from ape.types import AddressType

from agent.app import paths
from agent.app.settings import Settings, load
from ape_fairlead_safe import rehearsal
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at
from chains.devnet.rehearsal import safe_owners
from chains.errors import Denied, FairleadError, Retry
from chains.profiles import load as profile_of
from chains.types import Address, Call, Environment, Fees, UnsignedTx
from contracts import multisend
from contracts.codec import decode_result, encode
from contracts.universal_router import deadline_guard
from keys.client import SignerClient
from keys.safe import DELEGATECALL, SafeTx, exec_transaction, pack_signatures, safe_tx_hash

ALIAS = "fairlead-safe"
DEADLINE_S = 600
TIP_WEI = 10**9


@dataclass(frozen=True)
class Custody:
    """Who signs on the connected network."""

    socket: Path
    environment: Environment
    sender: Address


class SafeContainer(AccountContainerAPI):
    """The Safes of the settings that FAIRLEAD_SETTINGS names (or the user's own): one, or none."""

    @property
    def aliases(self) -> Iterator[str]:
        for account in self.accounts:
            yield str(account.alias)

    @property
    def accounts(self) -> Iterator[SafeAccount]:
        path = paths.settings_path(None)
        if not path.exists():
            return
        settings = load(path)
        if settings.wallet.kind == "safe":
            yield SafeAccount(safe=AddressType(settings.wallet.address), settings_file=path)

    def __len__(self) -> int:
        return sum(1 for _ in self.accounts)


class SafeAccount(AccountAPI):
    safe: AddressType
    settings_file: Path

    @property
    def address(self) -> AddressType:
        return self.safe

    @property
    def alias(self) -> str:
        return ALIAS

    def sign_message(self, msg: Any, **signer_options: Any) -> None:
        raise AccountsError("Fairlead's signer signs no free-form messages for a Safe.")

    def sign_transaction(self, txn: TransactionAPI, **signer_options: Any) -> None:
        raise AccountsError(
            "A Safe has no key: call with it as the sender, and its owners sign a Safe transaction."
        )

    def call(self, txn: TransactionAPI, *args: Any, **kwargs: Any) -> ReceiptAPI:
        """One call as a dated Safe transaction. Raises SignatureError where the signer refuses it."""
        if not txn.receiver:
            raise AccountsError("A Safe deploys nothing: every call goes to a contract the signer knows.")
        self._custody()
        return self.batch([Call(Address(txn.receiver), bytes(txn.data), int(txn.value))])

    def batch(self, calls: Sequence[Call]) -> ReceiptAPI:
        """Several calls as one dated Safe transaction: signed, executed and mined. Raises SignatureError, ContractLogicError."""
        tx = self.safe_tx(calls)
        return self.execute(tx, list(self.signatures(tx).values()))

    def safe_tx(self, calls: Sequence[Call]) -> SafeTx:
        """The calls through MultiSendCallOnly under the Safe's next nonce, worthless ten minutes from now."""
        profile, chain = profile_of(self._chain_id), CHAINS[self._chain_id]
        guard = deadline_guard(self.safe, chain.usdc, self._now + DEADLINE_S)
        parts = [multisend.Part(profile.contracts["universal_router"], 0, guard)]
        parts += [multisend.Part(call.to, call.value, call.data) for call in calls]
        return SafeTx(
            profile.contracts["safe_multi_send_call_only"],
            0,
            multisend.calldata(parts),
            DELEGATECALL,
            self.safe_nonce,
        )

    def signatures(self, tx: SafeTx, owners: Sequence[str] | None = None) -> Mapping[str, bytes]:
        """The owners' signatures by owner, all of them or those of `owners`. Raises SignatureError with the rule that refused."""
        digest = safe_tx_hash(self._chain_id, Address(self.safe), tx)
        name = f"ape-{digest.hex()[:32]}-{len(owners) if owners is not None else 'all'}"

        async def ask(client: SignerClient) -> Mapping[str, bytes]:
            signed = await client.sign_safe_tx(
                name, self._chain_id, Address(self.safe), tx, owners, chain_time=self._now
            )
            return signed.by_owner

        found: Mapping[str, bytes] = self._signer(ask)
        return found

    def execute(self, tx: SafeTx, signatures: Sequence[bytes]) -> ReceiptAPI:
        """Submit a signed Safe transaction from Fairlead's sending key, itself signed by the signer, and wait for its block."""
        custody = self._custody()
        digest = safe_tx_hash(self._chain_id, Address(self.safe), tx)
        with Rpc(self._url) as rpc:
            owned = safe_owners(rpc, self.safe)
        packed = pack_signatures(digest, signatures, [str(o) for o in owned.owners], owned.threshold)
        data = exec_transaction(tx, packed)
        trial = self.provider.network.ecosystem.create_transaction(
            receiver=self.safe, data=data, sender=custody.sender, value=0
        )
        gas = self.provider.estimate_gas_cost(trial) * 3 // 2
        fees = Fees(2 * int(self.provider.base_fee) + TIP_WEI, TIP_WEI)
        outer = UnsignedTx(
            self._chain_id,
            self.provider.get_nonce(AddressType(custody.sender)),
            Address(self.safe),
            0,
            data,
            gas,
            fees,
        )

        async def ask(client: SignerClient) -> bytes:
            name = f"ape-outer-{digest.hex()[:32]}-{outer.nonce}"
            signed = await client.sign_tx(name, custody.sender, outer, tx.nonce, chain_time=self._now)
            return signed.raw

        tx_hash = self.provider.web3.eth.send_raw_transaction(self._signer(ask))
        return self.provider.get_receipt(f"0x{bytes(tx_hash).hex()}", required_confirmations=0)

    def rehearse(self) -> None:
        """Fresh throw-away owners and a fresh signer on the connected fork. Raises AccountsError elsewhere."""
        if not self._on_fork:
            raise AccountsError("Owners are replaced on forks only.")
        rehearsal.begin(self._url, self._chain_id, Address(self.safe))

    def end_rehearsal(self) -> None:
        rehearsal.end(self._url, Address(self.safe))

    @property
    def safe_nonce(self) -> int:
        return int(self._read("nonce"))

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(self._read("getOwners"))

    # ------------------------------------------------------------------ the connected network

    def _read(self, function: str) -> Any:
        with Rpc(self._url) as rpc:
            data = rpc("eth_call", {"to": self.safe, "data": "0x" + encode("safe", function).hex()}, "latest")
        return decode_result("safe", function, bytes.fromhex(data[2:]))[0]

    def _custody(self) -> Custody:
        if self._on_fork:
            now = rehearsal.current(self._url, self._chain_id, Address(self.safe))
            return Custody(now.socket, Environment.FORK, now.keys.sender.address)
        settings: Settings = load(self.settings_file)
        try:
            found = environment_at(self._url)
        except Retry:  # a provider without a node of its own, as ape's `test` is
            found = None
        if found is None or found is not settings.environment or settings.wallet.sender is None:
            raise AccountsError(
                "This network is neither a fork nor the devnet of the settings: trade there with `fairlead` itself."
            )
        return Custody(settings.signer.socket, found, Address(settings.wallet.sender.address))

    def _signer(self, ask: Any) -> Any:
        custody = self._custody()

        async def inside() -> Any:
            async with SignerClient(custody.socket, custody.environment) as client:
                return await ask(client)

        try:
            return asyncio.run(inside())
        except Denied as refused:
            raise SignatureError(str(refused)) from refused
        except FairleadError as error:
            raise AccountsError(str(error)) from error

    @property
    def _on_fork(self) -> bool:
        return bool(self.provider.network.is_fork)

    @property
    def _url(self) -> str:
        return str(self.provider.uri)

    @property
    def _chain_id(self) -> int:
        return int(self.provider.chain_id)

    @property
    def _now(self) -> int:
        return int(self.provider.get_block("latest").timestamp)
