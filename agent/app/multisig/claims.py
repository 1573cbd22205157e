"""Consent that only the chain knows: hashes that owners approved, and signatures of owners that are contracts.

A key's signature is proved by recovery wherever it is read. For the rest the Safe itself is asked, in one multicall at one block:
`approvedHashes` of every owner who has not signed, and `checkNSignatures` for each claim by itself. What an endpoint learns from it is a hash
and consent to it, not the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.app.multisig.state import SafeNow
from agent.domain.errors import Retry
from chains.gateway import Gateway
from chains.types import Address, Call
from contracts.codec import encode
from keys import safe_signatures as ss
from keys.safe_document import Confirmation, SafeDocument, with_confirmation


@dataclass(frozen=True, slots=True)
class Counted:
    """`document` with the approvals found on chain besides; `false` are owners whose claimed consent does not hold at that block."""

    document: SafeDocument
    false: tuple[Address, ...]

    @property
    def signers(self) -> tuple[Address, ...]:
        return tuple(o for o in self.document.signers if o not in self.false)

    def packed(self, now: SafeNow) -> bytes:
        """What the contract takes, of what holds. Raises Denied SAFE_BELOW_THRESHOLD, SAFE_SIGNATURE_FOREIGN."""
        held = (s for s in self.document.signatures if s.owner not in self.false)
        return ss.pack(held, now.state.owners, now.state.threshold)

    def lines(self) -> list[str]:
        """What a person has to know of it."""
        told = {
            ss.Form.APPROVED: "approved its hash on chain",
            ss.Form.CONTRACT: "is a contract and agrees",
            ss.Form.ETH_SIGN: "signed its hash as a message",
        }
        holds = [
            f"{s.owner} {told[s.form]}."
            for s in self.document.signatures
            if s.form in told and s.owner not in self.false
        ]
        return holds + [f"{o} IS SAID TO AGREE AND DOES NOT: the Safe denies it." for o in self.false]


async def as_the_safe_sees(gateway: Gateway, document: SafeDocument, now: SafeNow) -> Counted:
    """Raises Retry where the chain does not answer."""
    owners = now.state.owners
    silent = [o for o in owners if o not in document.signers]
    claimed = [s for s in document.signatures if not s.proved and s.owner in owners]
    calls = [Call(document.safe, encode("safe", "approvedHashes", (o, document.digest))) for o in silent]
    calls += [ss.check_one(document.safe, document.typed, s) for s in claimed]
    if not calls:
        return Counted(document, ())
    _, answers = await gateway.multicall(calls, now.block.number)
    for owner, answer in zip(silent, answers, strict=False):
        if not answer.ok or len(answer.data) < 32:
            raise Retry("MALFORMED_ANSWER", "the Safe did not answer approvedHashes()", "ask again")
        if any(answer.data[:32]):
            document = with_confirmation(document, Confirmation(owner, ss.by_approval(owner).alone))
    judged = zip(claimed, answers[len(silent) :], strict=True)
    return Counted(document, tuple(s.owner for s, answer in judged if not answer.ok))
