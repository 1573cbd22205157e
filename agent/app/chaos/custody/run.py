"""Runs cases: attack number C of seed N in a world as it was before, begun and ended before the referee's eyes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from random import Random
from typing import Any

from agent.app.chaos.custody import wallet as c
from agent.app.chaos.custody.catalogue import every
from agent.app.chaos.custody.exchange_room import OWNER_KEY, OWNER_SECRET, ExchangeRoom
from agent.app.chaos.custody.exchange_truth import Exchange
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.signer_room import SignerRoom
from agent.app.chaos.custody.truth import Wallet
from agent.app.chaos.custody.world import (
    A_USDC,
    A_WETH,
    AGENT,
    DEBT_USDC,
    DEBT_WETH,
    ETH,
    OWNERS,
    POOL,
    ROUTER02,
    THIEF,
    UNIVERSAL,
    USDC,
    WETH,
    Gated,
    gated,
)
from agent.app.chaos.referee_process import RefereeProcess
from chains.devnet.addresses import CHAINS as CHAINS_AT
from chains.devnet.addresses import PERMIT2
from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at
from chains.errors import Denied, FairleadError, Halt, Usage
from chains.types import Environment
from keys.scope import Scope

TRUTH = {"ETH": "3000", "USDC": "1"}
"""What things are worth here; feeds say so too, but for attacks that let them drift."""
Say = Callable[[str], None]
MISTAKES = ("allowance", "module", "slack", "signer", "exchange", "signatures")


class Referee(RefereeProcess):
    """The judging process. `begin` and `end` are all it hears of an attack."""

    def __init__(self, wallets: Sequence[Wallet], exchanges: Sequence[Exchange] = ()) -> None:
        told = {"wallets": [asdict(w) for w in wallets], "exchanges": [asdict(e) for e in exchanges]}
        super().__init__("agent.app.chaos.custody.referee", told)

    def begin(self) -> None:
        self.ask({"do": "begin"})

    def end(self, repelled: bool) -> dict[str, Any]:
        return self.ask({"do": "end", "repelled": repelled})


@dataclass
class Report:
    """FORMATS, "Chaos doors". `extracted_usd` is the most any one case took; `bound_usd` what it might have taken; the same of an
    exchange's account, whose bound is another."""

    seed: int
    count: int
    violations: list[dict[str, Any]] = field(default_factory=list)
    attacks: int = 0
    repelled: int = 0
    extracted: Decimal = Decimal(0)
    bound: Decimal = Decimal(0)
    at_exchange: Decimal = Decimal(0)
    exchange_bound: Decimal = Decimal(0)
    took_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "custody",
            "seed": self.seed,
            "count": self.count,
            "violations": self.violations,
            "counters": {
                "attacks": self.attacks,
                "repelled": self.repelled,
                "extracted_usd": str(self.extracted.quantize(Decimal("0.01"), ROUND_CEILING)),
                "bound_usd": str(self.bound.quantize(Decimal("0.01"))),
                "exchange_extracted_usd": str(self.at_exchange.quantize(Decimal("0.01"), ROUND_CEILING)),
                "exchange_bound_usd": str(self.exchange_bound.quantize(Decimal("0.01"))),
            },
            "took_s": round(self.took_s, 1),
        }


def order(seed: int, moves: Sequence[Move]) -> list[Move]:
    """Case C is order(seed)[C modulo how many there are]. Those who optimise come first, in every seed."""
    shuffled = list(moves)
    Random(f"custody {seed}").shuffle(shuffled)
    return sorted(shuffled, key=lambda move: not move.first)


