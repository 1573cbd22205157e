"""Where signatures come from: the signer process, or owners who sign attended, each in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.app.settings_checks import signer_of
from agent.app.settings_tree import Owner
from agent.domain.errors import Denied, Usage
from chains.types import Address, CowOrder, SignedTx, UnsignedTx
from keys import cow_order
from keys.client import SignerClient
from keys.safe import SafeTx, safe_tx_hash, to_json
from keys.secrets import scrubbed_environment
from keys.signers import SignerSpec, references, to_data

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SignerOwners:
    """Throw-away owner keys inside the signer process: devnet and fork only; the signer refuses them elsewhere."""

    client: SignerClient

    async def execute(
        self, safe: Address, tx: SafeTx, digest: bytes, sender: Address, outer: UnsignedTx, now_s: int
    ) -> SignedTx:
        fees = f"{outer.fees.max_fee_wei}-{outer.fees.max_priority_fee_wei}-{outer.gas}"
        request = f"batch-{outer.chain_id}-{outer.nonce}-{fees}-{digest.hex()[:32]}"
        return await self.client.sign_batch(request, safe, tx, sender, outer, chain_time=now_s)

    async def collect(self, chain_id: int, safe: Address, tx: SafeTx, now_s: int) -> Mapping[Address, bytes]:
        request = f"safe-{chain_id}-{safe_tx_hash(chain_id, safe, tx).hex()}"
        found = await self.client.sign_safe_tx(request, chain_id, safe, tx, chain_time=now_s)
        return {Address(owner): signature for owner, signature in found.by_owner.items()}


@dataclass(frozen=True)
class AttendedOwner:
    """One owner's own keystore, or any other kind of signer; `password` is a secret reference, or None: asked for on the terminal, by
    that process."""

    address: Address
    keystore: Path | None
    password: str | None
    signer: SignerSpec | None = None

    @property
    def command(self) -> list[str]:
        """How `keys.owner_sign` is told where the key is."""
        if self.signer is not None:
            return ["--signer", json.dumps(to_data(self.signer))]
        password = [] if self.password is None else ["--password", self.password]
        return ["--keystore", str(self.keystore), *password]

    @property
    def references(self) -> tuple[str, ...]:
        if self.signer is not None:
            return references(self.signer)
        return () if self.password is None else (self.password,)


def attended_owner(owner: Owner) -> AttendedOwner:
    """The settings' owner as one who signs here. Raises Usage for a signer's table that cannot be read."""
    return AttendedOwner(Address(owner.address), owner.keystore, owner.password, signer_of(owner))


Show = Callable[[int, Address, SafeTx], Awaitable[list[str]]]
"""What a Safe transaction would change, in sentences."""


@dataclass
class AttendedOwners:
    """Asks owner after owner until the threshold is reached. Neither key nor password ever enters this process.

    `show`: what they are told first, on stderr; None where they have been told already.
    """

    owners: tuple[AttendedOwner, ...]
    threshold: int
    environment: str
    show: Show | None = None
    execute: None = None

    async def collect(self, chain_id: int, safe: Address, tx: SafeTx, now_s: int) -> Mapping[Address, bytes]:
        if self.show is not None and self.owners:
            told = await self.show(chain_id, safe, tx)
            print("\n".join([f"What Safe nonce {tx.nonce} would change:", *(f"  {line}" for line in told)]), file=sys.stderr, flush=True)  # fmt: skip
        return await self._collect(to_json(chain_id, safe, tx))

    async def collect_order(self, order: CowOrder) -> Mapping[Address, bytes]:
        """The same for an order that others settle: each owner reads its fields in his own process."""
        return await self._collect({"cow_order": cow_order.to_json(order)})

    async def _collect(self, document: dict[str, Any]) -> Mapping[Address, bytes]:
        signatures: dict[Address, bytes] = {}
        for owner in self.owners:
            if len(signatures) == self.threshold:
                break
            signatures[owner.address] = await self._ask(owner, document)
        if len(signatures) < self.threshold:
            raise Denied(
                "TOO_FEW_OWNERS",
                f"{self.threshold} owners must sign, {len(self.owners)} have a keystore here",
                "give more owners a keystore under [wallet], or sign elsewhere",
            )
        return signatures

    async def _ask(self, owner: AttendedOwner, document: dict[str, Any]) -> bytes:
        command = [sys.executable, "-m", "keys.owner_sign", *owner.command]
        command += ["--address", owner.address, "--environment", self.environment]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None
            if owner.password is None
            else asyncio.subprocess.PIPE,  # asked: the terminal is its own
            cwd=ROOT,
            env=owner_environment(owner.references),
        )
        out, err = await process.communicate(json.dumps(document).encode())
        told = (err or b"").decode(errors="replace").splitlines()
        why = [line.removeprefix("error ") for line in told if line.startswith("error ")]
        for line in told:
            if not line.startswith("error "):
                print(line, file=sys.stderr)
        if process.returncode != 0:
            reason = f": {why[-1]}" if why else ""
            raise Denied(
                "OWNER_DID_NOT_SIGN", f"owner {owner.address} did not sign{reason}", "nothing was sent"
            )
        try:
            return bytes.fromhex(out.decode().strip().removeprefix("0x"))
        except ValueError:
            raise Usage(
                "BAD_SIGNATURE", f"owner {owner.address}'s signer answered something else", "try again"
            ) from None


def owner_environment(given: tuple[str, ...]) -> dict[str, str]:
    """This process's environment without its secrets, but for the variables that the owner's own references name."""
    named = tuple(reference[4:] for reference in given if reference.startswith("env:"))
    return {
        k: v for k, v in scrubbed_environment(named).items() if k in named or not k.startswith("FAIRLEAD_")
    }


@dataclass
class SignerSender:
    """The sending account's key, in the signer process."""

    client: SignerClient
    sender: Address

    async def sign(self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False) -> SignedTx:
        request = (
            f"send-{tx.chain_id}-{self.sender}-{tx.nonce}-{safe_nonce}-{tx.fees.max_fee_wei}-{hash_of(tx)}"
        )
        return await self.client.sign_tx(
            request, self.sender, tx, safe_nonce, chain_time=now_s, attended=attended
        )

    async def cancel(self, tx: UnsignedTx, now_s: int) -> SignedTx:
        request = f"cancel-{tx.chain_id}-{self.sender}-{tx.nonce}-{tx.fees.max_fee_wei}"
        return await self.client.sign_tx(request, self.sender, tx, None, chain_time=now_s)


def hash_of(tx: UnsignedTx) -> str:
    from keys.transactions import digest

    return digest(tx).hex()[:16]
