"""Processes: what `up` starts, `status` lists and `down` ends; and what it never ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.devnet import service, state
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at, is_local_devnet
from chains.devnet.supervisor import Running, Service, Supervisor, start_time
from chains.errors import Halt, Retry, Usage
from chains.types import Environment

pytestmark = pytest.mark.devnet


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    state.ensure()
    yield tmp_path
    service.down(runtime=tmp_path)


def test_up_lists_what_down_ends(runtime: Path) -> None:
    began = time.monotonic()
    up = service.up(runtime=runtime, fast=True, relay=False)
    assert time.monotonic() - began < 5.0, "a warm start takes at most five seconds"
    shown = up.to_json()
    assert {row["name"] for row in shown["services"]} == {"anvil-1", "anvil-8453", "anvil-42161", "feeds"}
    for row in shown["services"]:
        assert start_time(row["pid"]) is not None and Path(row["log"]).exists()
    for chain, url in up.urls.items():
        with Rpc(url) as rpc:
            assert int(rpc("eth_chainId"), 16) == chain
        assert url.startswith("http://127.0.0.1:")
        assert environment_at(url) is Environment.DEVNET
    assert service.status(runtime=runtime) == up
    assert service.up(runtime=runtime) == up, "a second up leaves what runs alone"
    assert sorted(service.down(runtime=runtime)) == ["anvil-1", "anvil-42161", "anvil-8453", "feeds"]
    assert all(start_time(row["pid"]) is None for row in shown["services"])
    assert service.status(runtime=runtime).to_json() == {"environment": None, "services": [], "contracts": []}
    assert service.down(runtime=runtime) == []


def test_two_devnets_stand_side_by_side(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    first = service.up(runtime=runtime, chains=[8453], fast=True)
    second = service.up(runtime=other, chains=[8453], fast=True)
    try:
        assert first.urls[8453] != second.urls[8453]
        service.down(runtime=runtime)
        assert second.running and is_local_devnet(second.urls[8453])
        assert not is_local_devnet(first.urls[8453])
    finally:
        service.down(runtime=other)


def test_a_port_in_use_is_said_and_nothing_stays_behind(runtime: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Usage, match=f"port {port} of anvil-42161 is in use"):
            service.up(runtime=runtime, chains=[8453, 42161], ports={"anvil-42161": port}, fast=True)
    assert service.status(runtime=runtime).services == ()


def test_a_stale_state_file_is_recovered(runtime: Path) -> None:
    """A crashed machine leaves pids that may belong to somebody else by now: those are never ended."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        stale = Running("anvil-8453", bystander.pid, "http://127.0.0.1:1", str(runtime / "x.log"), "1", 1)
        Supervisor(runtime).record({"environment": "devnet", "chains": [8453]}, [stale])
        assert service.status(runtime=runtime).services == ()
        Supervisor(runtime).record({"environment": "devnet", "chains": [8453]}, [stale])
        up = service.up(runtime=runtime, chains=[8453], fast=True)
        assert up.running
        service.down(runtime=runtime)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_half_dead_devnet_is_brought_up_anew(runtime: Path) -> None:
    first = service.up(runtime=runtime, chains=[8453, 42161], fast=True)
    os.kill(first.services[0].pid, signal.SIGKILL)
    while first.services[0].alive:
        time.sleep(0.01)
    assert not service.status(runtime=runtime).running
    second = service.up(runtime=runtime, chains=[8453, 42161], fast=True)
    assert second.running
    assert not any(was.alive for was in first.services)


def test_a_garbled_state_file_is_no_obstacle(runtime: Path) -> None:
    (runtime / "state.json").write_text("{half a")
    assert service.status(runtime=runtime).services == ()
    assert service.up(runtime=runtime, chains=[8453], fast=True).running