@contextmanager
def arena(urls: Mapping[int, str], mistake: str = "") -> Iterator[tuple[Room, Referee]]:
    """The two wallets on a devnet, the signer, and the referee. `mistake`: what the owners did wrong, for a control.

    Raises Denied NOT_A_DEVNET for any other chain.
    """
    if mistake and mistake not in MISTAKES:
        raise Usage(
            "MISTAKE_UNKNOWN", f"no control is called {mistake!r}", f"there are {', '.join(MISTAKES)}"
        )
    with ExitStack() as stack:
        for url in urls.values():
            stack.enter_context(_as_it_was(url))
        world = gated(urls, slack_bps=1_000 if mistake == "slack" else 100)
        stack.callback(world.rpc.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-")))
        loose = {"transfer_to": [c.THIEF]} if mistake == "signer" else {}
        lax = {"per_day": "300000"} if mistake == "exchange" else {}
        (folder / "api-secret").write_text(OWNER_SECRET)
        exchange = ExchangeRoom(folder)
        stack.callback(exchange.stop)
        exchange.start()
        sends_to = "" if mistake == "signatures" else exchange.url
        signer = SignerRoom(world.rpc, folder, loose, c.EXCHANGE_LIMIT | lax, sends_to)
        signer.prepare(world.url)
        stack.callback(signer.stop)
        if mistake == "allowance":
            world.safe_calls(WETH, "erc20", "approve", AGENT, 2**256 - 1)
        elif mistake == "module":
            world.safe_calls(world.safe, "safe", "enableModule", AGENT)
        told = replace(world.scope, slack_bps=100)
        watched = (_gated(world, told), _elsewhere(world), _signed(world, signer))
        referee = Referee(watched, (_at_exchange(exchange),))
        stack.callback(referee.close)
        yield Room(world, signer, exchange), referee


@contextmanager
def _as_it_was(url: str) -> Iterator[None]:
    """What happens on that devnet meanwhile is undone. Raises Denied NOT_A_DEVNET where it is none."""
    if environment_at(url) is not Environment.DEVNET:
        raise Denied("NOT_A_DEVNET", "attacks are rehearsed on a devnet of ours only", "leave --rpc out")
    with Rpc(url) as rpc:
        snapshot = rpc("evm_snapshot")
        try:
            yield
        finally:
            rpc("evm_revert", snapshot)
            rpc("anvil_dropAllTransactions")


def _gated(world: Gated, told: Scope) -> Wallet:
    """The Safe behind the Gate, with the numbers its owners were shown."""
    errors = [str(Decimal(t.feed_error_bps) / 10_000) for t in told.tokens]
    gas = told.gas
    if gas is None:
        raise Halt("CHAOS_WORLD", "the scope has no gas money")
    return Wallet(
        name="the Safe behind the Gate",
        url=world.url,
        safe=world.safe,
        agent=AGENT,
        thief=THIEF,
        gate=world.gate,
        roles=world.roles,
        pool=POOL,
        spend_ledger="",
        tokens={WETH: (18, TRUTH["ETH"]), USDC: (6, TRUTH["USDC"])},
        supplied={A_WETH: (18, TRUTH["ETH"]), A_USDC: (6, TRUTH["USDC"])},
        owed={DEBT_WETH: (18, TRUTH["ETH"]), DEBT_USDC: (6, TRUTH["USDC"])},
        spenders=(world.gate, world.roles, ROUTER02, UNIVERSAL, POOL, PERMIT2),
        native_usd=TRUTH["ETH"],
        bound={
            "slack": str(Decimal(told.slack_bps) / 10_000),
            "error_a": errors[0],
            "error_b": errors[1],
            "burst_usd": str(told.burst_usd),
            "rate_usd": str(told.per_day_usd - told.burst_usd),
            "gas_float": str(Decimal(max(told.gas_float_wei, gas.float_cap_wei)) / ETH),
            "gas_burst": str(Decimal(gas.burst_wei) / ETH),
            "gas_rate": str(Decimal(gas.per_day_wei) / ETH),
        },
    )


def _elsewhere(world: Gated) -> Wallet:
    """The same Safe at the same address on another chain, with money and without a Gate."""
    url, at = world.urls[8453], CHAINS_AT[8453]
    if create_safe(url, [o.address for o in OWNERS], 2) != world.safe:
        raise Halt("CHAOS_WORLD", "the Safe stands at another address on the other chain")
    give_token(url, at.weth, world.safe, 10 * ETH)
    give_token(url, at.usdc, world.safe, 10**10)
    give_eth(url, AGENT, ETH)
    return Wallet(
        name="the same Safe on chain 8453",
        url=url,
        safe=world.safe,
        agent=AGENT,
        thief=THIEF,
        gate="",
        roles="",
        pool="",
        spend_ledger="",
        tokens={at.weth: (18, TRUTH["ETH"]), at.usdc: (6, TRUTH["USDC"])},
        supplied={},
        owed={},
        spenders=(world.gate, world.roles, PERMIT2),
        native_usd=TRUTH["ETH"],
        bound={},
    )


def _signed(world: Gated, signer: SignerRoom) -> Wallet:
    """The Safe whose keys the signer holds. Nothing of it may go while every request is refused."""
    return Wallet(
        name="the Safe of the signer",
        url=world.url,
        safe=c.SAFE,
        agent=c.AGENT.address,
        thief=c.THIEF,
        gate="",
        roles="",
        pool=POOL,
        spend_ledger=str(signer.ledger),
        tokens={WETH: (18, TRUTH["ETH"]), USDC: (6, TRUTH["USDC"])},
        supplied={A_WETH: (18, TRUTH["ETH"]), A_USDC: (6, TRUTH["USDC"])},
        owed={DEBT_WETH: (18, TRUTH["ETH"]), DEBT_USDC: (6, TRUTH["USDC"])},
        spenders=(c.PERMIT2, c.ROUTER, c.ROUTER02, c.V2_ROUTER, c.VAULT, c.AAVE),
        native_usd=TRUTH["ETH"],
        bound={},
    )


def _at_exchange(exchange: ExchangeRoom) -> Exchange:
    """The account whose key the signer holds, with the number its owner is shown: a day's orders, each carried out once."""
    return Exchange(
        name="the account at the exchange",
        port=exchange.port,
        account=OWNER_KEY,
        prices=TRUTH,
        bound_usd=c.EXCHANGE_LIMIT["per_day"],
    )


def run(
    urls: Mapping[int, str],
    seed: int,
    cases: Sequence[int],
    *,
    mistake: str = "",
    moves: Sequence[Move] | None = None,
    say: Say = lambda text: None,
) -> Report:
    """Those cases of that seed, each alone in the same world. Raises what the devnet, the signer or the referee raise."""
    began, report = time.monotonic(), Report(seed, len(cases))
    ordered = order(seed, every() if moves is None else moves)
    with arena(urls, mistake) as (room, referee):
        for case in cases:
            move = ordered[case % len(ordered)]
            _case(room, referee, seed, case, move, report, say)
    report.took_s = time.monotonic() - began
    return report


def _case(room: Room, referee: Referee, seed: int, case: int, move: Move, report: Report, say: Say) -> None:
    rpcs = [room.gate.rpc, *(Rpc(url) for chain, url in room.gate.urls.items() if chain != 1)]
    snapshots = [rpc("evm_snapshot") for rpc in rpcs]
    room.chance = Random(f"custody {seed} {case}")
    try:
        room.gate.later(room.chance.randrange(1, 300))
        move.before(room)
        referee.begin()
        try:
            said = move.act(room)
        except FairleadError as stopped:
            if stopped.code == "CHAOS_WORLD":
                raise  # an attack that could not be made is no attack repelled
            said = str(stopped)
        verdict = referee.end(move.repelled)
    finally:
        for rpc, snapshot in zip(rpcs, snapshots, strict=True):
            rpc("evm_revert", snapshot)
            rpc("anvil_dropAllTransactions")
        for rpc in rpcs[1:]:
            rpc.close()
    found = list(verdict["violations"])
    if move.repelled and move.rule not in said:
        found.append(
            {
                "rule": "not-its-rule",
                "story": f"{move.rule!r} should refuse it, and what was said is {said!r}",
            }
        )
    if said.endswith("→ "):
        found.append({"rule": "no-remedy", "story": f"the refusal names no remedy: {said!r}"})
    taken, most = Decimal(verdict["extracted_usd"]), Decimal(verdict["bound_usd"])
    report.attacks += 1
    report.repelled += move.repelled and not found
    if report.attacks == 1 or taken > report.extracted:
        report.extracted, report.bound = taken, most
    there, there_most = Decimal(verdict["exchange_extracted_usd"]), Decimal(verdict["exchange_bound_usd"])
    if report.attacks == 1 or there > report.at_exchange:
        report.at_exchange, report.exchange_bound = there, there_most
    told = f"{move.family}: {move.name}"
    report.violations += [{"case": case, "rule": v["rule"], "story": f"{told}: {v['story']}"} for v in found]
    if found:
        say(f"case {case} · {told}: {found[0]['rule']}, {found[0]['story']}")
    elif there > 0:
        say(f"case {case} · {told}: {there:.2f} of at most {there_most:.2f} USD at the exchange; {said}")
    elif not move.repelled:
        say(f"case {case} · {told}: {taken:.2f} of at most {most:.2f} USD, {most - taken:.2f} short; {said}")
