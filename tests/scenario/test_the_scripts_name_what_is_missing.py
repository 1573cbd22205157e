"""The set-up says which tool is missing, does its work once, and needs no network the second time."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("bash", "cut", "cat", "dirname", "basename", "mkdir", "rm", "head", "sha256sum", "uname", "env")


def tools(folder: Path, *names: str) -> str:
    """A PATH of one folder that holds only these tools."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not on this machine's PATH")
        (folder / name).symlink_to(found)
    return str(folder)


def run(path: str, home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(home), **more}
    return subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize(
    ("present", "says"),
    [
        (("git", "node", "npm"), "Python 3.11, 3.12 or 3.13 is needed"),
        (("git", "python3"), "node >= 20 is needed"),
        (("git", "node", "python3"), "npm is needed"),
        (("node", "npm", "python3"), "git is needed"),
    ],
)
def test_a_missing_tool_is_named(present: tuple[str, ...], says: str, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *NEEDED, *present)
    said = run(path, tmp_path, "bash", "scripts/setup", FAIRLEAD_CACHE=str(tmp_path / "cache"))
    assert said.returncode == 2
    assert says in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1, said.stderr


def test_a_node_that_is_too_old_is_named(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *NEEDED, "git", "npm", "python3")
    node = tmp_path / "bin" / "node"
    node.write_text('#!/bin/sh\ncase "$1" in -p) echo 18;; *) echo v18.19.0;; esac\n')
    node.chmod(0o755)
    said = run(path, tmp_path, "bash", "scripts/setup", FAIRLEAD_CACHE=str(tmp_path / "cache"))
    assert said.returncode == 2
    assert "node >= 20 is needed" in said.stderr and "v18.19.0" in said.stderr


def test_the_second_time_nothing_is_fetched() -> None:
    """With every registry out of reach, a set-up that is warm says so and ends well."""
    nowhere = "http://127.0.0.1:9/"
    environment = {
        **os.environ,
        "npm_config_registry": nowhere,
        "PIP_INDEX_URL": nowhere,
        "UV_INDEX_URL": nowhere,
        "UV_DEFAULT_INDEX": nowhere,
        "UV_OFFLINE": "1",
        "HTTPS_PROXY": nowhere,
        "HTTP_PROXY": nowhere,
    }
    if not (ROOT / ".venv" / ".fairlead-lock").exists():
        pytest.skip("this checkout was not set up by scripts/setup, so there is nothing warm to try")
    said = subprocess.run(
        ["bash", "scripts/setup"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "installing" not in said.stderr and "fetching" not in said.stderr, said.stderr