def test_a_further_service_is_started_with_the_chains_urls(runtime: Path) -> None:
    def extra(up: service.Status) -> list[Service]:
        page = runtime / "page"
        page.mkdir()
        (page / "urls.json").write_text(json.dumps(list(up.urls.values())))
        argv = [
            sys.executable,
            "-m",
            "http.server",
            "{port}",
            "--bind",
            "127.0.0.1",
            "--directory",
            str(page),
        ]
        return [
            Service("page", argv, "http://127.0.0.1:{port}/urls.json", "http://127.0.0.1:{port}/urls.json")
        ]

    import urllib.request

    up = service.up(runtime=runtime, chains=[8453], fast=True, extra=extra)
    page = next(s for s in up.services if s.name == "page")
    with urllib.request.urlopen(page.url) as answer:
        assert json.load(answer) == [up.urls[8453]]
    assert "page" in service.down(runtime=runtime)


def test_a_service_that_ends_at_once_takes_the_devnet_with_it_and_says_why(runtime: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('the book is missing')"]
    with pytest.raises(Halt, match="the book is missing"):
        service.up(
            runtime=runtime,
            chains=[8453],
            fast=True,
            extra=lambda _: [Service("broken", argv, ready="http://127.0.0.1:{port}")],
        )
    assert service.status(runtime=runtime).services == ()


def test_a_chain_that_is_not_ours_is_named(runtime: Path) -> None:
    with pytest.raises(Usage, match="no chain 137"):
        service.up(runtime=runtime, chains=[137])


def test_a_fork_of_a_devnet_chain_is_a_place_of_its_own(
    runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from chains.devnet.funding import give_eth

    devnet = service.up(runtime=runtime, chains=[8453], fast=True)
    account = "0x00000000000000000000000000000000000A11cE"
    give_eth(devnet.cheat_urls[8453], account, 5)
    with Rpc(devnet.urls[8453]) as rpc:
        rpc("evm_mine")
        block = int(rpc("eth_blockNumber"), 16)
        rpc("evm_mine")  # a cheat after a block counts as that block's state until the next one
        give_eth(devnet.cheat_urls[8453], account, 2)
        rpc("evm_mine")
    place = tmp_path_factory.mktemp("fork")
    fork = service.up_fork(devnet.urls[8453], block, runtime=place)
    try:
        assert fork.environment is Environment.FORK and list(fork.urls) == [8453]
        assert environment_at(fork.urls[8453]) is Environment.FORK
        assert environment_at(devnet.urls[8453]) is Environment.DEVNET
        with Rpc(fork.urls[8453]) as rpc, Rpc(devnet.urls[8453]) as upstream:
            assert int(rpc("eth_getBalance", account, "latest"), 16) == 5, "the state of the block asked for"
            give_eth(fork.cheat_urls[8453], account, 100)
            assert int(upstream("eth_getBalance", account, "latest"), 16) == 7, "the upstream is only read"
        assert {c.name for c in fork.contracts} == {c.name for c in devnet.contracts}
    finally:
        service.down(runtime=place)
    assert devnet.running


def test_forks_of_two_devnets_at_one_block_do_not_share_state(
    runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Chain id and block number are the same: only the upstream tells them apart."""
    from chains.devnet.funding import give_eth

    account = "0x00000000000000000000000000000000000A11cE"
    for amount in (3, 4):
        devnet = service.up(runtime=runtime, chains=[8453], fast=True, block_time_s={8453: 60})
        with Rpc(devnet.urls[8453]) as rpc:
            block = int(rpc("eth_blockNumber"), 16)
        give_eth(devnet.cheat_urls[8453], account, amount)
        place = tmp_path_factory.mktemp("fork")
        fork = service.up_fork(devnet.urls[8453], block, runtime=place)
        with Rpc(fork.urls[8453]) as rpc:
            assert int(rpc("eth_getBalance", account, "latest"), 16) == amount
        service.down(runtime=place)
        service.down(runtime=runtime)


def test_the_feeds_stay_fresh(runtime: Path) -> None:
    from chains.devnet.addresses import CHAINS
    from chains.devnet.artifacts import artifact

    feed, address = artifact("MockV3Aggregator"), CHAINS[8453].feeds["ETH"]
    devnet = service.up(runtime=runtime, chains=[8453], fast=True)
    with Rpc(devnet.urls[8453]) as rpc:

        def round_data() -> tuple[int, ...]:
            data = rpc(
                "eth_call", {"to": address, "data": "0x" + feed.call("latestRoundData").hex()}, "latest"
            )
            return feed.read("latestRoundData", bytes.fromhex(data[2:]))

        before = round_data()
        assert abs(time.time() - before[3]) < 30, "fresh from the start, however old the built state is"
        argv = [
            sys.executable,
            "-m",
            "chains.devnet.feeds",
            "--rpc",
            devnet.cheat_urls[8453],
            "--every",
            "0.1",
        ]
        keeper = subprocess.Popen(argv)
        try:
            deadline = time.monotonic() + 20
            while round_data()[0] < before[0] + 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            keeper.terminate()
            keeper.wait()
        after = round_data()
    assert after[0] >= before[0] + 2 and after[1] == before[1] == 3000 * 10**8


def test_any_rpc_can_be_forked_and_what_is_unknown_there_is_said(runtime: Path) -> None:
    """A plain Anvil of a chain the devnet does not have stands for somebody's RPC: no marker, none of our contracts."""
    from chains.devnet.funding import give_eth, give_token

    account = "0x00000000000000000000000000000000000A11cE"
    with state.anvil(137) as upstream:
        assert environment_at(upstream.url) is None and not is_local_devnet(upstream.url)
        fork = service.up_fork(upstream.url, runtime=runtime)
        assert list(fork.urls) == [137] and fork.contracts == () and fork.relay_url is None
        assert environment_at(fork.urls[137]) is Environment.FORK
        give_eth(fork.cheat_urls[137], account, 9)
        with Rpc(fork.urls[137]) as rpc:
            assert int(rpc("eth_getBalance", account, "latest"), 16) == 9
            here, there = set(rpc("eth_accounts")), set(upstream("eth_accounts"))
            assert not here & there, "a fork has accounts of its own"
        with pytest.raises(Usage, match="chain 137"):
            give_token(fork.cheat_urls[137], account, account, 1)
        assert int(upstream("eth_getBalance", account, "latest"), 16) == 0


def test_an_rpc_that_is_not_there_is_named(runtime: Path) -> None:
    with pytest.raises(Retry, match="does not answer"):
        service.up_fork("http://127.0.0.1:9", runtime=runtime)
    with pytest.raises(Usage, match="not an http"):
        service.up_fork("mainnet", runtime=runtime)


def test_the_key_in_an_rpcs_url_reaches_no_command_line_no_file_and_no_log(runtime: Path) -> None:
    from chains.devnet.addresses import CHAINS
    from chains.devnet.funding import token_balance

    key, place = "s3cr3tk3y", runtime / "fork"
    devnet = service.up(runtime=runtime, chains=[8453], fast=True)
    fork = service.up_fork(f"{devnet.urls[8453]}/?key={key}", runtime=place)
    try:
        assert "upstream" in {s.name for s in fork.services}
        pool = "0xd0b53D9277642d899DF5C87A3966A349A798F224"
        with Rpc(fork.urls[8453]) as rpc:
            assert token_balance(rpc, CHAINS[8453].weth, pool) > 10**18, "state passes the door"
        for running in fork.services:
            shown = subprocess.run(
                ["ps", "-o", "args=", "-p", str(running.pid)], capture_output=True, check=True
            )
            assert key.encode() not in shown.stdout
        assert not [f for f in place.rglob("*") if f.is_file() and key.encode() in f.read_bytes()]
    finally:
        assert "upstream" in service.down(runtime=place)
