"""A flight of canaries names the road that tells and writes it down; what starts afterwards leaves it out until a person restores it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anvil_support import ROOT, RelayWorld, relay_world

from agent.app.canaries import Canaries
from agent.app.canary_flight import afford, anywhere, fly, makers
from agent.app.chain_desks import relay_of
from agent.app.leaky_roads import LeakyRoads
from agent.app.settings_tree import Chain
from chains.errors import Denied, Halt, Usage
from chains.gateway import Gateway
from chains.relay import sendable
from chains.relay_auth import local_header
from chains.relay_set import RelaySet
from chains.relays.buildernet import BuilderNetRelay
from chains.relays.titan import TitanRelay
from chains.types import Address, Environment, Protection, SignedTx, UnsignedTx
from keys.client import SignerClient
from keys.curve import SigningKey
from keys.transactions import assemble, digest

AUTH = local_header(bytes([1] * 31 + [95]))
KEY = SigningKey(bytes([0x5C] * 32))
BUILDERS = ("--builder", "titan:60:leaks=publish", "--builder", "buildernet:40", "--seed", "4")


async def sign(tx: UnsignedTx) -> SignedTx:
    return assemble(tx, KEY.sign(digest(tx)), KEY.address)


def chain_at(url: str) -> Chain:
    relays = [{"name": name, "url": f"{url}/builder/{name}"} for name in ("titan", "buildernet")]
    return Chain.model_validate({"name": "ethereum", "chain_id": 1, "rpc": [url], "relays": relays})


async def flown(world: RelayWorld, leaky: LeakyRoads, said: list[str], buildernet: str) -> dict[str, Any]:
    kinds = {
        "titan": TitanRelay(f"{world.url}/builder/titan", world.session, AUTH),
        "buildernet": BuilderNetRelay(buildernet, world.session, AUTH),
    }
    gateway = Gateway(1, [world.rpc])
    canaries = Canaries(
        1, gateway, RelaySet(list(kinds.values())), KEY.address, sign, makers(chain_at(world.url), Environment.DEVNET, ())
    )  # fmt: skip

    async def mined() -> None:
        await world.mine()

    told = await fly(
        canaries, 5, anywhere([world.rpc]), mined, lambda road, why: leaky.add(1, road, why), said.append
    )
    return {t.road: t for t in told}


async def test_it_is_named_written_down_and_left_out_and_a_refusal_is_no_leak(tmp_path: Path) -> None:
    leaky, said = LeakyRoads.beside(tmp_path / "journal.db"), list[str]()
    async with relay_world(*BUILDERS) as world:
        with pytest.raises(Usage, match="too little"):
            await afford(Gateway(1, [world.rpc]), KEY.address, 5)
        await world.admin.call("anvil_setBalance", [KEY.address, hex(10**18)])
        assert await afford(Gateway(1, [world.rpc]), KEY.address, 5) > 0
        told = await flown(world, leaky, said, f"{world.url}/builder/nobody")
        assert told["titan"].sent == 1 and "public pool" in told["titan"].why
        assert told["buildernet"].refused == 3 and told["buildernet"].error and not told["buildernet"].why
        assert any("titan leaked its canary 1" in line for line in said)
        leaky.forget(1, "titan")
        told = await flown(world, leaky, said, f"{world.url}/builder/buildernet")
        assert (told["buildernet"].sent, told["buildernet"].why, told["buildernet"].error) == (5, "", "")
        assert told["buildernet"].landed >= 1

        chain, found = chain_at(world.url), leaky.of(1)
        assert list(found) == ["titan"] and LeakyRoads.beside(tmp_path / "other.db").of(1) == found
        signer = SignerClient(tmp_path / "none.sock", Environment.DEVNET)
        left = relay_of(chain, world.session, signer, found)
        assert left is not None and [m.profile.name for m in left.members] == ["buildernet"]
        nobody = relay_of(chain, world.session, signer, {**found, "buildernet": "copied"})
        assert nobody is not None and nobody.members == ()
        tx = world.users[0].sign("0x" + "00" * 19 + "07")
        with pytest.raises(Denied, match="copied"):
            await nobody.send(sendable(tx, Protection.PRIVATE, nobody.profile), block=9)


def test_a_file_that_cannot_be_read_halts_and_forgetting_is_told(tmp_path: Path) -> None:
    leaky = LeakyRoads(tmp_path / "LEAKY-RELAYS.json")
    assert leaky.of(1) == {} and not leaky.forget(1, "titan")
    leaky.add(1, "titan", "seen")
    leaky.add(8453, "sequencer", "seen")
    assert leaky.forget(1, "titan") and leaky.of(1) == {} and leaky.of(8453) == {"sequencer": "seen"}
    for text in ("{", "[]", '{"eip155:1": 5}'):
        leaky.path.write_text(text)
        with pytest.raises(Halt, match="not known"):
            leaky.of(1)


def test_a_maker_has_to_be_a_roads_address() -> None:
    chain = chain_at("http://127.0.0.1:1")
    builder = Address("0x4838B106FCe9647Bdf1E7877BF73cE8B0BAD5f97")
    assert makers(chain, Environment.LIVE, (f"titan={builder}",)) == {"titan": frozenset({builder})}
    assert set(makers(chain, Environment.DEVNET, ())) == {"titan", "buildernet"}
    for wrong in ("titan", "titan=0x12", f"quasar={builder}"):
        with pytest.raises(Usage, match="ROAD=0xADDRESS"):
            makers(chain, Environment.LIVE, (wrong,))


@pytest.mark.full
def test_a_person_names_it_with_one_command(tmp_path: Path) -> None:
    from devnet_fixture import _built

    _built()
    env = {**os.environ, "FAIRLEAD_HOME": str(tmp_path / "user")}

    def fairlead(*words: str, status: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "agent", *words, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)

    runtime = ("--runtime", str(tmp_path / "devnet"))
    builders = ("titan:49:leaks=replay", "buildernet:28", "flashbots:17")
    up = fairlead("devnet", "up", "--fast", *runtime, *(w for text in builders for w in ("--builder", text)))
    try:
        home = Path(up["settings"]).parent
        words = ("--settings", up["settings"])
        (key,) = (home / "keystore").glob("devnet--canary--*")
        canary = (
            *words,
            "relay",
            "canary",
            "--keystore",
            str(key),
            "--password",
            f"file:{home / 'password'}",
        )
        assert fairlead(*canary)["roads"][0]["sent"] == 0, "a dry run"
        nowhere = fairlead(*words, "relay", "canary", "--keystore", str(home / "none.json"), status=2)
        assert nowhere["error"]["code"] == "NO_SUCH_FILE" and "none.json" in nowhere["error"]["message"]
        told = fairlead(*canary, "--live", "--count", "20", status=4)
        by_name = {road["road"]: road for road in told["roads"]}
        assert by_name["titan"]["leaked"] and by_name["titan"]["sent"] <= 20
        assert not by_name["buildernet"]["leaked"] and not by_name["flashbots"]["leaked"]
        assert list(told["dropped"]) == ["titan"]
        assert fairlead(*words, "relay", "restore", "titan")["restored"] == "titan"
        assert fairlead(*words, "relay", "restore", "titan", status=2)["error"]["code"] == "NOT_DROPPED"
    finally:
        fairlead("devnet", "down", *runtime)
