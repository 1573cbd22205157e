"""The devnet as processes: `up`, `status`, `down`, and `up_fork` for the same environment over any RPC.

    anvil-1, anvil-8453, anvil-42161    one Anvil a chain, loaded from the built state
    relay, relay-admin                  in front of chain 1: its public url is the only one of that chain anybody else is told
    feeds                               keeps the mock price feeds fresh

Everything listens on 127.0.0.1. Further services (an exchange, say) are the caller's: `extra`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chains.devnet import packages, state
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from chains.devnet.manifest import Contract
from chains.devnet.nodes import STATES_ON_DISK, anvil_argv, environment_at, send_as_operator, set_marker
from chains.devnet.packages import Say
from chains.devnet.paths import locked, runtime_dir, runtime_path
from chains.devnet.supervisor import Running, Service, Supervisor, renamed
from chains.errors import Halt, Retry, Usage
from chains.types import Environment

BLOCK_TIME_S = {1: 12, 8453: 2, 42161: 1}
FIRST_BASE_FEE_WEI = {1: 2 * 10**9, 8453: 5 * 10**6, 42161: 10**7}
RELAYED = 1

Extra = Callable[["Status"], Sequence[Service]]


@dataclass(frozen=True, slots=True)
class Status:
    """What runs. `urls` are public JSON-RPC urls by chain id; `cheat_urls` answer Anvil's cheat methods; `relay_url`
    takes private transactions (None without a relay)."""

    environment: Environment | None
    runtime: Path
    fast: bool
    services: tuple[Running, ...]
    contracts: tuple[Contract, ...]
    urls: Mapping[int, str]
    cheat_urls: Mapping[int, str]
    relay_url: str | None

    @property
    def running(self) -> bool:
        return bool(self.services) and all(service.alive for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """The shape of `devnet status --json`."""
        rows = []
        for s in self.services:
            for name, url in {s.name: s.url, **s.aliases}.items():
                rows.append({"name": name, "pid": s.pid, "url": url, "log": s.log, "alive": s.alive})
        contracts = [
            {"chain": c.chain, "name": c.name, "address": c.address, "label": c.label, "why": c.why}
            for c in self.contracts
        ]
        environment = self.environment.value if self.environment else None
        return {"environment": environment, "services": rows, "contracts": contracts}


def up(
    *,
    runtime: Path | None = None,
    chains: Sequence[int] = tuple(CHAINS),
    ports: Mapping[str, int] | None = None,
    fast: bool = False,
    block_time_s: Mapping[int, int] | None = None,
    relay: bool = True,
    relay_options: Sequence[str] = (),
    relayed_chain: int = RELAYED,
    feeds: bool = True,
    market: Mapping[str, Any] | None = None,
    states: int = STATES_ON_DISK,
    extra: Extra | None = None,
    progress: Say = packages.say,
) -> Status:
    """Bring the devnet up, or return it as it is where it is up already.

    `ports` asks for a port by service name (anvil-8453, relay, …); `fast` makes blocks as transactions come; `market` is
    a parsed market/1 file to load instead of the demo market (which no chain has then); `relay_options` are further
    words of the relay's command line (builders, a seed, --sequencer), `relayed_chain` the chain it stands in front of; without `feeds` nobody but the caller makes blocks; of each chain the last `states` blocks beside
    those in memory can be asked about; `extra` is called with the chains running and
    names further services. Raises Usage for a port in use or a chain unknown, Halt when a service does not come up;
    then nothing stays behind.
    """
    unknown = sorted(set(chains) - set(CHAINS))
    if unknown:
        raise Usage(
            "CHAIN_UNKNOWN", f"the devnet has no chain {unknown[0]}", f"it has {', '.join(map(str, CHAINS))}"
        )
    folder = runtime_dir(runtime)
    with locked(folder / "lock"):
        supervisor = Supervisor(folder)
        present = _status(supervisor)
        if present.running and present.environment is Environment.DEVNET:
            if market is not None:
                raise Usage(
                    "DEVNET_RUNS", "a devnet is already up here", "end it first: fairlead devnet down"
                )
            return present
        supervisor.stop(present.services)
        supervisor.forget()
        bare = tuple(chains) if market is not None else ()
        if market is not None:
            from chains.devnet.market import plan_market

            if not any(
                plan.v2 or plan.v3 for plan in (plan_market(market, CHAINS[chain]) for chain in chains)
            ):
                raise Usage(
                    "MARKET_EMPTY",
                    "the market file has no Uniswap V3 or 0.3 % V2 pool of the devnet's chains",
                )
        state.ensure(chains, progress, bare)
        stands = relay and relayed_chain in chains and _has("chains.devnet.relay")
        relayed = relayed_chain if stands else None
        times = {**(dict.fromkeys(CHAINS, 1) if fast else BLOCK_TIME_S), **(block_time_s or {})}
        nodes = {}
        for chain in chains:
            argv = anvil_argv(
                *(0, chain),
                load=state.state_file(chain, chain not in bare),
                no_mining=chain == relayed,
                block_time_s=times[chain],
                mixed=fast,
                cache=supervisor.cache / str(chain),
                states=states,
            )
            nodes[chain] = _node(chain, argv, ports)
        facts = {"environment": "devnet", "fast": fast, "chains": list(chains), "bare": list(bare)}
        starter = _Starter(supervisor, {**facts, "contracts": []}, feeds=feeds)

        def prepare(chain: int, rpc: Rpc) -> None:
            refresh_feeds(rpc, chain)
            if market is not None:
                from chains.devnet.market import load_market

                loaded = load_market(rpc, market, progress)
                starter.facts["contracts"].extend(contract.to_json() for contract in loaded)
                if fast and chain != relayed:
                    rpc("evm_setAutomine", True)
                elif chain != relayed:
                    rpc("evm_setIntervalMining", times[chain])
            # Last: every block before it, nearly empty, has lowered the base fee by an eighth.
            rpc("anvil_setNextBlockBaseFeePerGas", hex(FIRST_BASE_FEE_WEI[chain]))
            rpc("evm_mine")

        timing = [*(["--fast"] if fast else ["--block-time", str(times[relayed_chain])]), *relay_options]
        return starter.run(nodes, prepare, relayed, timing, ports, extra)


def up_fork(
    rpc_url: str,
    block: int | None = None,
    *,
    runtime: Path | None = None,
    ports: Mapping[str, int] | None = None,
    fast: bool = True,
    relay: bool = True,
    extra: Extra | None = None,
    progress: Say = packages.say,
) -> Status:
    """The same environment on a fork of `rpc_url` at `block` (its head by default): the chain id is kept, the marker says fork.

    Raises Retry when the RPC does not answer, otherwise as `up`. The upstream is only read.
    """
    with Rpc(rpc_url, timeout_s=15) as upstream:
        chain = int(upstream("eth_chainId"), 16)
    packages.ensure(progress)
    folder = runtime_dir(runtime) if runtime else runtime_dir(runtime_dir() / "fork")
    with locked(folder / "lock"):
        supervisor = Supervisor(folder)
        supervisor.stop(supervisor.recorded()[1])
        relayed = RELAYED if relay and chain == RELAYED and _has("chains.devnet.relay") else None
        seconds = 1 if fast else BLOCK_TIME_S.get(chain, 2)
        facts = {"environment": "fork", "fast": fast, "chains": [chain], "contracts": []}
        if environment_at(rpc_url) is not None:
            with Rpc(rpc_url) as upstream:
                listed = state.manifest(chain)
                codes = [upstream("eth_getCode", contract.address, "latest") for contract in listed]
            facts["contracts"] = [c.to_json() for c, code in zip(listed, codes, strict=True) if code != "0x"]

        def prepare(_chain: int, rpc: Rpc) -> None:
            set_marker(rpc, Environment.FORK)
            rpc("evm_mine")

        door, source = _door(supervisor, rpc_url)
        argv = anvil_argv(
            *(0, None),
            fork_url=source,
            fork_block=block,
            no_mining=relayed is not None,
            block_time_s=seconds,
            mixed=fast,
            cache=supervisor.cache / str(chain),
        )
        timing = ["--fast"] if fast else ["--block-time", str(seconds)]
        nodes = {chain: _node(chain, argv, ports)}
        return _Starter(supervisor, facts, door).run(nodes, prepare, relayed, timing, ports, extra)


def status(*, runtime: Path | None = None) -> Status:
    """What runs now; `services` is empty where nothing does. A stale state file is forgotten."""
    supervisor = Supervisor(runtime_path(runtime))
    found = _status(supervisor)
    if found.services and not any(service.alive for service in found.services):
        supervisor.forget()
        return _status(supervisor)
    return found


def down(*, runtime: Path | None = None) -> list[str]:
    """End what `up` or `up_fork` started in this runtime folder, nothing else; the names of what was ended."""
    folder = runtime_path(runtime)
    if not folder.is_dir():
        return []
    with locked(folder / "lock"):
        supervisor = Supervisor(folder)
        ended = supervisor.stop(supervisor.recorded()[1])
        supervisor.forget()
        return [service.name for service in reversed(ended)]


def refresh_feeds(rpc: Rpc, chain: int) -> None:
    """Post every feed's answer again, now: the mock feed has no heartbeat of its own."""
    from chains.devnet.artifacts import artifact

    feed = artifact("MockV3Aggregator")
    for address in CHAINS[chain].feeds.values():
        data = rpc("eth_call", {"to": address, "data": "0x" + feed.call("latestAnswer").hex()}, "latest")
        answer = feed.read("latestAnswer", bytes.fromhex(data[2:]))[0]
        send_as_operator(rpc, address, feed.call("updateAnswer", answer))
    rpc("evm_mine")


