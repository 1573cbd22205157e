"""The set-up of the devnet: what it refuses, and what it says when it cannot."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from base64 import b64encode
from pathlib import Path

import pytest

from chains.devnet.packages import Package, pins, unpack
from chains.errors import Halt, Reject

ROOT = Path(__file__).resolve().parents[2]


def tarball(folder: Path, files: dict[str, bytes]) -> tuple[Path, str]:
    path = folder / "p-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo("package/" + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path, "sha512-" + b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def package(digest: str, files: dict[str, str]) -> Package:
    return Package("p", "1.0.0", 1, digest, "MIT", files)


def test_only_the_files_named_are_kept_in_one_form(tmp_path: Path) -> None:
    foundry = {
        "abi": [],
        "bytecode": {"object": "0x6001", "linkReferences": {"L.sol": {"L": [{"start": 1}]}}},
    }
    truffle = {"contractName": "W", "abi": [], "bytecode": "0x6002", "ast": "long"}
    content = {
        "out/F.json": json.dumps(foundry),
        "build/W.json": json.dumps(truffle),
        "abi/A.json": "[]",
        "evil.json": "{}",
    }
    path, digest = tarball(tmp_path, {name: text.encode() for name, text in content.items()})
    target = tmp_path / "kept"
    target.mkdir()
    unpack(package(digest, {"F": "out/F.json", "W": "build/W.json", "A": "abi/A.json"}), path, target)
    assert sorted(entry.name for entry in target.iterdir()) == ["A.json", "F.json", "W.json"]
    kept = json.loads((target / "F.json").read_text())
    assert kept == {"abi": [], "bytecode": "6001", "linkReferences": {"L.sol": {"L": [{"start": 1}]}}}
    assert json.loads((target / "W.json").read_text())["bytecode"] == "6002"


def test_another_tarball_than_the_pinned_one_is_not_read(tmp_path: Path) -> None:
    path, digest = tarball(tmp_path, {"a.json": b"[]"})
    target = tmp_path / "kept"
    target.mkdir()
    with pytest.raises(Reject, match="not the pinned tarball"):
        unpack(package(digest[:-4] + "AAA=", {"a": "a.json"}), path, target)
    assert list(target.iterdir()) == []


def test_a_file_that_the_package_lacks_is_named(tmp_path: Path) -> None:
    path, digest = tarball(tmp_path, {"a.json": b"[]"})
    with pytest.raises(Halt, match=r"package/b\.json"):
        unpack(package(digest, {"b": "b.json"}), path, tmp_path)


def test_every_package_is_pinned_by_version_and_hash() -> None:
    keys = [key for entry in pins() for key in entry.files]
    assert len(keys) == len(set(keys)), "two packages would overwrite one another's file"
    for entry in pins():
        assert entry.sha512.startswith("sha512-") and len(entry.sha512) == 95
        assert entry.version[0].isdigit() and entry.licence
    lock = json.loads((ROOT / "contracts/tools/package-lock.json").read_text())
    for name, entry in lock["packages"].items():
        assert name == "" or entry["integrity"].startswith("sha512-"), name


def set_up(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FAIRLEAD_CACHE": str(cache), **environment}
    command = [sys.executable, "-m", "chains.devnet.packages"]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_missing_node_is_named(tmp_path: Path) -> None:
    done = set_up(tmp_path / "cache", PATH=str(tmp_path))
    assert done.returncode == 2
    assert "node is needed" in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_without_network_and_cache_it_says_so(tmp_path: Path) -> None:
    npm = {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_cache": str(tmp_path / "npm")}
    done = set_up(tmp_path / "cache", **npm)
    assert done.returncode == 4
    assert "needs the network" in done.stderr and "Traceback" not in done.stderr


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = set_up(tmp_path / "file" / "cache")
    assert done.returncode == 2
    assert "cannot be made" in done.stderr and "Traceback" not in done.stderr
