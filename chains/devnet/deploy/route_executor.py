"""Our own RouteExecutor, by the Safe singleton factory: one address on every chain."""

from __future__ import annotations

from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from contracts.own import FACTORY
from contracts.route_executor import ADDRESS, EXECUTOR


def deploy(b: Builder) -> None:
    code = EXECUTOR.init_code(bytes.fromhex(artifact("RouteExecutor").bytecode))
    b.create2(code, FACTORY, EXECUTOR.salt, ADDRESS)
    b.record(
        "RouteExecutor (ours, unaudited)",
        ADDRESS,
        "exact",
        "CREATE2 over contracts/src/RouteExecutor.sol as set-up compiles it; ownerless",
    )
