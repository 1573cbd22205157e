"""The open protocol for a key in shares, with real processes and a test-only engine: made, used, renewed, and attacked by who takes part."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import custody as c
import pytest
from coincurve import PublicKey
from mpc_group import PASSWORD, ROOT, Shares, sharing

from chains.errors import Denied, FairleadError, Retry, Usage
from chains.types import Address, Environment, UnsignedTx
from contracts.hashing import keccak
from keys import curve, mpc_vault, safe
from keys.mpc_policy import to_data
from keys.noise import public_of
from keys.secrets import Secret
from keys.signers import Signer, open_signer, read_spec

RULES = {
    "chains": [1], "to": [c.SAFE], "max_value_wei": "1000", "max_fee_wei": str(10**20), "safes": [c.SAFE],
    "messages": True, "ceremonies": True,
}  # fmt: skip


@pytest.fixture
def shares() -> Iterator[Shares]:
    with sharing(rules=RULES) as found:
        yield found


@pytest.fixture(scope="module")
def kept() -> Iterator[Shares]:
    """One group for the cases that change nothing of it."""
    with sharing(rules=RULES) as found:
        yield found


def address(shares: Shares) -> Address:
    part = shares.vault(0).content.current
    assert part is not None
    return curve.address_of(PublicKey(part.public))


def signer(shares: Shares, timeout_s: float = 8) -> Signer:
    spec = {
        "kind": "mpc",
        "environment": "devnet",
        "address": address(shares),
        **shares.options,
        "timeout_s": timeout_s,
    }
    return open_signer(read_spec(spec), Environment.DEVNET)


def signs(shares: Shares, message: bytes = b"gm") -> None:
    found = signer(shares)
    assert curve.recover(curve.personal_digest(message), found.sign_message(message)) == found.address


def refused(shares: Shares, message: bytes = b"gm") -> FairleadError:
    with pytest.raises(FairleadError) as error:
        signer(shares).sign_message(message)
    return error.value


def test_any_two_sign_and_one_alone_does_not(shares: Shares) -> None:
    for away in range(3):
        shares.stop(away, hard=True)
        signs(shares, b"without %d" % away)
        shares.start(away)
    shares.stop(0)
    shares.stop(1)
    with pytest.raises(Retry) as retry:
        signer(shares)
    assert (
        retry.value.code == "MPC_TOO_FEW" and "1 shares can take part and 2 are needed" in retry.value.message
    )


def test_no_two_shares_hold_the_same_and_each_file_is_sealed(shares: Shares) -> None:
    parts = [shares.vault(n).content.current for n in range(3)]
    secrets = {p.secret.reveal()[:32] for p in parts if p}
    assert len(secrets) == 3 and len({p.public for p in parts if p}) == 1
    for n in range(3):
        path = shares.folder / f"share-{n}"
        raw = path.read_text()
        assert path.stat().st_mode & 0o077 == 0 and all(s.hex() not in raw for s in secrets)
        with pytest.raises(Usage) as usage:
            mpc_vault.unlock(path, Secret(b"another password"))
        assert usage.value.code == "WRONG_PASSWORD"
    data = json.loads(raw)
    for bent in (
        {**data, "box": data["box"][:-1] + ("1" if data["box"][-1] == "0" else "0")},
        {**data, "scrypt": {**data["scrypt"], "r": 4}},
    ):
        path.write_text(json.dumps(bent))
        with pytest.raises(Usage) as usage:
            mpc_vault.unlock(path, Secret(PASSWORD.encode()))
        assert usage.value.code == "WRONG_PASSWORD"
    with pytest.raises(Usage, match="never written over"):
        mpc_vault.create(path, Secret(b"x"))


def test_a_refresh_keeps_the_address_and_old_shares_do_not_fit_new_ones(shares: Shares) -> None:
    before, kept = address(shares), (shares.folder / "share-0").read_bytes()
    old = [shares.vault(n).content.current for n in range(3)]
    assert shares.coordinator().refresh() == (before, 2)
    new = [shares.vault(n).content.current for n in range(3)]
    assert all(
        a and b and a.secret.reveal() != b.secret.reveal() and a.public == b.public
        for a, b in zip(old, new, strict=True)
    )
    assert all(shares.vault(n).content.pending is None for n in range(3))
    signs(shares)
    # A thief's copy of one share from before, beside one from after: the process refuses it, and so does the arithmetic.
    shares.stop(0)
    (shares.folder / "share-0").write_bytes(kept)
    shares.start(0)
    signs(shares)
    assert [s["party"] for s in shares.shown()[-2:]] != [0, 1], "its generation is not the others'"
    # Its generation written up, as its holder could do: it does not fit, and nothing is signed.
    vault = shares.vault(0)
    assert vault.content.current is not None
    forged = mpc_vault.Part(2, vault.content.current.public, vault.content.current.secret)
    vault.stage(forged)
    vault.commit(2)
    shares.stop(0)
    shares.start(0)
    error = refused(shares)
    assert (
        isinstance(error, Denied)
        and error.code == "MPC_ABORTED"
        and "share 0 broke the protocol" in error.message
    )


def test_a_share_that_missed_the_commit_makes_up_for_it(shares: Shares) -> None:
    """As if its process, or the coordinator, died between staging and committing."""
    vault = shares.vault(2).content.current
    assert vault is not None
    shares.coordinator().refresh()
    late = shares.vault(2)
    assert late.content.current is not None
    behind = mpc_vault.Vault(late._path, late._key, late._header, late.content)
    behind._write(mpc_vault.Content(late.content.identity, vault, late.content.current))
    shares.stop(2)
    shares.start(2)
    shares.stop(0)
    signs(shares)
    settled = shares.vault(2).content
    assert settled.pending is None and settled.current is not None and settled.current.generation == 2


@pytest.mark.parametrize("what", ["sign", "refresh"])
def test_a_share_that_lies_is_named_and_nothing_is_kept(shares: Shares, what: str) -> None:
    before = [(shares.folder / f"share-{n}").read_bytes() for n in range(3)]
    shares.mood.write_text("0 bad-share")
    with pytest.raises(Denied) as denied:
        signer(shares).sign_message(b"gm") if what == "sign" else shares.coordinator().refresh()
    assert denied.value.code == "MPC_ABORTED" and "share 0 broke the protocol" in denied.value.message
    assert [(shares.folder / f"share-{n}").read_bytes() for n in range(3)] == before
    shares.mood.write_text("")
    signs(shares)


def test_a_key_is_made_by_all_or_by_none() -> None:
    with sharing(rules=RULES, keygen=False) as shares:
        with pytest.raises(Usage) as usage:
            open_signer(
                read_spec({"kind": "mpc", "environment": "devnet", "address": c.SAFE, **shares.options}),
                Environment.DEVNET,
            )
        assert usage.value.code == "MPC_NO_KEY"
        shares.mood.write_text("2 bad-share")
        with pytest.raises(Denied, match="share 2 broke the protocol"):
            shares.coordinator().keygen()
        shares.mood.write_text("1 dies")
        with pytest.raises(Retry) as retry:
            shares.coordinator().keygen()
        assert retry.value.code == "MPC_ENGINE_GONE"
        shares.mood.write_text("")
        shares.stop(1)
        with pytest.raises(Retry, match="2 shares can take part and 3 are needed"):
            shares.coordinator().keygen()
        shares.start(1)
        assert all(shares.vault(n).content.current is None for n in range(3))
        made = shares.coordinator().keygen()
        assert made == (address(shares), 1)
        with pytest.raises(Denied, match="already has a part"):
            shares.coordinator().keygen()


def test_each_holder_reads_what_he_signs_and_one_no_is_enough(shares: Shares) -> None:
    tx = c.sell()
    typed = safe.typed(1, Address(c.SAFE), tx)
    found = signer(shares)
    assert curve.recover(typed.digest, found.sign_typed(typed)) == found.address
    shown = shares.shown()[-1]["lines"]
    assert any(
        "Sells 2.5 WETH for at least 4500 USDC on uniswap_v3, paid to this wallet" in line for line in shown
    )
    shares.holder.write_text("refuse")
    error = refused(shares)
    assert isinstance(error, Denied) and error.code == "MPC_REFUSED" and "its holder said no" in error.message


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"chain_id": 8453}, "chains"),
        ({"to": Address(c.THIEF)}, "to"),
        ({"value": 1001}, "max_value_wei"),
        ({"gas": 10**12}, "max_fee_wei"),
    ],
)
def test_each_share_judges_by_its_own_rules(kept: Shares, change: dict[str, Any], rule: str) -> None:
    before = len(kept.shown())
    good = c.outer(b"\x01" * 10, 3)
    fields = {n: getattr(good, n) for n in UnsignedTx.__dataclass_fields__} | change
    with pytest.raises(Denied) as denied:
        signer(kept).sign_transaction(UnsignedTx(**fields))
    assert denied.value.code == "MPC_REFUSED" and f"`{rule}`" in denied.value.message
    assert len(kept.shown()) == before, "its holder is not even asked"
    signer(kept).sign_transaction(good)


def test_one_strict_share_holds_back_what_the_others_would_sign(shares: Shares) -> None:
    shares.stop(1)
    shares.configs[1]["rules"] = shares.configs[1]["rules"] | {"messages": False}
    shares.start(1)
    assert refused(shares).code == "MPC_REFUSED"
    shares.stop(1)
    signs(shares)


def test_fields_that_are_not_what_is_hashed_are_refused(kept: Shares) -> None:
    """A coordinator who shows one transaction and asks for another's signature."""
    shown = to_data(safe.typed(1, Address(c.SAFE), c.sell()))
    theft = safe.typed(1, Address(c.SAFE), c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 10**6)))
    with pytest.raises(Usage, match="fields that are not what is hashed"):
        kept.coordinator().sign(shown | {"preimage": theft.preimage.hex()})
    with pytest.raises(Denied, match="came without its fields"):
        kept.coordinator().sign(shown | {"structs": []})
    with pytest.raises(Usage):
        kept.coordinator().sign({"kind": "digest", "digest": keccak(b"x").hex()})


