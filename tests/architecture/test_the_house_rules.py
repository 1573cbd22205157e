"""Rules of the house that a program can check: each was a number worth keeping, and each has failed somewhere else."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "chains", "contracts", "keys")
LAYOUT = {
    *PACKAGES, "tests", "scripts", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "ape-config.yaml", "requirements.lock",
}  # fmt: skip
PURE = (
    "agent/domain", "agent/amm", "agent/market", "agent/risk", "agent/routing", "agent/algos", "agent/hedging", "agent/margin", "chains/types.py",
    "chains/gas.py", "chains/nonces.py", "chains/finality.py", "chains/userops.py", "keys/policy.py", "keys/policy_flow.py", "keys/scope.py",
    "keys/hyperliquid.py", "keys/dydx.py", "chains/dydx.py", "chains/protobuf.py", "keys/scope_bound.py", "keys/scope_words.py", "keys/scope_state.py", "keys/safe.py", "keys/safe_messages.py", "keys/safe_document.py", "keys/erc4337.py",
    "contracts/codec.py",
)  # fmt: skip


def tracked(*patterns: str) -> list[Path]:
    told = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        pytest.skip("this is not a git checkout, so what belongs to the project is not known")
    return [ROOT / line for line in told.stdout.splitlines() if (ROOT / line).exists()]


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in tracked("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if any(name == folder or name.startswith(folder + "/") for folder in folders):
            yield path, ast.parse(path.read_text())


def test_the_top_level_is_the_agreed_one() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {top for top in tops if not top.startswith(".")} <= LAYOUT


def test_two_places_catch_everything_the_top_of_a_lane_and_of_the_signer() -> None:
    broad = []
    for path, tree in sources(*PACKAGES):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                names = (
                    {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"bare"}
                )
                swallows = not any(isinstance(n, ast.Raise) for n in ast.walk(node))
                if names & {"Exception", "BaseException", "bare"} and swallows:
                    broad.append(path.relative_to(ROOT).as_posix())
    assert sorted(broad) == ["agent/execution/lanes.py", "keys/signer/server.py"]


def test_no_wait_loses_a_cancel() -> None:
    """`asyncio.wait_for` forgets one that comes together with the answer (Python before 3.12): a command then never ends."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "wait_for"
        and isinstance(node.value, ast.Name)
        and node.value.id == "asyncio"
    ]
    assert not found, f"use asyncio.timeout: {found}"


def test_the_core_reads_no_clock_no_chance_and_no_environment() -> None:
    banned = re.compile(
        r"\b(time\.(time|monotonic|perf_counter)|datetime\.now|random\.|secrets\.|os\.environ|uuid4|logging\.)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, _ in sources(*PURE)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if banned.search(line.split("#")[0]) and '"""' not in line
    ]
    assert found == []


def test_no_amount_is_annotated_as_a_float() -> None:
    money = re.compile(r"(amount|balance|fee|qty|notional|_raw|_wei|price|px)$")
    found = []
    for path, tree in sources(
        "agent/domain",
        "agent/amm",
        "agent/risk",
        "agent/hedging",
        "agent/execution",
        "agent/venues",
        "agent/journal",
        "chains",
        "keys",
    ):
        for node in ast.walk(tree):
            named = (
                node.arg if isinstance(node, ast.arg) else getattr(getattr(node, "target", None), "id", None)
            )
            annotation = getattr(node, "annotation", None)
            if (
                named
                and annotation is not None
                and money.search(named)
                and "float" in ast.unparse(annotation)
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {named}")  # type: ignore[attr-defined]
    assert found == []


def test_nothing_is_patched_and_no_test_package_hides_ours() -> None:
    here = Path(__file__)
    for path in tracked("tests/*.py"):
        if path == here:
            continue
        text = path.read_text()
        assert "monkeypatch" not in text and "unittest.mock" not in text, path
        assert path.name != "__init__.py", path
    for path, tree in sources(*PACKAGES, "tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "eth_keys":
                assert all(alias.name != "keys" for alias in node.names), path


def test_a_plug_in_is_one_file_that_its_folder_finds() -> None:
    from agent.app.wiring import algorithms
    from chains import profiles, relays

    assert {"market", "limit", "twap"} <= set(algorithms())
    assert {"ethereum", "base", "arbitrum"} <= set(profiles.names())
    assert {"flashbots", "sequencer", "public"} <= set(relays.names())
    # a venue that only tells its market is FEED; one that takes orders is VENUE as well; a family's exchanges tell theirs by its library
    for folder, name in (("agent.venues", "FEED"), ("chains.profiles", "CHAIN"), ("chains.relays", "RELAY")):
        package = importlib.import_module(folder)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                found = importlib.import_module(f"{folder}.{module.name}")
                assert hasattr(found, "VENUE" if hasattr(found, "FAMILY") else name), module.name


def test_every_command_is_listed_once_and_loads() -> None:
    from agent.app.cli import COMMANDS

    for name, (target, about) in COMMANDS.items():
        module, _, attribute = target.partition(":")
        assert hasattr(importlib.import_module(f"agent.app.cli.{module}"), attribute or "command"), name
        assert about.endswith("."), name


def test_the_four_packages_come_from_this_checkout() -> None:
    for name in PACKAGES:
        module = importlib.import_module(name)
        assert module.__file__ is not None and Path(module.__file__).resolve().parents[1] == ROOT


def test_the_project_speaks_only_of_itself() -> None:
    """No host of a registry, no path of one machine."""
    hosts = [r"registry\." + r"[a-z]+\.org", "py" + r"pi\.org", r"files\.python" + "hosted"]
    banned = re.compile("|".join([*hosts, *(f"/{folder}/" for folder in ("root", "work"))]))
    found = [
        f"{path.relative_to(ROOT)}"
        for path in tracked()
        if path != Path(__file__) and path.is_file() and banned.search(path.read_text(errors="ignore"))
    ]
    assert found == []
