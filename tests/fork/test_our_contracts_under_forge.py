"""Our contracts' own tests under forge, and their bytes: what the records say is what the sources compile to, by either door."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chains.devnet import packages, solidity
from chains.devnet.artifacts import artifact
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from contracts import abi, gate
from contracts.codec import interface
from contracts.flash_repay import ADDRESS as FLASH_AT
from contracts.flash_repay import FLASH
from contracts.hashing import keccak
from contracts.offers import OFFERS
from contracts.own import Own
from contracts.payments import FURTHER_PAYMENTS, PAYMENTS
from contracts.route_executor import ADDRESS, EXECUTOR

pytestmark = pytest.mark.devnet
LEAST = {
    **{"Fuzz": 5, "Invariant": 5, "Lending": 9, "Settings": 13, "Gate": 26},
    **{"RouteExecutor": 27, "RouteInvariant": 2, "Offers": 24, "OffersInvariant": 4},
    **{"FlashRepay": 30, "FlashInvariant": 2},
    **{"Payments": 31, "PaymentsInvariant": 4},
    **{"FurtherPayments": 30, "FurtherInvariant": 4},
}
OWN = {
    "Gate": gate.GATE,
    "Offers": OFFERS,
    "Payments": PAYMENTS,
    "FurtherPayments": FURTHER_PAYMENTS,
    "RouteExecutor": EXECUTOR,
    "FlashRepay": FLASH,
}


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    packages.ensure()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One compilation for every run of forge here."""
    return tmp_path_factory.mktemp("forge")


def test_unit_fuzz_and_invariant_tests_pass(compiled: Path) -> None:
    done = solidity.forge("test", "--json", kept=compiled)
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    failed, count = [], dict.fromkeys(LEAST, 0)
    for suite, result in answer.items():
        name = suite.split("/")[-1].split(".")[0]
        for test, told in result["test_results"].items():
            count[name] += 1
            if told["status"] != "Success":
                failed.append(f"{name}.{test}: {told['reason']}")
            kind = told["kind"]
            if "Fuzz" in kind:
                assert kind["Fuzz"]["runs"] >= 256, test
            if "Invariant" in kind:
                assert kind["Invariant"]["calls"] >= 2048, test
    assert failed == []
    assert done.returncode == 0
    assert all(count[name] >= least for name, least in LEAST.items()), count


def test_the_recorded_hashes_are_those_of_the_source() -> None:
    compiled = solidity.compiled()
    assert set(compiled) == set(OWN)
    for name, recorded in OWN.items():
        assert solidity.hashes(compiled[name]) == recorded.record
        assert compiled[name]["bytecode"] == artifact(name).bytecode
        assert int(recorded.record["runtime_bytes"]) < 24_576


@pytest.mark.parametrize("name", OWN)
def test_forge_and_solc_give_the_same_bytes(name: str, compiled: Path) -> None:
    done = solidity.forge("inspect", name, "bytecode", kept=compiled)
    code = re.findall(r"0x([0-9a-f]{1000,})", done.stdout)
    assert len(code) == 1, done.stderr
    assert keccak(bytes.fromhex(code[0])) == OWN[name].creation_hash


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gate", "Gate"),
        ("offers", "Offers"),
        ("payments", "Payments"),
        ("further_payments", "FurtherPayments"),
        ("route_executor", "RouteExecutor"),
        ("flash_repay", "FlashRepay"),
    ],
)
def test_the_interface_file_is_the_contracts_own(file: str, name: str) -> None:
    ours, own = interface(file), artifact(name).abi

    def kinds(kind: str) -> set[str]:
        return {f"{e['name']}({','.join(map(_type, e['inputs']))})" for e in own if e["type"] == kind}

    assert {e.signature for e in ours.by_selector.values()} == kinds("function")
    assert {e.signature for e in ours.errors.values()} == kinds("error")
    assert {e.signature for e in ours.events.values()} == kinds("event")
    indexed = {e["name"]: tuple(i["indexed"] for i in e["inputs"]) for e in own if e["type"] == "event"}
    assert {e.name: e.indexed for e in ours.events.values()} == indexed
    assert abi.load(file)["errors"]


def _type(entry: dict[str, object]) -> str:
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        parts = entry["components"]
        assert isinstance(parts, list)
        return f"({','.join(map(_type, parts))}){kind.removeprefix('tuple')}"
    return kind


@pytest.mark.parametrize("chain", [1, 8453, 42161])
def test_every_chains_reference_gate_has_the_recorded_code(devnet: Status, chain: int) -> None:
    placed = [c for c in devnet.contracts if c.chain == chain and c.name.startswith("Gate")]
    assert len(placed) == 1 and placed[0].label == "exact" and "unaudited" in placed[0].name
    with Rpc(devnet.cheat_urls[chain]) as rpc:
        code = bytes.fromhex(rpc("eth_getCode", placed[0].address, "latest")[2:])
    assert keccak(code) == gate.runtime_hash()


@pytest.mark.parametrize("chain", [1, 8453, 42161])
@pytest.mark.parametrize(("at", "own"), [(ADDRESS, EXECUTOR), (FLASH_AT, FLASH)])
def test_the_ownerless_ones_have_one_address_and_the_recorded_code_on_every_chain(
    devnet: Status, chain: int, at: str, own: Own
) -> None:
    (placed,) = [c for c in devnet.contracts if c.chain == chain and c.name.startswith(own.name)]
    assert placed.address == at and "unaudited" in placed.name
    with Rpc(devnet.cheat_urls[chain]) as rpc:
        code = bytes.fromhex(rpc("eth_getCode", at, "latest")[2:])
    assert keccak(code) == own.runtime_hash


def test_other_code_is_not_placed() -> None:
    creation = bytes.fromhex(artifact("Gate").bytecode)
    safe = "0x5aFE3855358E112B5647B952709E6165e1c1eEEe"
    assert gate.address(creation, safe) != gate.address(creation, "0x" + "11" * 20)
    with pytest.raises(ValueError, match="not the Gate of gate.json"):
        gate.address(creation[:-1] + bytes([creation[-1] ^ 1]), safe)