@dataclass(slots=True)
class _Starter:
    """Starts services in order and records each at once, so that a crash half way leaves nothing unknown behind."""

    supervisor: Supervisor
    facts: dict[str, Any]
    before: Sequence[Running] = ()
    feeds: bool = True

    def run(
        self,
        nodes: Mapping[int, Service],
        prepare: Callable[[int, Rpc], None],
        relayed: int | None,
        timing: Sequence[str],
        ports: Mapping[str, int] | None,
        extra: Extra | None,
    ) -> Status:
        running = list(self.before)

        def start(service: Service) -> Running:
            running.append(self.supervisor.start(service))
            self.supervisor.record(self.facts, running)
            return running[-1]

        try:
            anvils = {chain: start(service) for chain, service in nodes.items()}
            with ThreadPoolExecutor(len(anvils)) as pool:
                waiting = [pool.submit(_bring_up, anvils[c], c, prepare) for c in anvils]
                for done in waiting:
                    done.result()
            self.facts |= {"urls": {}, "cheat_urls": {}, "relay_url": None}
            for chain, anvil in anvils.items():
                self.facts["urls"][str(chain)] = self.facts["cheat_urls"][str(chain)] = anvil.url
            if relayed is not None:
                service = _relay(anvils[relayed].url, timing, ports)
                relay = start(service)
                self.supervisor.wait_ready(service, relay)
                running[running.index(anvils[relayed])] = renamed(anvils[relayed], relay.url)
                self.facts["urls"][str(relayed)] = relay.url
                self.facts["cheat_urls"][str(relayed)] = relay.aliases["relay-admin"]
                self.facts["relay_url"] = relay.url + "/relay"
            self.supervisor.record(self.facts, running)
            if self.facts["environment"] == "devnet" and self.feeds:
                start(_feeds(list(self.facts["cheat_urls"].values())))
            for service in extra(_status(self.supervisor)) if extra else ():
                asked = (ports or {}).get(service.name, service.port)
                service = Service(
                    *(
                        service.name,
                        service.argv,
                        service.url,
                        service.ready,
                        asked,
                        service.aliases,
                        service.ready_s,
                    )
                )
                self.supervisor.wait_ready(service, start(service))
        except BaseException:
            self.supervisor.stop(running)
            self.supervisor.forget()
            raise
        return _status(self.supervisor)


