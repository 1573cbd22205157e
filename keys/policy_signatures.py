"""Did the owners sign what the sending key is asked to carry? Judged from the packed bytes alone: this process has no chain. Pure.

    form                   unattended           attended (people signed it themselves)
    key, eth_sign          proved by recovery   proved by recovery
    approved, contract     refused              taken as a claim: owner, order and form are judged here, its truth by the Safe

An attended transaction adds nothing to what the owners signed but gas, which stays capped; where a claim is false the Safe reverts
(GS024, GS025) and that gas is all that is lost. One claim is never taken: an approval in the sending key's own name. The Safe takes
the sender's word without any approval, so there the signature asked for would itself be an owner's consent, given by nobody.
"""

from __future__ import annotations

from collections.abc import Collection

from chains.errors import Denied
from keys import safe_signatures as ss


def check(
    digest: bytes, packed: bytes, owners: Collection[str], threshold: int, sender: str, *, attended: bool
) -> tuple[ss.OwnerSignature, ...]:
    """The owners' signatures. Raises Denied as `safe_signatures.unpack`, and SAFE_SIGNATURE_UNPROVED, SAFE_SIGNATURE_SENDERS."""
    found = ss.unpack(digest, packed, owners, threshold)
    if ss.pack(found, owners, threshold) != packed:
        raise Denied(
            "SAFE_SIGNATURE_INVALID",
            "the signatures are not packed in the one way there is: something else is among or behind them",
            "Fairlead packs them itself; take nothing that another program packed.",
        )
    for signature in found:
        if signature.form is ss.Form.APPROVED and signature.owner == sender:
            raise Denied(
                "SAFE_SIGNATURE_SENDERS",
                f"{sender} would count as an owner who agrees, merely by sending it",
                "That owner signs like the others; a sending key should own nothing.",
            )
        if not attended and not signature.proved:
            raise Denied(
                "SAFE_SIGNATURE_UNPROVED",
                f"the {signature.form.value} signature of {signature.owner} can be judged on chain only",
                "Unattended, owners sign with their keys.",
            )
    return found
