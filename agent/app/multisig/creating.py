"""A new Safe at the same address on every chain: the setup alone decides it, so it is known before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.app.chain_desk import ChainDesk
from agent.app.instructed import Ended, instructed
from agent.app.multisig.executing import FOR_EVER_S
from agent.domain.errors import Denied, Reject, Usage
from agent.domain.events import ChainBatch, Simulated
from agent.domain.ids import ClOrdId, child_id, part_id
from agent.domain.orders import Part
from agent.execution.authority import EXEC_OVERHEAD_GAS, Authority
from agent.execution.desk import Desk
from chains.gas import Urgency, bid, cost_at_most, gas_limit_up
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.safe_versions import RELEASES, SafeRelease, release
from chains.simulate import Step
from chains.types import Address, BlockRef, Call
from chains.userops import ENTRY_POINT
from chains.wallets import Wallet, identify
from contracts.codec import decode_result, encode
from keys import erc4337
from keys.safe import SafeSetup, counterfactual_address, create_call

if TYPE_CHECKING:
    from agent.app.wiring import App


@dataclass(frozen=True, slots=True)
class Planned:
    """Where the Safe would stand on one chain, and what stands there now."""

    address: Address
    there: Wallet
    setup: SafeSetup
    call: Call

    @property
    def exists(self) -> bool:
        return self.there.safe is not None

    @property
    def block(self) -> BlockRef:
        return self.there.block


@dataclass(frozen=True, slots=True)
class Creation:
    """`fee_wei` is the most its transaction may cost."""

    planned: Planned
    part: Part
    batch: ChainBatch
    gas: int
    fee_wei: int


async def plan(
    profile: ChainProfile,
    gateway: Gateway,
    owners: tuple[Address, ...],
    threshold: int,
    salt: int,
    layer2: bool,
    version: str = "1.4.1",
    operations: bool = False,
) -> Planned:
    """`operations`: with the 4337 module, so that it takes user operations. Raises Usage as `setup_calldata` and SAFE_VERSION_UNKNOWN, Reject
    SAFE_NOT_DEPLOYED where the official contracts are not on the chain."""
    found = await _deployed(profile, gateway, version, layer2)
    factory, handler = found.proxy_factory, found.fallback_handler
    singleton = found.safe_l2 if layer2 else found.safe
    setup = SafeSetup(owners, threshold, handler, salt)
    if operations:
        await _takes_operations(profile, gateway, version)
        setup = erc4337.setup(owners, threshold, salt)
    answer = await gateway.call(Call(factory, encode("safe_proxy_factory", "proxyCreationCode")))
    code = decode_result("safe_proxy_factory", "proxyCreationCode", answer.data)[0]
    address = counterfactual_address(factory, singleton, code, setup)
    return Planned(address, await identify(gateway, address), setup, create_call(factory, singleton, setup))


async def _deployed(profile: ChainProfile, gateway: Gateway, version: str, layer2: bool) -> SafeRelease:
    """The first set of the version that stands there whole: 1.3.0 has two."""
    release(version)
    missing = ""
    for found in (r for r in RELEASES if r.version == version):
        singleton = found.safe_l2 if layer2 else found.safe
        parts = {"proxy factory": found.proxy_factory, "singleton": singleton, "fallback handler": found.fallback_handler}  # fmt: skip
        absent = [f"{name} at {at}" for name, at in parts.items() if not await gateway.code(at)]
        if not absent:
            return found
        missing = missing or absent[0]
    raise Reject(
        "SAFE_NOT_DEPLOYED",
        f"Safe {version} is not on {profile.name}: no code of its {missing}",
        "leave the chain out, or choose another --safe-version",
    )


async def _takes_operations(profile: ChainProfile, gateway: Gateway, version: str) -> None:
    """Raises Usage SAFE_VERSION_UNKNOWN, Reject SAFE_NOT_DEPLOYED."""
    if version == "1.3.0":
        raise Usage(
            "SAFE_VERSION_UNKNOWN",
            "the 4337 module 0.3.0 is for Safe 1.4.1 and later",
            "leave --safe-version out",
        )
    named = {"4337 module": erc4337.MODULE, "module set-up": erc4337.MODULE_SETUP, "EntryPoint": ENTRY_POINT}
    for name, at in named.items():
        if not await gateway.code(at):
            raise Reject(
                "SAFE_NOT_DEPLOYED",
                f"user operations are not possible on {profile.name}: no code of the {name} at {at}",
                "leave the chain out, or --user-operations",
            )


async def prepare(app: App, desk: ChainDesk, planned: Planned) -> Creation:
    """Rehearsed here by the sender. Raises Reject WOULD_REVERT, SAFE_ADDRESS_DIFFERS; Denied NO_ROAD."""
    assert desk.simulator is not None and desk.sender is not None
    if why := desk.no_road(desk.protection):
        raise Denied("NO_ROAD", why, "configure a relay for the chain; there is no fall-back to public")
    seen = await desk.simulator.run([Step(desk.sender, planned.call)], at=planned.block)
    if not seen.ok:
        raise Reject("WOULD_REVERT", f"the factory refuses it: {seen.reason}", "nothing was sent")
    made = decode_result("safe_proxy_factory", "createProxyWithNonce", seen.steps[0].data)[0]
    if made != planned.address:
        raise Reject(
            "SAFE_ADDRESS_DIFFERS",
            f"the factory would put it at {made}, not at {planned.address}",
            "nothing was sent",
        )
    gas = seen.steps[0].gas_used
    fees = bid(await desk.gateway.fee_history(), Urgency.NORMAL)
    listed = [a for a in app.directory.at(desk.place) if "/erc20:" in a]
    if len(listed) < 2:
        raise Usage(
            "FEW_ASSETS",
            f"the settings name {len(listed)} tokens on {desk.profile.name}",
            "add two under [assets]",
        )
    child = child_id(ClOrdId(f"create-{planned.address}-{app.clock.now_ns()}"), 0)
    part = Part(
        cl_ord_id=part_id(child, desk.place, 1),
        child=child,
        place=desk.place,
        attempt=1,
        asset_in=listed[0],
        asset_out=listed[1],
        in_raw=0,
        out_raw=0,
        floor_raw=0,
        legs=(),
    )
    batch = ChainBatch(desk.profile.chain_id, planned.address, (planned.call,), FOR_EVER_S, desk.protection)
    return Creation(planned, part, batch, gas, cost_at_most(gas_limit_up(gas + EXEC_OVERHEAD_GAS), fees))


async def carry_out(found: Creation, desk: Desk) -> Ended | None:
    authority = desk.authority
    assert isinstance(authority, Authority)
    setup = found.planned.setup
    what = f"create a {setup.threshold}-of-{len(setup.owners)} Safe at {found.planned.address}"
    block = found.planned.block.number
    simulated = Simulated(found.part, found.batch, None, 0, 0, found.gas, block, desk.clock.now_ns())
    return await instructed(desk, what, simulated, authority.authorize_creation)
