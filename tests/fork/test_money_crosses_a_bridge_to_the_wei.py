"""Across' genuine SpokePools on two devnet chains with a local relayer: paid out, expired and given back, reorganised; each wei accounted for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from agent.app.devnet_extras import across_service
from agent.app.places import Directory
from agent.app.rescue.elsewhere import on_other_chains
from agent.domain.instruments import Asset, AssetId, chain_place, erc20_id
from chains.bridges import across
from chains.bridges.across import SPOKE_POOLS, Crossing, Quote
from chains.bridges.flight import Flight, Stage, held
from chains.devnet.across_relayer import TERMS, Relayer, main, serve
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import Builder
from chains.devnet.deploy import across as deploying
from chains.devnet.funding import give_eth, give_token, token_balance
from chains.devnet.jsonrpc import Rpc as Sync
from chains.devnet.service import Status
from chains.errors import Reject
from chains.evm import checksum
from chains.gateway import Gateway
from chains.rpc import Rpc
from chains.types import Address, Hash32

pytestmark = pytest.mark.devnet
WHO, TO = checksum("0x" + "a1" * 20), checksum("0x" + "b2" * 20)
LIFE_S = 600


class Bridge:
    """Two chains with SpokePools, a wallet with money on the first, a relayer that looks when it is told to."""

    def __init__(self, devnet: Status, session: aiohttp.ClientSession, origin: int, destination: int) -> None:
        self.urls = {n: devnet.cheat_urls[n] for n in (origin, destination)}
        self.rpc = {n: Sync(url) for n, url in self.urls.items()}
        for n, rpc in self.rpc.items():
            deploying.deploy(Builder(rpc, CHAINS[n]))
        self.origin, self.destination = (
            Gateway(n, [Rpc(self.urls[n], session)]) for n in (origin, destination)
        )
        self.here, self.there, self.session = origin, destination, session
        self.relayer = Relayer(self.urls)
        self.relayer.step()
        give_eth(self.urls[origin], WHO, 10**18)

    def tokens(self, symbol: str) -> tuple[Address, Address]:
        given = CHAINS[self.here].usdc if symbol == "USDC" else CHAINS[self.here].weth
        return Address(given), Address(deploying.token_there(self.here, given, self.there))

    def now(self, chain: int) -> int:
        return int(self.rpc[chain]("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def send(self, to: str, data: bytes) -> Hash32:
        rpc = self.rpc[self.here]
        rpc("anvil_impersonateAccount", WHO)
        sent = rpc(
            "eth_sendTransaction", {"from": WHO, "to": to, "data": "0x" + data.hex(), "gas": hex(1_000_000)}
        )
        for _ in range(300):
            receipt = rpc("eth_getTransactionReceipt", sent)
            if receipt is not None:
                assert receipt["status"] == "0x1", to
                return Hash32(sent)
            time.sleep(0.005)
        raise AssertionError("not mined")

    async def deposit(self, symbol: str, quoted: Quote) -> Crossing:
        tokens = self.tokens(symbol)
        await across.check(self.origin, self.there, tokens[0], quoted)
        before = (await self.origin.block()).number
        sent = Hash32("")
        for call in across.deposit_calls(self.here, self.there, WHO, TO, tokens, quoted):
            sent = self.send(call.to, call.data)
        flight = Flight(quoted.in_raw, quoted.out_raw, quoted.deadline_s)
        return Crossing(self.here, self.there, sent, before, WHO, TO, tokens, flight)

    async def look(self, crossing: Crossing) -> Crossing:
        return await across.look(self.origin, self.destination, crossing)

    def mine(self, chain: int, count: int = 3, later_s: int = 0) -> None:
        if later_s:
            self.rpc[chain]("evm_increaseTime", later_s)
        for _ in range(count):
            self.rpc[chain]("evm_mine")

    def wealth(self, symbol: str) -> tuple[int, int]:
        """Base units of the wallet here, and of the recipient there; a wrapped coin arrives as the coin."""
        here, there = self.tokens(symbol)
        arrived = (
            int(self.rpc[self.there]("eth_getBalance", TO, "latest"), 16)
            if symbol == "WETH"
            else token_balance(self.rpc[self.there], there, TO)
        )
        return token_balance(self.rpc[self.here], here, WHO), arrived

    def adds_up(self, symbol: str, raw: int, before: tuple[int, int], found: Crossing) -> None:
        """What both chains hold is what the flight says, to the last unit."""
        told, now = held(found.flight), self.wealth(symbol)
        assert (now[0] - before[0] + raw, now[1] - before[1]) == (told.origin, told.destination)

    def close(self) -> None:
        for rpc in self.rpc.values():
            rpc.close()


@pytest.fixture(params=[(8453, 1), (1, 8453)], ids=["from base", "to base"])
async def bridge(devnet: Status, request: pytest.FixtureRequest) -> AsyncIterator[Bridge]:
    async with aiohttp.ClientSession() as session:
        made = Bridge(devnet, session, *request.param)
        yield made
        made.close()


async def test_what_was_sent_arrives_and_adds_up_at_every_stage(bridge: Bridge) -> None:
    for symbol, raw in (("USDC", 1_000_000_007), ("WETH", 3 * 10**17 + 1)):
        give_token(bridge.urls[bridge.here], bridge.tokens(symbol)[0], WHO, raw)
        began = bridge.wealth(symbol)
        quoted = across.quote(TERMS, raw, bridge.now(bridge.here), LIFE_S)
        crossing = await bridge.deposit(symbol, quoted)
        stages = []

        assert crossing.flight.stage is Stage.SENT
        crossing = await bridge.look(crossing)
        bridge.adds_up(symbol, raw, began, crossing)
        assert crossing.flight.stage is Stage.DEPOSITED and crossing.deposit is not None
        assert await bridge.look(crossing) == crossing, "nothing is new, nothing changes"
        # Anybody fills a relay of his own making under the same number; the contract takes it, and its event looks like ours.
        assert bridge.relayer.pay(replace(crossing.deposit, recipient=WHO, out_raw=1)) is True
        assert await bridge.look(crossing) == crossing, "it is no payment of this deposit"
        assert bridge.relayer.step() == 1 and bridge.relayer.step() == 0
        assert bridge.relayer.pay(crossing.deposit) is False, "the SpokePool pays nothing twice"
        for _ in range(4):
            crossing = await bridge.look(crossing)
            bridge.adds_up(symbol, raw, began, crossing)
            stages.append(crossing.flight.stage)
            bridge.mine(bridge.there)
            if crossing.flight.stage is Stage.FILLED:
                told_anew = await bridge.look(replace(crossing, deposit=None))
                assert told_anew.deposit == crossing.deposit, (
                    "read back without its deposit, it is found again"
                )
        assert stages[0] is Stage.FILLED and stages[-1] is Stage.ARRIVED and crossing.flight.over
        assert crossing.flight.paid_raw == quoted.out_raw == raw - quoted.fee_raw
        head = (await bridge.destination.block()).number
        found = await across.paid_out(bridge.destination, crossing.deposit, head, span=2)
        assert found == quoted.out_raw, "also where the fill is further back than one question reaches"
        other = replace(crossing, flight=replace(crossing.flight, stage=Stage.SENT, in_raw=raw - 1))
        assert (await bridge.look(other)).flight.stage is Stage.SENT, (
            "a transaction can hold several deposits"
        )


async def test_what_no_relayer_takes_expires_and_is_given_back_whole(bridge: Bridge) -> None:
    raw = 500_000_001
    give_token(bridge.urls[bridge.here], bridge.tokens("USDC")[0], WHO, raw)
    mean = replace(across.quote(TERMS, raw, bridge.now(bridge.here), LIFE_S), out_raw=raw)
    crossing = await bridge.look(await bridge.deposit("USDC", mean))
    assert bridge.relayer.step() == 0
    bridge.mine(bridge.there, 1, max(mean.deadline_s - bridge.now(bridge.there), 0) + 5)
    # The deadline is past in a block that is not final: a reorganisation could still bring a fill.
    assert (await bridge.look(crossing)).flight.stage is Stage.DEPOSITED
    bridge.mine(bridge.there)
    crossing = await bridge.look(crossing)
    assert crossing.flight.stage is Stage.EXPIRED and held(crossing.flight).flying == raw
    assert crossing.deposit is not None and bridge.relayer.pay(crossing.deposit) is False
    assert await bridge.look(crossing) == crossing and bridge.wealth("USDC") == (0, 0)
    bridge.relayer.give_back(crossing.deposit)
    assert (
        await across.look(bridge.origin, bridge.destination, crossing, 1)
    ).flight.stage is Stage.EXPIRED, "a refund that another crossing accounts for is none of this one's"
    early = crossing.deposit.log.block_number - 1
    crossing = await across.look(bridge.origin, bridge.destination, replace(crossing, deposit=None), 0, early)
    assert crossing.flight.stage is Stage.REFUNDED and bridge.wealth("USDC") == (raw, 0)


async def test_a_reorganisation_of_either_chain_takes_it_back(bridge: Bridge) -> None:
    raw = 10**9
    give_token(bridge.urls[bridge.here], bridge.tokens("USDC")[0], WHO, raw)
    quoted = across.quote(TERMS, raw, bridge.now(bridge.here), LIFE_S)
    undone = bridge.rpc[bridge.here]("evm_snapshot")
    crossing = await bridge.look(await bridge.deposit("USDC", quoted))
    unpaid = bridge.rpc[bridge.there]("evm_snapshot")
    assert bridge.relayer.step() == 1
    filled = await bridge.look(crossing)
    assert filled.flight.stage is Stage.FILLED
    bridge.rpc[bridge.there]("evm_revert", unpaid)
    back = await bridge.look(filled)
    assert back.flight.stage is Stage.DEPOSITED and held(back.flight).flying == raw
    bridge.rpc[bridge.here]("evm_revert", undone)
    bridge.mine(bridge.here)
    gone = await bridge.look(back)
    assert gone.flight.stage is Stage.SENT and gone.deposit is None and held(gone.flight).origin == raw


async def test_what_lies_on_another_chain_is_known_where_a_bridge_would_bring_it(bridge: Bridge) -> None:
    usdc, weth = (bridge.tokens(symbol)[0] for symbol in ("USDC", "WETH"))
    give_token(bridge.urls[bridge.here], usdc, WHO, 7_000_003)
    odd = SPOKE_POOLS[bridge.here]
    found = await across.sendable(bridge.origin, bridge.there, [weth, usdc], WHO)
    assert found == {usdc: 7_000_003}, "of what is not held there is nothing to send"
    assert await across.sendable(bridge.origin, bridge.there, [odd], WHO) == {}
    assert await across.sendable(bridge.origin, 42161, [usdc], WHO) == {}, "no route is open"

    def desk(gateway: Gateway) -> Any:
        place = chain_place(gateway.chain_id)
        return SimpleNamespace(
            gateway=gateway, wallet=WHO, place=place, profile=SimpleNamespace(chain_id=gateway.chain_id)
        )

    here, there = desk(bridge.origin), desk(bridge.destination)
    asset = AssetId(erc20_id(bridge.here, usdc))
    directory = Directory({"USDC": (asset,)}, {asset: Asset(asset, "USDC", 6)})
    app: Any = SimpleNamespace(chains={bridge.here: here, bridge.there: there}, directory=directory)
    assert await on_other_chains(app, there) == {asset: 7_000_003} and await on_other_chains(app, here) == {}
    here.gateway = Gateway(bridge.here, [Rpc("http://127.0.0.1:9", bridge.session)])
    assert await on_other_chains(app, there) == {}, "a chain that is silent holds nothing for a rescue"


async def test_what_the_contract_would_refuse_is_refused_before_anything_is_signed(bridge: Bridge) -> None:
    now = bridge.now(bridge.here)
    token = bridge.tokens("USDC")[0]
    good = across.quote(TERMS, 10**6, now, LIFE_S)
    wrong = {
        "BRIDGE_CLOSED": (SPOKE_POOLS[bridge.here], good),
        "BRIDGE_STALE": (token, replace(good, quote_s=now - 4_000)),
        "BRIDGE_DEADLINE": (token, replace(good, deadline_s=now + 30_000)),
    }
    await across.check(bridge.origin, bridge.there, token, good)
    for code, (asked, quoted) in wrong.items():
        with pytest.raises(Reject) as caught:
            await across.check(bridge.origin, bridge.there, asked, quoted)
        assert caught.value.code == code and caught.value.hint


async def test_a_devnet_with_a_bridge_has_open_spoke_pools_and_a_relayer_that_says_what_it_takes(
    devnet: Status,
) -> None:
    service = across_service(devnet)
    assert service.argv[-4:] == [
        "--rpc",
        f"1={devnet.cheat_urls[1]}",
        "--rpc",
        f"8453={devnet.cheat_urls[8453]}",
    ]
    assert across_service(devnet) == service, "what stands is not built again"
    relayer = Relayer({n: devnet.cheat_urls[n] for n in (1, 8453)})
    server = serve(relayer, 0)
    async with aiohttp.ClientSession() as session:
        for here, there in ((1, 8453), (8453, 1)):
            gate, usdc = Gateway(here, [Rpc(devnet.cheat_urls[here], session)]), Address(CHAINS[here].usdc)
            give_token(devnet.cheat_urls[here], usdc, WHO, 5)
            assert await across.sendable(gate, there, [usdc], WHO) == {usdc: 5}
        async with session.get(f"http://127.0.0.1:{server.server_port}/") as answer:
            told = await answer.json()
    server.shutdown()
    server.server_close()
    assert told["terms"]["fee_bps"] == str(TERMS.fee_bps) and (told["paid"], told["waiting"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--rpc", "10=http://127.0.0.1:1"], "BAD_RPC"),
        (["--rpc", "nonsense"], "BAD_RPC"),
        (["--rpc", "1=http://127.0.0.1:9"], ""),
    ],
)
def test_a_relayer_that_is_told_nonsense_says_so(
    arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) in (2, 4)
    told = capsys.readouterr().err
    assert told.startswith("across: ") and code in told and "Traceback" not in told
