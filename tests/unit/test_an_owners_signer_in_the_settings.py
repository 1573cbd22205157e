"""[[wallet.owners]] signer = { kind = … }: read strictly, bound to its owner and its world, and used when that owner signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import custody as c
import pytest
from fake_ledger import LedgerApp, emulator
from settings_values import BASE_USDC, OWNER_A, OWNER_B, SAFE, SENDER, USDC, WETH, values

from agent.app import signer_file, template
from agent.app.multisig import serving
from agent.app.settings import Settings, parse
from agent.app.settings_checks import signer_of
from agent.app.signatures import AttendedOwner, AttendedOwners
from agent.domain.errors import Denied, Usage
from chains.bridges.across import SPOKE_POOLS
from chains.types import Address
from keys import safe
from keys.curve import address_of, recover
from keys.policy_settings import BridgeWay, Cap
from keys.settings import KeyReference, environment_names, signer_settings
from keys.settings import load as read_signer_file
from keys.signers import SignerSpec, read_spec, to_data

HERE = Path("/nowhere/fairlead.toml")
LEDGER = {"kind": "ledger", "environment": "devnet", "path": "44'/60'/0'/0/0", "timeout_s": 60}
KMS = {"kind": "aws_kms", "environment": "devnet", "key_id": "alias/owner", "region": "eu-central-1"}


def settings(signer: Any, **more: Any) -> Settings:
    owners = [{"address": OWNER_A, "signer": signer} | more, {"address": OWNER_B}]
    return parse(template.render(values(wallet__owners=owners), HERE), HERE).settings


def test_an_owner_may_have_any_kind_of_signer() -> None:
    for table in (LEDGER, KMS, LEDGER | {"address": OWNER_A}):
        spec = signer_of(settings(table).wallet.owners[0])
        assert spec is not None and spec.address == OWNER_A and spec.kind == table["kind"]
        assert read_spec(to_data(spec)) == spec
    assert signer_of(settings(LEDGER).wallet.owners[1]) is None


@pytest.mark.parametrize(
    ("signer", "more", "said"),
    [
        ({"kind": "ledgr", "environment": "devnet"}, {}, "did you mean ledger?"),
        (LEDGER | {"pth": "x"}, {}, "pth is no setting of ledger; did you mean path?"),
        ({k: v for k, v in LEDGER.items() if k != "environment"}, {}, "environment must say which world"),
        (LEDGER | {"environment": "live"}, {}, "its key is for live, these settings are for devnet"),
        (LEDGER | {"address": OWNER_B}, {}, "is not this owner's"),
        (KMS | {"secret_access_key": "hunter2"}, {}, "secret_access_key must be a secret reference"),
        ({k: v for k, v in KMS.items() if k != "region"}, {}, "region is missing"),
        (LEDGER, {"keystore": "a.json"}, "this owner has a keystore or a password as well"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(signer: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(Usage) as wrong:
        settings(signer, **more)
    assert f"wallet.owners[0].signer: {said}" in wrong.value.message or said in wrong.value.message
    assert "wallet.owners[0].signer" in wrong.value.message and "hunter2" not in str(wrong.value)


def sent_by(sender: dict[str, Any]) -> Settings:
    return parse(template.render(values(wallet__sender={"address": SENDER} | sender), HERE), HERE).settings


def test_the_sender_may_have_any_kind_of_signer_and_the_signers_own_file_names_it(tmp_path: Path) -> None:
    for table in (
        KMS,
        LEDGER,
        {"kind": "keystore", "environment": "devnet", "keystore": "/keys/sender.json"},
    ):
        found = sent_by({"signer": table})
        data = signer_file.content(found, {1: {Address(WETH): (5, 20)}})
        read = signer_settings(data)
        (held,) = read.senders
        if table["kind"] == "keystore":
            assert held == KeyReference("/keys/sender.json", None)
        else:
            assert isinstance(held, SignerSpec) and (held.kind, held.address) == (table["kind"], SENDER)
        policy = read.chains[1]
        assert policy.tokens[WETH] == Cap(5, 20) and policy.tokens[USDC] == Cap(0, 0)
        assert policy.owners == {OWNER_A, OWNER_B} and policy.threshold == 2 and not read.owners
        assert data["exchanges"]["paper"]["secret"] == "credential:paper"
        assert read.exchanges["paper"].sends_to == (found.venues[0].base_url or "https://api.binance.com")
    path = tmp_path / "own" / "signer.json"
    signer_file.write(path, data)
    assert path.stat().st_mode & 0o777 == 0o600 and read_signer_file(path) == read
    with pytest.raises(Usage, match="is there already"):
        signer_file.write(path, data)


def test_an_exchange_whose_address_is_a_reference_is_sent_to_by_the_signer_too(tmp_path: Path) -> None:
    """The reference is written as it stands, kept in the signer's environment, and resolved by nobody but the signer."""
    found = sent_by({"signer": KMS})
    venues = tuple(v.model_copy(update={"base_url": "env:PAPER_URL"}) for v in found.venues)
    read = signer_settings(signer_file.content(found.model_copy(update={"venues": venues}), {}))
    assert read.exchanges["paper"].sends_to == "env:PAPER_URL" and "PAPER_URL" in environment_names(read)