def _bring_up(anvil: Running, chain: int, prepare: Callable[[int, Rpc], None]) -> None:
    import time

    deadline = time.monotonic() + 30
    with Rpc(anvil.url) as rpc:
        while True:
            try:
                rpc("eth_chainId")
                break
            except Retry:
                if not anvil.alive:
                    raise Halt("SERVICE_ENDED", f"{anvil.name} ended at once", f"see {anvil.log}") from None
                if time.monotonic() > deadline:
                    raise Halt(
                        "SERVICE_SILENT", f"{anvil.name} does not answer", f"see {anvil.log}"
                    ) from None
                time.sleep(0.02)
        prepare(chain, rpc)


def _door(supervisor: Supervisor, rpc_url: str) -> tuple[list[Running], str]:
    """(services, url for Anvil): the url itself where it cannot hold a key, else a door's in front of it."""
    from chains.devnet.upstream import write_private

    parts = urlsplit(rpc_url)
    if parts.path in ("", "/") and not parts.query and not parts.username:
        return [], rpc_url
    secret, ready = supervisor.folder / "upstream.url", supervisor.folder / "upstream.ready"
    ready.unlink(missing_ok=True)
    write_private(secret, rpc_url)
    argv = [
        sys.executable,
        "-m",
        "chains.devnet.upstream",
        "--url-file",
        str(secret),
        "--ready-file",
        str(ready),
    ]
    service = Service("upstream", argv, ready=ready.exists)
    door = supervisor.start(service)
    try:
        supervisor.wait_ready(service, door)
        return [door], ready.read_text()
    except BaseException:
        supervisor.stop([door])
        raise
    finally:
        secret.unlink(missing_ok=True)
        ready.unlink(missing_ok=True)


