"""Where Fairlead keeps its files. With `keys/secrets.py`, the only reader of environment variables.

`FAIRLEAD_HOME` puts everything below one folder (`config`, `state`, `cache`); `FAIRLEAD_CACHE` moves the cache alone.
Otherwise the platform's own folders are used. No function here makes a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

APP = "fairlead"


def _folder(kind: str) -> Path:
    home = os.environ.get("FAIRLEAD_HOME")
    if home:
        return Path(home).expanduser().absolute() / kind
    import platformdirs

    found = {
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
        "cache": platformdirs.user_cache_path,
    }[kind]
    return found(APP, appauthor=False)


def config_dir() -> Path:
    """Settings files and keystores: worth a backup."""
    return _folder("config")


def state_dir(environment: str) -> Path:
    """The journal and whatever else is lived, one folder for each environment."""
    return _folder("state") / environment


def cache_dir() -> Path:
    """What can be fetched or made again."""
    cache = os.environ.get("FAIRLEAD_CACHE")
    return Path(cache).expanduser().absolute() if cache else _folder("cache")


def run_dir(environment: str) -> Path:
    """Sockets and locks. Under the state folder where the platform has no run-time folder: a socket's path must be short."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and not os.environ.get("FAIRLEAD_HOME"):
        return Path(runtime) / APP / environment
    return state_dir(environment)


def default_settings() -> Path:
    """The settings file used where none is named."""
    return config_dir() / "fairlead.toml"


def settings_path(named: str | None = None) -> Path:
    """The file named on the command line, else `FAIRLEAD_SETTINGS`, else the default one."""
    chosen = named or os.environ.get("FAIRLEAD_SETTINGS")
    return Path(chosen).expanduser().absolute() if chosen else default_settings()
