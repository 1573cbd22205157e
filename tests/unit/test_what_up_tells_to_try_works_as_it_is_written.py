"""`devnet up` ends with a command to try: it names the settings wherever they would not be found without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import sys
from pathlib import Path
import click
from agent.app.cli.devnet import command, found_unasked
from chains.devnet.paths import runtime_path

usual = runtime_path() / "home" / "fairlead.toml"
if "made" in sys.argv:
    usual.parent.mkdir(parents=True)
    usual.touch()
print(found_unasked(click.Context(command, obj={}), usual if sys.argv[1] == "usual" else Path(sys.argv[1])))
"""


def found(home: Path, *asked: str) -> bool:
    """Whether a command of a user with this home finds the settings asked of, from a folder without any."""
    empty = home / "empty"
    empty.mkdir(parents=True)
    told = subprocess.run(
        [sys.executable, "-c", ASKED, *asked],
        cwd=empty,
        env={"FAIRLEAD_HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    )
    return {"True": True, "False": False}[told.stdout.strip()]


def test_a_devnet_in_the_usual_folder_needs_no_name(tmp_path: Path) -> None:
    assert found(tmp_path, "usual", "made")


@pytest.mark.parametrize("usual_too", [(), ("made",)])
def test_one_in_another_folder_is_named(tmp_path: Path, usual_too: tuple[str, ...]) -> None:
    assert not found(tmp_path, str(tmp_path / "other" / "home" / "fairlead.toml"), *usual_too)


def test_one_beside_settings_of_the_users_own_is_named(tmp_path: Path) -> None:
    own = tmp_path / "config" / "fairlead.toml"
    own.parent.mkdir()
    own.touch()
    assert not found(tmp_path, "usual", "made"), "the command to try would trade the user's own wallet"
