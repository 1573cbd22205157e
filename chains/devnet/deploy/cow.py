"""CoW Protocol on chain 1: settlement, vault relayer and the solvers' list, by the real CREATE2 with the real salt."""

from __future__ import annotations

from chains.devnet.addresses import BALANCER, COW, COW_MANAGER, COW_SALT, CREATE2_PROXY
from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from chains.errors import Halt

_WHY = "CREATE2 over the package's creation code gives the official address"


def deploy(b: Builder) -> None:
    implementation, proxy = (
        COW["GPv2AllowListAuthentication implementation"],
        COW["GPv2AllowListAuthentication"],
    )
    lists, settlement = artifact("GPv2AllowListAuthentication"), artifact("GPv2Settlement")
    begin = lists.call("initializeManager", COW_MANAGER)
    creations = {
        "GPv2AllowListAuthentication implementation": lists.creation(),
        "GPv2AllowListAuthentication": artifact("GPv2AllowListProxy").creation(
            implementation, COW_MANAGER, begin
        ),
        "GPv2Settlement": settlement.creation(proxy, BALANCER["Vault"]),
    }
    for name, creation in creations.items():
        b.create2(creation, CREATE2_PROXY, COW_SALT, COW[name])
        b.record(f"CoW {name}", COW[name], "exact", _WHY)
    relayer = b.read(settlement, COW["GPv2Settlement"], "vaultRelayer")
    if relayer.lower() != COW["GPv2VaultRelayer"].lower():
        raise Halt("DEVNET_BUILD", f"the settlement made its vault relayer at {relayer}")
    b.record("CoW GPv2VaultRelayer", relayer, "exact", "made by the settlement's own constructor")
