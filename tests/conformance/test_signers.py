"""Every module of keys that exposes SIGNER against one set of rules: a new kind is tested by being there, and by a holder for it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import custody as c
import pytest
from signer_holders import HOLDERS, Holder

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from keys import curve, safe, transactions
from keys.signers import Signer, SignerFacts, load, names, open_signer, read_spec
from keys.typed import TypedHash

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from eth_account import Account
    from eth_account.messages import encode_defunct
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

DEVNET = Environment.DEVNET
ROOT = Path(__file__).resolve().parents[2]
SIGNING = [n for n in names() if load(n).signs]
SLOW = [n for n in SIGNING if load(n).slow]


@pytest.fixture(scope="module")
def holders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Holder]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield {n: stack.enter_context(h(tmp_path_factory.mktemp(n))) for n, h in HOLDERS.items()}


@pytest.fixture
def holder(holders: dict[str, Holder], name: str) -> Iterator[Holder]:
    holders[name].well()
    yield holders[name]
    holders[name].well()


@pytest.fixture
def signer(holder: Holder) -> Iterator[Signer]:
    opened = open_signer(read_spec(holder.spec), DEVNET)
    yield opened
    opened.close()


every = pytest.mark.parametrize("name", names())
signing = pytest.mark.parametrize("name", SIGNING)
slow = pytest.mark.parametrize("name", SLOW)


def transaction(nonce: int = 7, data: bytes = b"\x01" * 700) -> UnsignedTx:
    return c.outer(data, nonce)


def typed(nonce: int = 0) -> TypedHash:
    return safe.typed(1, Address(c.SAFE), c.sell(nonce=nonce))


def wellformed(digest: bytes, signature: bytes, address: str) -> None:
    """65 bytes, low s, v 27 or 28, and eth_account recovers the address."""
    assert len(signature) == 65 and signature[64] in (27, 28)
    assert 0 < int.from_bytes(signature[32:64], "big") <= curve.ORDER // 2
    assert Account._recover_hash(digest, signature=signature) == address
    assert curve.recover(digest, signature) == address


def test_each_kind_has_a_holder_here() -> None:
    assert set(names()) == set(HOLDERS) and {"keystore", "ledger", "aws_kms", "web3signer", "watch"} <= set(
        names()
    )


@every
def test_the_facts_are_complete(name: str) -> None:
    facts = load(name)
    assert isinstance(facts, SignerFacts) and facts.name == name
    assert facts.holds_key_on and facts.note and all(o.about for o in facts.options)
    assert len({o.name for o in facts.options}) == len(facts.options)


@every
def test_the_address_is_the_keys_own(name: str, holder: Holder, signer: Signer) -> None:
    assert signer.address == holder.address and signer.environment is DEVNET
    assert signer.facts is load(name)
    for member in ("shows", "sign_transaction", "sign_typed", "sign_message", "close"):
        assert callable(getattr(signer, member))


@signing
def test_typed_hashes_transactions_and_messages_recover_to_it(
    name: str, holder: Holder, signer: Signer
) -> None:
    for nonce in range(12):
        wellformed(typed(nonce).digest, signer.sign_typed(typed(nonce)), holder.address)
    for message in (b"", b"hello", b"\x00\xff" * 300):
        signature = signer.sign_message(message)
        wellformed(curve.personal_digest(message), signature, holder.address)
        assert Account.recover_message(encode_defunct(message), signature=signature) == holder.address


@signing
@pytest.mark.parametrize("size", [0, 1, 180, 229, 230, 255, 485, 510, 5_000])
def test_a_transaction_is_eth_accounts_own(name: str, holder: Holder, signer: Signer, size: int) -> None:
    tx = transaction(3, b"\xab" * size)
    signed = signer.sign_transaction(tx)
    assert isinstance(signed, SignedTx) and (signed.sender, signed.nonce, signed.chain_id) == (
        holder.address,
        3,
        1,
    )
    assert Account.recover_transaction(signed.raw) == holder.address
    theirs = TypedTransaction.from_bytes(HexBytes(signed.raw))
    fields = theirs.as_dict()
    assert (
        "0x" + bytes(theirs.hash() or b"").hex() != "0x" and signed.hash == "0x" + c.keccak(signed.raw).hex()
    )
    assert (fields["chainId"], fields["nonce"], fields["gas"], fields["value"]) == (1, 3, tx.gas, 0)
    assert bytes(HexBytes(fields["data"])) == tx.data and c.keccak(transactions.preimage(tx)) == bytes(
        theirs.hash()
    )
    if holder.key is not None:
        assert curve.SigningKey(holder.key).sign(transactions.digest(tx))[:64] == _rs(signed.raw)


def _rs(raw: bytes) -> bytes:
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return int(fields["r"]).to_bytes(32, "big") + int(fields["s"]).to_bytes(32, "big")


@signing
def test_a_safe_takes_the_signature_beside_any_others(name: str, holder: Holder, signer: Signer) -> None:
    owners = [holder.address, *(o.address for o in c.OWNERS)]
    digest = typed().digest
    signatures = [signer.sign_typed(typed()), c.OWNERS[0].sign(digest), c.OWNERS[1].sign(digest)]
    packed = safe.pack_signatures(digest, signatures, owners, 3)
    assert holder.address in safe.check_packed(digest, packed, owners, 3)


@every
@pytest.mark.parametrize("elsewhere", [Environment.FORK, Environment.LIVE])
def test_another_environment_is_refused_before_anything_is_asked(
    name: str, holder: Holder, elsewhere: Environment
) -> None:
    before = holder.asked()
    with pytest.raises(Denied) as denied:
        open_signer(read_spec(holder.spec), elsewhere)
    assert denied.value.code == "KEY_OTHER_ENVIRONMENT" and holder.asked() == before


@signing
def test_another_key_than_the_settings_name_is_refused(name: str, holder: Holder) -> None:
    with pytest.raises((Denied, Usage)) as refused:
        open_signer(read_spec(holder.spec | {"address": holder.other}), DEVNET)
    assert refused.value.code in ("SIGNER_OTHER_KEY", "SIGNER_KEY_UNKNOWN")
    assert holder.other in refused.value.message


def test_watch_only_says_so_and_signs_nothing(holders: dict[str, Holder]) -> None:
    signer = open_signer(read_spec(holders["watch"].spec), DEVNET)
    asked = [
        (signer.sign_typed, typed()),
        (signer.sign_transaction, transaction()),
        (signer.sign_message, b""),
    ]
    for ask, what in asked:
        with pytest.raises(Denied) as denied:
            ask(what)  # type: ignore[operator]
        assert denied.value.code == "WATCH_ONLY" and signer.address in denied.value.message


def _all(signer: Signer) -> list[FairleadError | None]:
    """What each of the three questions comes to."""
    found: list[FairleadError | None] = []
    for ask, what in (
        (signer.sign_typed, typed()),
        (signer.sign_transaction, transaction()),
        (signer.sign_message, b"x"),
    ):
        try:
            ask(what)  # type: ignore[operator]
            found.append(None)
        except FairleadError as error:
            found.append(error)
    return found


@slow
def test_a_refusal_is_final_and_the_next_question_is_asked_afresh(
    name: str, holder: Holder, signer: Signer
) -> None:
    assert holder.refuses is not None
    holder.refuses()
    for error in _all(signer):
        assert isinstance(error, (Denied, Reject)) and error.code == holder.codes["refuses"]
    holder.well()
    assert _all(signer) == [None] * 3


@slow
def test_a_time_out_is_a_retry_and_asking_again_signs_the_same_bytes(
    name: str, holder: Holder, signer: Signer
) -> None:
    assert holder.silent is not None
    holder.silent()
    started = time.monotonic()
    with pytest.raises(Retry) as retry:
        signer.sign_transaction(transaction())
    assert retry.value.code == holder.codes["silent"] and time.monotonic() - started < 4
    holder.well()
    again = signer.sign_transaction(transaction())
    assert Account.recover_transaction(again.raw) == holder.address
    # Whatever was signed while nobody listened is the same transaction: one nonce, executed once.
    assert again.nonce == transaction().nonce


@slow
def test_death_in_the_middle_is_a_retry_and_leaves_nothing_stuck(
    name: str, holder: Holder, signer: Signer
) -> None:
    assert holder.dies is not None
    holder.dies()
    for error in _all(signer):
        assert isinstance(error, Retry) and error.code == holder.codes["dies"]
    holder.well()
    assert _all(signer) == [None] * 3


@slow
def test_another_keys_signature_is_never_used(name: str, holder: Holder, signer: Signer) -> None:
    assert holder.lies is not None
    holder.lies()
    with pytest.raises(Denied) as denied:
        signer.sign_typed(typed())
    assert denied.value.code == "SIGNATURE_NOT_OURS"
    holder.well()
    wellformed(typed().digest, signer.sign_typed(typed()), holder.address)


@slow
def test_closing_from_another_thread_ends_a_pending_call(name: str, holder: Holder, signer: Signer) -> None:
    assert holder.silent is not None
    patient = open_signer(read_spec(holder.spec | {"timeout_s": 2}), DEVNET)
    holder.silent()
    before, ended = holder.asked(), []

    def ask() -> None:
        try:
            patient.sign_typed(typed())
        except FairleadError as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while holder.asked() == before:
        time.sleep(0.01)
    time.sleep(0.1)
    patient.close()
    thread.join(5)
    assert not thread.is_alive() and isinstance(ended[0], Retry)
    holder.well()


@every
def test_nothing_secret_is_shown_or_stored(name: str, holder: Holder, signer: Signer) -> None:
    said = [repr(signer), str(signer), repr(read_spec(holder.spec)), repr(signer.facts)]
    for bad in (holder.refuses, holder.silent, holder.dies, holder.lies):
        if bad is None:
            continue
        bad()
        for ask, what in ((signer.sign_typed, typed()), (signer.sign_message, b"x")):
            try:
                ask(what)  # type: ignore[operator]
            except FairleadError as error:
                said += [str(error), repr(error), repr(error.__cause__)]
        holder.well()
    for secret in holder.secrets:
        assert all(secret not in text for text in said)
    if name != "watch":
        with pytest.raises(TypeError):
            pickle.dumps(signer)


@every
def test_settings_are_read_strictly(name: str, holder: Holder) -> None:
    facts = load(name)

    def refused(change: dict[str, object], said: str, without: str = "") -> None:
        spec = {k: v for k, v in holder.spec.items() if k != without} | change
        with pytest.raises(Usage) as usage:
            read_spec(spec, "owners[0]")
        assert said in usage.value.message and "hunter2" not in str(usage.value)

    refused({"kind": name[:-1] + "x"}, "there is no kind of signer")
    refused({"enviroment": "devnet"}, "owners[0].enviroment is no setting")
    refused({}, "owners[0].environment must say", without="environment")
    refused({"environment": "mainnet"}, "owners[0].environment must say")
    if facts.needs_address:
        refused({}, "owners[0].address is missing", without="address")
    refused({"address": "0x12"}, "owners[0].address is not an address")
    for option in facts.options:
        if option.secret:
            refused({option.name: "hunter2"}, f"owners[0].{option.name} must be a secret reference")
        if option.required:
            refused({}, f"owners[0].{option.name} is missing", without=option.name)
        refused({option.name: ["hunter2"]}, f"owners[0].{option.name} must be a text or a number")
        if option.name == "timeout_s":
            with pytest.raises(Usage, match="number of seconds"):
                open_signer(read_spec(holder.spec | {"timeout_s": "-1"}), DEVNET)


def child(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_optional_parts_are_imported_only_when_such_a_key_is_opened() -> None:
    code = "import sys; from keys.signers import load, names; [load(n) for n in names()]; print(sorted({'boto3', 'botocore', 'hid'} & set(sys.modules)))"
    assert child(code) == "[]"


@pytest.mark.parametrize(
    ("absent", "spec", "code"),
    [
        ("boto3", {"kind": "aws_kms", "key_id": "x", "region": "eu-central-1"}, "KMS_EXTRA_MISSING"),
        ("hid", {"kind": "ledger"}, "LEDGER_EXTRA_MISSING"),
    ],
)
def test_a_part_that_is_not_installed_is_named(absent: str, spec: dict[str, str], code: str) -> None:
    spec = spec | {"environment": "devnet", "address": c.SAFE}
    said = child(
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from chains.types import Environment\nfrom chains.errors import Usage\nfrom keys.signers import open_signer, read_spec\n"
        f"try: open_signer(read_spec({spec!r}), Environment.DEVNET)\n"
        "except Usage as error: print(error)"
    )
    assert said.startswith(code) and "Install fairlead[" in said


@every
def test_only_a_keystore_signs_a_delegation_and_the_others_say_so(
    name: str, holder: Holder, signer: Signer
) -> None:
    """EIP-7702: neither a device nor a service is given bytes whose meaning its holder is not shown."""
    from chains.types import ZERO_ADDRESS
    from keys.delegations import Authorization, sign
    from keys.policy_settings import ChainPolicy

    policy = ChainPolicy(1, Address(c.SAFE), frozenset(), 1, {}, frozenset(), {}, ZERO_ADDRESS)
    back = Authorization(1, ZERO_ADDRESS, 0)
    before = holder.asked()
    if name == "keystore":
        assert sign(signer, back, policy).account == holder.address
        return
    with pytest.raises(Denied) as denied:
        sign(signer, back, policy)
    assert denied.value.code == "DELEGATION_UNSUPPORTED" and f"the {name} signer" in denied.value.message
    assert holder.asked() == before
