"""Our own RouteExecutor, by the Safe singleton factory: one address on every chain."""

from __future__ import annotations

from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from contracts.own import FACTORY, Own
from contracts.route_executor import ADDRESS, EXECUTOR


def deploy(b: Builder) -> None:
    place(b, EXECUTOR, ADDRESS)


def place(b: Builder, own: Own, address: str) -> None:
    """A contract of ours without owner or arguments, as set-up compiled it, where CREATE2 puts it."""
    code = own.init_code(bytes.fromhex(artifact(own.name).bytecode))
    b.create2(code, FACTORY, own.salt, address)
    b.record(
        f"{own.name} (ours, unaudited)",
        address,
        "exact",
        f"CREATE2 over contracts/src/{own.name}.sol as set-up compiles it; ownerless",
    )