def test_who_is_not_the_pinned_coordinator_is_hung_up_on(shares: Shares) -> None:
    (shares.folder / "coordinator").write_text("11" * 32)
    with pytest.raises(Denied) as denied:
        shares.coordinator().status()
    assert denied.value.code == "CHANNEL_NOT_AUTHENTIC"


def test_another_environment_does_not_reach_a_share(kept: Shares) -> None:
    with pytest.raises(Denied, match="CHANNEL_NOT_AUTHENTIC"):
        kept.coordinator(Environment.LIVE).status()


def test_a_share_in_another_ones_place_is_refused(shares: Shares) -> None:
    group = json.loads((shares.folder / "group.json").read_text())
    group["shares"][0]["key"] = public_of(b"\x05" * 32).hex()
    (shares.folder / "group.json").write_text(json.dumps(group))
    with pytest.raises(Denied, match="CHANNEL_NOT_AUTHENTIC"):
        shares.coordinator().status()


def test_a_new_question_ends_the_one_nobody_answers(shares: Shares) -> None:
    shares.holder.write_text("away")
    first: list[FairleadError] = []
    slow = signer(shares, timeout_s=6)

    def ask() -> None:
        try:
            slow.sign_message(b"first")
        except FairleadError as error:
            first.append(error)

    before = len(shares.shown())
    thread = threading.Thread(target=ask)
    thread.start()
    until = time.monotonic() + 5
    while len(shares.shown()) < before + 2 and time.monotonic() < until:
        time.sleep(0.02)
    shares.holder.write_text("")
    signs(shares, b"second")
    thread.join(10)
    assert first and isinstance(first[0], Retry)


