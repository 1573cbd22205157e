"""One owner's signature over a proposal: who it is, whether it may be given, and proof that it is what it says."""

from __future__ import annotations

from agent.app.multisig.state import SafeNow, check_now
from agent.app.multisig.words import instant
from agent.app.settings_checks import signer_of
from agent.app.settings_tree import Owner, Settings
from agent.app.signatures import AttendedOwners, attended_owner
from agent.domain.errors import Denied, Usage
from agent.ports import Clock
from chains.types import Address
from keys import safe_signatures as ss
from keys.safe_document import Confirmation, SafeDocument
from keys.signers import load


def owner_named(settings: Settings, named: str | None) -> Owner:
    """By address or label; without a name the one owner that has a key here. Raises Usage OWNER_UNKNOWN, OWNER_ELSEWHERE."""
    able = [o for o in settings.wallet.owners if signs_here(o)]
    if named is None:
        if len(able) == 1:
            return able[0]
        raise Usage(
            "OWNER_UNKNOWN",
            f"{len(able)} owners have a key here; it is not said which one signs",
            "say who: --as " + (" or ".join(o.label or o.address for o in able) or "ADDRESS"),
        )
    found = [o for o in settings.wallet.owners if named.lower() in (o.label.lower(), o.address.lower())]
    if not found:
        known = ", ".join(o.label or o.address for o in settings.wallet.owners)
        raise Usage(
            "OWNER_UNKNOWN", f"'{named}' is no owner in the settings", f"there are: {known or 'none'}"
        )
    if not signs_here(found[0]):
        raise Usage(
            "OWNER_ELSEWHERE",
            f"{named} has no key on this machine and signs elsewhere",
            "hand the file over, or add keystore = … or signer = … to this owner under [wallet]",
        )
    return found[0]


def signs_here(owner: Owner) -> bool:
    """A keystore, or a signer of a kind that signs at all. Raises Usage for a signer's table that cannot be read."""
    if owner.keystore is not None:
        return True
    spec = signer_of(owner)
    return spec is not None and load(spec.kind).signs


def check_signer(document: SafeDocument, settings: Settings, now: SafeNow, owner: Owner) -> None:
    """Raises Denied as `check_now`, and SAFE_NOT_AN_OWNER."""
    check_now(document, settings, now)
    if owner.address not in now.state.owners:
        raise Denied(
            "SAFE_NOT_AN_OWNER",
            f"{owner.label or owner.address} ({owner.address}) is no owner of the Safe {document.safe}",
            f"owners are {', '.join(now.state.owners)}",
        )


async def signature_of(
    document: SafeDocument, settings: Settings, owner: Owner, clock: Clock
) -> Confirmation:
    """Asked of the owner's own process, which shows what it signs and asks for the password itself.

    Raises Denied OWNER_DID_NOT_SIGN, SAFE_SIGNATURE_FOREIGN where another key answered.
    """
    who = Address(owner.address)
    asked = AttendedOwners((attended_owner(owner),), 1, settings.environment.value)
    now_s = clock.now_ns() // 10**9
    given = await asked.collect(document.chain_id, document.safe, document.tx, now_s)
    found = ss.by_key(document.digest, given[who])
    if found.owner != who:
        raise Denied(
            "SAFE_SIGNATURE_FOREIGN", f"the signature given for {who} is {found.owner}'s", "nothing was kept"
        )
    return Confirmation(who, found.alone, instant(now_s))


def from_elsewhere(document: SafeDocument, text: str) -> Confirmation:
    """A signature that another program made, as 0x hex in any of the four forms. One with v 27 or 28 that is no owner's over the hash is
    tried as one over the hash as a message, which is how wallets without typed data give it.

    Raises Usage BAD_SIGNATURE, Denied SAFE_SIGNATURE_INVALID, SAFE_SIGNATURE_FOREIGN where the owners are known.
    """
    try:
        given = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Usage("BAD_SIGNATURE", "--signature is not hex", "it looks like 0x6f5b…1b") from None
    found = ss.read(document.digest, given)
    owners = document.seen.owners if document.seen is not None else None
    if found.form is ss.Form.KEY and owners is not None and found.owner not in owners:
        found = ss.by_message(document.digest, given)
    if owners is not None and found.owner not in owners:
        raise Denied(
            "SAFE_SIGNATURE_FOREIGN",
            "the signature is no owner's, neither over the hash nor over it as a message",
            "it was made by another key, or for another transaction, nonce, Safe or chain",
        )
    return Confirmation(found.owner, found.alone)
