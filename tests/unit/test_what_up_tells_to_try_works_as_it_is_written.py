"""`devnet up` ends with a command to try: it names the settings wherever they would not be found without."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from agent.app.cli.devnet import command, found_unasked


def context() -> click.Context:
    return click.Context(command, obj={})


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a devnet in the usual folder, of a user without any of his own."""
    monkeypatch.setenv("FAIRLEAD_HOME", str(tmp_path / "all"))
    monkeypatch.delenv("FAIRLEAD_SETTINGS", raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    from chains.devnet.paths import runtime_path

    settings = runtime_path() / "home" / "fairlead.toml"
    settings.parent.mkdir(parents=True)
    settings.touch()
    return settings


def test_a_devnet_in_the_usual_folder_needs_no_name(usual: Path) -> None:
    assert found_unasked(context(), usual)


def test_one_in_another_folder_is_named_whether_or_not_the_usual_one_is_there(
    usual: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "home" / "fairlead.toml"
    assert not found_unasked(context(), other)
    usual.unlink()
    assert not found_unasked(context(), other)


def test_one_beside_settings_of_the_users_own_is_named(usual: Path, tmp_path: Path) -> None:
    own = tmp_path / "all" / "config" / "fairlead.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert not found_unasked(context(), usual), "the command to try would trade the user's own wallet"