def test_the_commands_make_keys_and_say_what_is_wrong(shares: Shares) -> None:
    def admin(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keys.mpc_admin", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    group = [
        "--environment",
        "devnet",
        "--group",
        shares.options["group"],
        "--identity",
        shares.options["identity"],
    ]
    told = json.loads(admin("status", *group).stdout)
    assert sorted(told) == ["0", "1", "2"] and told["0"]["current"]["generation"] == 1
    assert json.loads(admin("refresh", *group).stdout) == {"address": address(shares), "generation": 2}
    again = admin("keygen", *group)
    assert again.returncode == 3 and "MPC_HAS_KEY" in again.stderr and "Traceback" not in again.stderr
    made = admin("coordinator", str(shares.folder / "c2"))
    assert made.stdout.strip() == public_of(bytes.fromhex((shares.folder / "c2").read_text())).hex()
    assert admin("coordinator", str(shares.folder / "c2")).returncode == 2
    vault = admin("vault", str(shares.folder / "v"), "--password", f"file:{shares.folder / 'password'}")
    assert len(bytes.fromhex(vault.stdout.strip())) == 32 and PASSWORD not in vault.stdout + vault.stderr
    for bad, said in (
        (("fairlead", "x"), "fairlead"),
        (("engine", 3), "engine"),
        (("rules", {"too": []}), "rules.too"),
        (("partty", 1), "partty"),
    ):
        path = shares.folder / "bad.json"
        path.write_text(json.dumps(shares.configs[0] | dict([bad])))
        done = subprocess.run(
            [sys.executable, "-m", "keys.mpc_share", "--config", str(path)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
