"""Morpho (its own contract), Compound III and Maker (as documented, `lending_sources`): at every block what is followed is what a whole read gives, each
change is named by its transaction, and logs that are left out are found in the very look."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aave_chain import DOLLAR, ETH, USDC, WETH, aave_chain
from counting_gateway import Counting
from eth_abi import decode
from eth_abi import encode as abi_encode
from eth_utils.address import to_checksum_address
from lending_oracle import compiled
from liquidations import LIQUIDATOR, Pool
from other_lenders import call_of

from chains.account_views import account_of
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import DEPLOYER
from chains.devnet.funding import give_token
from chains.followed import Followed
from chains.gateway import Gateway
from chains.lending.compound_v3 import read_account
from chains.lending.maker_vault import MakerCore, read_vault
from chains.lending.morpho_blue import read_position
from chains.rpc import Rpc
from chains.types import Address, ViewReader

pytestmark = pytest.mark.devnet
WHO = to_checksum_address("0xf0110000000000000000000000000000000000f1")
OTHER = to_checksum_address("0x0f110000000000000000000000000000000000e1")
FEED, DAI = CHAINS[1].feeds["ETH"], CHAINS[1].mocks["DAI"][0]
SEED, STEPS = 20_262, 40
ILK, LLTV = b"ETH-A".ljust(32, b"\0"), 86 * 10**16
PARAMS = "(address,address,address,address,uint256)"


@dataclass
class Market:
    """`own` change what WHO has there, `silent` do so without a log that names him, `others` do not. Each is (sender, to, data)."""

    contract: str
    read: Callable[[ViewReader, int | str], Awaitable[Any]]
    own: Callable[[random.Random], tuple[str, str, str]]
    others: Callable[[random.Random], tuple[str, str, str]]
    liquidated: tuple[str, str, str] | None = None
    silent: tuple[str, str, str] | None = None


def send(pool: Pool, sender: str, to: str | None, data: str) -> Any:
    """In a block of its own, a second after the last."""
    pool.rpc("anvil_impersonateAccount", sender)
    pool.rpc("anvil_setBalance", sender, hex(10**24))
    given = {"from": sender, "data": data, "gas": hex(16_000_000)} | ({"to": to} if to else {})
    sent = pool.rpc("eth_sendTransaction", given)
    pool.mine(pool.now() + 1)
    receipt = pool.rpc("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1", (to, data[:10])
    return receipt


def made(pool: Pool, name: str, kinds: Sequence[str] = (), values: Sequence[Any] = ()) -> str:
    code = "0x" + compiled(name)["bytecode"] + abi_encode(kinds, values).hex()
    return to_checksum_address(send(pool, DEPLOYER, None, code)["contractAddress"])


def morpho(pool: Pool) -> Market:
    address = made(pool, "Morpho")
    place = "place((uint256,uint256,uint128,uint128,uint128,uint128,uint256,uint256,uint256),address)"
    given = (LLTV, 3_000 * 10**36, 10 * ETH, 2_000 * ETH * 10**6, 10**6 * ETH, 10**12 * ETH, 3 * 10**9, 0, 0)
    data = place.split("(", 1)[0], given
    kinds = ["(uint256,uint256,uint128,uint128,uint128,uint128,uint256,uint256,uint256)", "address"]
    from eth_utils.crypto import keccak

    send(pool, DEPLOYER, address, "0x" + (keccak(text=place)[:4] + abi_encode(kinds, [data[1], WHO])).hex())
    told = pool.rpc("eth_call", {"to": address, "data": call_of("idOf(uint256)", [LLTV])}, "latest")
    params = (address, address, address, address, LLTV)

    def call(function: str, kinds: str, *values: Any) -> str:
        return call_of(f"{function}({PARAMS},{kinds})", [params, *values])

    def own(rng: random.Random) -> tuple[str, str, str]:
        wei = rng.randrange(1, 10**17)
        return rng.choice(
            [
                (OTHER, address, call("supplyCollateral", "uint256,address,bytes", wei, WHO, b"")),
                (WHO, address, call("withdrawCollateral", "uint256,address,address", wei, WHO, OTHER)),
                (WHO, address, call("borrow", "uint256,uint256,address,address", wei, 0, WHO, OTHER)),
                (OTHER, address, call("repay", "uint256,uint256,address,bytes", wei, 0, WHO, b"")),
            ]
        )

    def others(rng: random.Random) -> tuple[str, str, str]:
        return (
            OTHER,
            address,
            call("supply", "uint256,uint256,address,bytes", rng.randrange(1, ETH), 0, OTHER, b""),
        )

    market = "0x" + told[2:]
    return Market(
        address,
        lambda chain, block: read_position(chain, Address(address), market, Address(WHO), block),
        own,
        others,
    )


def comet(pool: Pool) -> Market:
    feeds = CHAINS[1].feeds
    address = made(pool, "Comet", ["address"] * 4, [USDC, feeds["USDC"], WETH, feeds["ETH"]])
    give_token(pool.rpc.url, USDC, address, 10**6 * DOLLAR)
    supply, withdraw = "supplyTo(address,address,uint256)", "withdraw(address,uint256)"
    for who in (WHO, OTHER):
        for token in (WETH, USDC):
            send(pool, who, token, call_of("approve(address,uint256)", [address, 10**30]))
        send(pool, who, address, call_of(supply, [who, WETH, 10 * ETH]))
        send(pool, who, address, call_of(withdraw, [USDC, 10_000 * DOLLAR]))

    def own(rng: random.Random) -> tuple[str, str, str]:
        wei, usd = rng.randrange(1, 10**17), rng.randrange(1, 500 * DOLLAR)
        return rng.choice(
            [
                (OTHER, address, call_of(supply, [WHO, WETH, wei])),
                (WHO, address, call_of(withdraw, [WETH, wei])),
                (WHO, address, call_of(withdraw, [USDC, usd])),
                (OTHER, address, call_of(supply, [WHO, USDC, usd])),
            ]
        )

    def others(rng: random.Random) -> tuple[str, str, str]:
        return OTHER, address, call_of(supply, [OTHER, WETH, rng.randrange(1, 10**15)])

    return Market(
        address, lambda chain, block: read_account(chain, Address(address), Address(WHO), block), own, others,
        (LIQUIDATOR, address, call_of("absorb(address,address[])", [LIQUIDATOR, [WHO]])),
        (WHO, address, call_of("transfer(address,uint256)", [OTHER, 7 * DOLLAR])),
    )  # fmt: skip


def maker(pool: Pool) -> Market:
    kinds = ["bytes32", "address", "address", "address", "address", "uint256", "uint256"]
    home = made(pool, "Maker", kinds, [ILK, WETH, FEED, DAI, WHO, 10 * ETH, 5_000 * ETH])

    def part(name: str) -> Address:
        answer = pool.rpc("eth_call", {"to": home, "data": call_of(f"{name}()", [])}, "latest")
        return Address(to_checksum_address(decode(["address"], bytes.fromhex(answer[2:]))[0]))

    vat, jug, join = part("vat"), part("jug"), part("join")
    core = MakerCore(vat, part("spotter"), jug, part("dog"), part("daiJoin"))
    frob = "frob(bytes32,address,address,address,int256,int256)"

    def own(rng: random.Random) -> tuple[str, str, str]:
        ink, art = rng.randrange(1, 10**16), rng.randrange(1, 10**18)
        moved = rng.choice([(-ink, 0), (0, art), (0, -art // 9), (-ink, art)])
        return WHO, vat, call_of(frob, [ILK, WHO, WHO, WHO, *moved])

    def others(rng: random.Random) -> tuple[str, str, str]:
        return OTHER, jug, call_of("drip(bytes32)", [ILK])

    return Market(
        vat, lambda chain, block: read_vault(chain, core, ILK, Address(WHO), join, Address(to_checksum_address(WETH)), block),
        own, others,
    )  # fmt: skip


MARKETS = {"morpho": morpho, "comet": comet, "maker": maker}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with aave_chain(WHO) as made_pool:
        for who in (WHO, OTHER):
            give_token(made_pool.rpc.url, USDC, who, 10**6 * DOLLAR)
            give_token(made_pool.rpc.url, WETH, who, 100 * ETH)
        yield made_pool


@pytest.fixture(params=MARKETS)
def market(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Market]:
    with pool.undone():
        yield MARKETS[request.param](pool)


class Looks:
    def __init__(self, market: Market, gateway: Gateway) -> None:
        self.market, self.gateway, self.chain, self.followed = market, gateway, Counting(gateway), Followed()

    async def same(self) -> Any:
        """One look, held against a whole read of its block."""
        view = self.followed.over(self.chain, self.chain)
        found = await self.market.read(view, "latest")
        await view.settle()
        assert found == await self.market.read(self.gateway, found.block.hash)
        return found


async def test_whatever_is_done_each_look_is_the_whole_one_and_names_what_changed_it(
    pool: Pool, market: Market
) -> None:
    rng = random.Random(SEED)
    async with aiohttp.ClientSession() as session:
        seen = Looks(market, Gateway(1, [Rpc(pool.rpc.url, session)]))
        await seen.same()
        for n in range(STEPS):
            expected = []
            for _ in range(rng.choice((1, 1, 2))):
                mine = rng.random() < 0.5
                receipt = send(pool, *(market.own if mine else market.others)(rng))
                expected += [receipt["transactionHash"]] if mine else []
            before = seen.followed.changes[-1:]
            await seen.same()
            since = seen.followed.changes
            since = since[since.index(before[0]) + 1 :] if before else since
            assert [one.tx_hash for one in since] == expected, f"step {n}"
            assert {account_of(one.subject) for one in since} <= {WHO}
        assert not seen.followed.distrusted and len(seen.followed.changes) > 10


async def test_logs_left_out_are_found_in_the_very_look(pool: Pool, market: Market) -> None:
    rng = random.Random(SEED + 1)
    async with aiohttp.ClientSession() as session:
        seen = Looks(market, Gateway(1, [Rpc(pool.rpc.url, session)]))
        before = await seen.same()
        seen.chain.without = market.contract
        receipt = {}
        while "transactionHash" not in receipt or _same_but_debt(before, await seen.same()):
            assert not seen.followed.distrusted
            receipt = send(pool, *market.own(rng))
        assert market.contract in seen.followed.distrusted and WHO in seen.followed.distrusted
        await seen.same()


def _same_but_debt(one: Any, other: Any) -> bool:
    """Whether the parts that only events change are the same; Compound's principal is none of them."""
    names = ("collateral", "collateral_raw", "borrow_shares_raw", "ink_1e18", "art_1e18")
    held = [[getattr(x, n) for n in names if hasattr(x, n)] for x in (one, other)]
    return held[0] == held[1]


async def test_what_compound_logs_of_nobody_is_read_all_the_same(pool: Pool) -> None:
    """A borrower who passes borrowed base on to another borrower: both debts change, and no log says so."""
    with pool.undone():
        market = comet(pool)
        assert market.silent is not None and market.liquidated is not None
        async with aiohttp.ClientSession() as session:
            seen = Looks(market, Gateway(1, [Rpc(pool.rpc.url, session)]))
            before = await seen.same()
            assert send(pool, *market.silent)["logs"] == []
            after = await seen.same()
            assert after.principal_raw < before.principal_raw < 0
            assert not seen.followed.distrusted and not seen.followed.changes
            pool.block(WETH, USDC, WHO, {WETH: 900 * 10**8}, pool.now() + 1)
            receipt = send(pool, *market.liquidated)
            gone = await seen.same()
            assert gone.collateral == () and gone.principal_raw == 0
            assert [one.tx_hash for one in seen.followed.changes] == [receipt["transactionHash"]]
