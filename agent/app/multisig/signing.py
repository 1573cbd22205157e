"""One owner's signature over a proposal: who it is, whether it may be given, and proof that it is what it says."""

from __future__ import annotations

from agent.app.multisig.state import SafeNow, check_now
from agent.app.multisig.words import instant
from agent.app.settings_tree import Owner, Settings
from agent.app.signatures import AttendedOwner, AttendedOwners
from agent.domain.errors import Denied, Usage
from agent.ports import Clock
from chains.types import Address
from keys.safe import recover_owner
from keys.safe_document import Confirmation, SafeDocument


def owner_named(settings: Settings, named: str | None) -> Owner:
    """By address or label; without a name the one owner that has a keystore here. Raises Usage OWNER_UNKNOWN, OWNER_ELSEWHERE."""
    able = [o for o in settings.wallet.owners if o.keystore is not None]
    if named is None:
        if len(able) == 1:
            return able[0]
        raise Usage(
            "OWNER_UNKNOWN",
            f"{len(able)} owners have a keystore here; it is not said which one signs",
            "say who: --as " + (" or ".join(o.label or o.address for o in able) or "ADDRESS"),
        )
    found = [o for o in settings.wallet.owners if named.lower() in (o.label.lower(), o.address.lower())]
    if not found:
        known = ", ".join(o.label or o.address for o in settings.wallet.owners)
        raise Usage(
            "OWNER_UNKNOWN", f"'{named}' is no owner in the settings", f"there are: {known or 'none'}"
        )
    if found[0].keystore is None:
        raise Usage(
            "OWNER_ELSEWHERE",
            f"{named} has no keystore on this machine and signs elsewhere",
            "hand the file over, or add keystore = … to this owner under [wallet]",
        )
    return found[0]


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
    assert owner.keystore is not None
    who = Address(owner.address)
    asked = AttendedOwners(
        (AttendedOwner(who, owner.keystore, owner.password),), 1, settings.environment.value
    )
    now_s = clock.now_ns() // 10**9
    given = await asked.collect(document.chain_id, document.safe, document.tx, now_s)
    signature = given[who]
    found = recover_owner(document.digest, signature)
    if found != who:
        raise Denied(
            "SAFE_SIGNATURE_FOREIGN", f"the signature given for {who} is {found}'s", "nothing was kept"
        )
    return Confirmation(who, signature, instant(now_s))
