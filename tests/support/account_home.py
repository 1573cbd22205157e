"""The agent's home with its role handed over to an account behind ERC-4337, and a signer that knows the account and its key.

account_home    one for the module: the role rotated to a Safe that the agent's key owns alone, and back afterwards
"""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from agent_home import AgentHome, written
from home_fixture import left_alone, wait_for

from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.operations import NONCE_KEY, sequence_of
from chains.userops import ENTRY_POINT
from contracts.codec import encode
from keys.client import start_signer
from keys.scope import ROLE

WEI = 10**18


@dataclass
class AccountHome(AgentHome):
    account: str = ""

    @property
    def bundler(self) -> str:
        chain = self.settings.chain(1)
        assert chain is not None and chain.bundler is not None
        return chain.bundler.url

    def world(self) -> dict[str, int]:
        """As before, with the account's nonce and gas money, its deposit included; the key spends nothing."""
        found = super().world()
        found["key wei"], found["key nonce"] = found.pop("agent wei"), found.pop("agent nonce")
        deposit = int(self.read(ENTRY_POINT, "entry_point_07", "balanceOf", self.account)[0])
        nonce = int(self.read(ENTRY_POINT, "entry_point_07", "getNonce", self.account, NONCE_KEY)[0])
        with Rpc(self.home.urls[1]) as rpc:
            own = int(rpc("eth_getBalance", self.account, "latest"), 16)
        return found | {"agent wei": own + deposit, "agent nonce": sequence_of(nonce)}

    def bundles(self, mode: str) -> None:
        """`manual`: what the bundler takes waits in its pool; `auto`: it bundles as it likes."""
        with Rpc(self.bundler) as rpc:
            rpc("debug_bundler_setBundlingMode", mode)

    def pool(self) -> list[Any]:
        with Rpc(self.bundler) as rpc:
            found: list[Any] = rpc("debug_bundler_dumpMempool")
        return found

    def forget(self) -> None:
        """The bundler drops everything it has."""
        with Rpc(self.bundler) as rpc:
            rpc("debug_bundler_clearState")


@contextmanager
def behind_4337(home: AgentHome) -> Iterator[AccountHome]:
    words = f"wallet create --user-operations --owner {home.agent} --threshold 1 --chain ethereum"
    made = home.run(f"{words} --live --yes --max-loss 900 --json", home.owners_path)
    assert made.status == 0, made.err + made.out
    account = made.json["address"]
    give_eth(home.home.cheat_urls[1], account, WEI)
    _handed_over(home, home.agent, account)
    folder = home.settings_path.parent
    (granted,) = tomllib.loads(home.settings_path.read_text())["scopes"]
    scope = granted | {"agent": account, "account": "safe_4337"}
    config, socket = folder / "account-signer.json", folder / "account.sock"
    journal = {
        "path": str(folder / "account" / "journal.db"),
        "emergency_path": str(folder / "account" / "emergency.bin"),
    }
    values = tomllib.loads(home.settings_path.read_text()) | {
        "scopes": [scope],
        "journal": journal,
        "signer": {"socket": str(socket), "config": str(config), "unattended": True},
        "alerts": {"file": str(folder / "account" / "alerts.jsonl")},
    }
    path = written(folder / "account.toml", values)
    owners = tomllib.loads(home.owners_path.read_text()) | {"scopes": [scope]}
    owners_path = written(folder / "account-owners.toml", owners)
    told = json.loads(home.config.read_text())
    for chain in told["chains"]:
        if chain["chain_id"] == 1:
            chain["agent"] |= {"account": account, "key": home.agent}
    config.write_text(json.dumps(told | {"ledger": str(folder / "account-ledger.jsonl")}))
    signer: subprocess.Popen[bytes] = start_signer(socket, config, folder / "account-signer.log")
    found = AccountHome(home.home, owners_path, path, config, socket, signer, None, account)
    try:
        taken = found.run("reconcile --adopt --at-once")
        assert taken.status == 0, taken.out + taken.err
        yield found
    finally:
        signer.send_signal(signal.SIGTERM)
        signer.wait(20)
        _handed_over(home, account, home.agent)


def _handed_over(home: AgentHome, before: str, after: str) -> None:
    """The role passes from one account to the other: the calls of `wallet rotate-agent`, as the Safe itself, without asking its owners."""
    roles = home.road["roles"]
    calls = [
        encode("zodiac_roles", "assignRoles", (before, (ROLE,), (False,))),
        encode("zodiac_roles", "assignRoles", (after, (ROLE,), (True,))),
        encode("zodiac_roles", "disableModule", (after, before)),
    ]
    url = home.home.cheat_urls[1]
    give_eth(url, home.safe, WEI)
    with Rpc(url) as rpc:
        rpc("anvil_impersonateAccount", home.safe)
        for data in calls:
            call = {"from": home.safe, "to": roles, "data": "0x" + data.hex(), "gas": hex(10**6)}
            sent = rpc("eth_sendTransaction", call)
            wait_for(lambda sent=sent: rpc("eth_getTransactionReceipt", sent) is not None)  # type: ignore[misc]
        rpc("anvil_stopImpersonatingAccount", home.safe)
        rpc("anvil_setBalance", home.safe, "0x0")


@pytest.fixture(scope="module")
def account_home_module(agent_home_of_file: AgentHome) -> Iterator[AccountHome]:
    with behind_4337(agent_home_of_file) as made:
        yield made


@pytest.fixture
def account_home(account_home_module: AccountHome) -> Iterator[AccountHome]:
    yield account_home_module
    account_home_module.bundles("auto")
    left_alone(account_home_module.home)


__all__ = ["AccountHome", "account_home", "account_home_module"]
