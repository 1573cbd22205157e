"""eth-ape loads a plug-in into every pytest of its environment and starts a chain there: the ordinary suites shut it out."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_apes_plugin_is_not_part_of_this_run(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.is_blocked("ape_test")
    assert not pytestconfig.pluginmanager.has_plugin("ape_test")
    assert not {"ape", "ape_test", "ape_foundry"} & sys.modules.keys()


def test_ape_is_an_extra_with_pins_and_a_lock_of_its_own() -> None:
    """Its lock has the pinned pair, hashes throughout and no registry; the main lock has nothing of ape."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = project["optional-dependencies"]["ape"]
    assert pins == ["eth-ape==0.8.51", "ape-foundry==0.8.12"]
    lock = (ROOT / "scripts/ape/requirements.lock").read_text()
    entries = [line for line in lock.splitlines() if line and line[0] not in " #"]
    assert all("==" in line and line.endswith("\\") for line in entries)
    assert lock.count("--hash=sha256:") >= len(entries) and "://" not in lock
    assert all(f"\n{pin} \\" in lock for pin in pins)
    assert "eth-ape" not in (ROOT / "requirements.lock").read_text()