@pytest.mark.parametrize(
    ("sender", "said"),
    [
        ({"signer": KMS | {"region": ""}}, "wallet.sender.signer"),
        ({"signer": KMS, "keystore": "a.json"}, "this sender has a keystore or a password as well"),
        ({"signer": KMS | {"address": OWNER_A}}, "is not this sender's"),
        ({"signer": KMS | {"environment": "live"}}, "its key is for live"),
        ({"signer": {"kind": "kms", "environment": "devnet"}}, "did you mean aws_kms?"),
        ({"signer": KMS | {"secret_access_key": "hunter2"}}, "must be a secret reference"),
    ],
)
def test_what_is_wrong_with_the_senders_is_named_with_its_place(sender: dict[str, Any], said: str) -> None:
    with pytest.raises(Usage) as wrong:
        sent_by(sender)
    assert said in wrong.value.message and "wallet.sender.signer" in wrong.value.message
    assert "hunter2" not in str(wrong.value)


def test_a_senders_key_that_is_nowhere_is_told_when_the_signers_file_is_made() -> None:
    with pytest.raises(Usage) as wrong:
        signer_file.content(sent_by({}), {})
    assert wrong.value.code == "SENDER_WITHOUT_KEY"


def test_a_chain_may_have_its_transaction_service(tmp_path: Path) -> None:
    data = values()
    data["chains"][0] |= {"safe_service": f"file:{tmp_path}/url", "safe_service_key": f"file:{tmp_path}/key"}
    for name, content in (("url", "https://service.example/with-a-key"), ("key", "hunter2")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    first, second = parse(template.render(data, HERE), HERE).settings.chains
    at = serving.address_of(None, None, first)
    assert at is not None and at.key == "hunter2" and at.url.reveal() == "https://service.example/with-a-key"
    assert "hunter2" not in repr(at.url) and serving.address_of(None, None, second) is None
    assert serving.address_of("none", None, first) is None
    typed = serving.address_of("http://127.0.0.1:1", None, first)
    assert typed is not None and typed.key is None and typed.url.reveal() == "http://127.0.0.1:1"
    data["chains"][0].pop("safe_service")
    with pytest.raises(Usage, match="there is no safe_service that it is for"):
        parse(template.render(data, HERE), HERE)


@pytest.mark.parametrize(("signer", "refused"), [(KMS, True), (LEDGER, False)])
def test_live_a_service_that_asks_nobody_counts_as_a_key_at_hand(signer: Any, refused: bool) -> None:
    owners = [{"address": OWNER_A, "signer": signer | {"environment": "live"}}, {"address": OWNER_B}]
    live = values(environment="live", wallet__owners=owners, wallet__threshold=1)
    live["chains"][1]["rpc"] = ["https://rpc.example"]
    try:
        template.render(live, HERE)
        problems = ""
    except Usage as wrong:
        problems = wrong.message
    assert ("the keys of 1 in services are at hand" in problems) is refused


async def test_attended_owners_sign_by_their_devices() -> None:
    """The agent's own road: a process for each owner, which asks a device; two of two, and one who refuses."""
    first, second = (
        LedgerApp(b"the seed of the first owner's device"),
        LedgerApp(b"the seed of the second one's"),
    )
    numbers = [44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0]
    digest = safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    with emulator(first) as one, emulator(second) as two:
        owners = tuple(
            AttendedOwner(
                address_of(app.key(numbers).public_key),
                None,
                None,
                read_spec(
                    LEDGER
                    | {
                        "address": address_of(app.key(numbers).public_key),
                        "transport": f"tcp:127.0.0.1:{port}",
                    }
                ),
            )
            for app, port in ((first, one), (second, two))
        )
        attended = AttendedOwners(owners, 2, "devnet")
        signatures = await attended.collect(1, Address(c.SAFE), c.sell(), c.NOW)
        packed = safe.pack_signatures(digest, signatures.values(), [o.address for o in owners], 2)
        assert set(safe.check_packed(digest, packed, [o.address for o in owners], 2)) == {
            o.address for o in owners
        }
        assert all(recover(digest, s) == o for o, s in signatures.items())
        second.person = "refuse"
        with pytest.raises(Denied, match="OWNER_DID_NOT_SIGN"):
            await attended.collect(1, Address(c.SAFE), c.sell(), c.NOW)


def test_only_the_variables_an_owner_names_go_to_its_process() -> None:
    spec = read_spec(KMS | {"address": OWNER_A, "access_key_id": "env:ID", "secret_access_key": "env:SECRET"})
    assert AttendedOwner(Address(OWNER_A), None, None, spec).references == ("env:ID", "env:SECRET")
    assert "--password" not in AttendedOwner(Address(OWNER_A), None, None, spec).command
    plain = AttendedOwner(Address(OWNER_A), Path("/k.json"), "env:PASSWORD")
    assert plain.command == ["--keystore", "/k.json", "--password", "env:PASSWORD"]
    assert plain.references == ("env:PASSWORD",)


def test_the_ways_to_other_chains_are_written_for_what_is_asked_for_and_bounded_alone() -> None:
    found = sent_by({"signer": KMS})
    caps = {1: {Address(USDC): (5, 20)}, 8453: {Address(BASE_USDC): (5, 20)}}
    assert not any(c.bridges for c in signer_settings(signer_file.content(found, caps)).chains.values())
    read = signer_settings(signer_file.content(found, caps, {"USDC": 30})).chains
    for here, there, give, receive in ((1, 8453, USDC, BASE_USDC), (8453, 1, BASE_USDC, USDC)):
        (way,) = read[here].bridges.items()
        assert way == ((there, give), BridgeWay(Address(SAFE), Address(receive), 30))
        assert read[here].contracts[SPOKE_POOLS[here]] == "across_spoke_pool"
        assert SPOKE_POOLS[here] in read[here].spenders
    other = {**caps, 8453: {Address(BASE_USDC): (5 * 10**12, 20 * 10**12)}}
    alone = found.model_copy(update={"chains": found.chains[:1]})
    for settings_, known, symbol, code in (
        (found, {}, "USDC", "NO_BRIDGE_CAP"),
        (found, {1: caps[1]}, "USDC", "NO_BRIDGE_CAP"),
        (found, caps, "PEPE", "NO_BRIDGE_CAP"),
        (found, other, "USDC", "UNEQUAL_DECIMALS"),
        (alone, caps, "USDC", "NO_BRIDGE"),
    ):
        with pytest.raises(Usage) as wrong:
            signer_file.content(settings_, known, {symbol: 30})
        assert wrong.value.code == code and wrong.value.hint