def _node(chain: int, argv: Sequence[str], ports: Mapping[str, int] | None) -> Service:
    name = f"anvil-{chain}"
    with_port = ["{port}" if argv[i - 1] == "--port" else word for i, word in enumerate(argv)]
    return Service(name, with_port, url="http://127.0.0.1:{port}", port=(ports or {}).get(name, 0))


def _relay(upstream: str, timing: Sequence[str], ports: Mapping[str, int] | None) -> Service:
    url = "http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "chains.devnet.relay", "--port", "{port}", "--admin-port", "{port2}"]
    aliases = (("relay-admin", "http://127.0.0.1:{port2}"),)
    return Service(
        "relay", [*argv, "--upstream", upstream, *timing], url, url, (ports or {}).get("relay", 0), aliases
    )


def _feeds(urls: Sequence[str]) -> Service:
    return Service("feeds", [sys.executable, "-m", "chains.devnet.feeds", *(f"--rpc={url}" for url in urls)])


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _status(supervisor: Supervisor) -> Status:
    facts, services = supervisor.recorded()
    contracts: list[Contract] = []
    if services:
        if facts.get("environment") == "devnet":
            contracts = [
                c
                for chain in facts.get("chains", [])
                for c in state.manifest(chain, chain not in facts.get("bare", []))
            ]
        contracts += [Contract(**entry) for entry in facts.get("contracts", [])]
    return Status(
        Environment(facts["environment"]) if services else None,
        supervisor.folder,
        bool(facts.get("fast")),
        tuple(services),
        tuple(contracts),
        {int(chain): url for chain, url in facts.get("urls", {}).items()},
        {int(chain): url for chain, url in facts.get("cheat_urls", {}).items()},
        facts.get("relay_url"),
    )
