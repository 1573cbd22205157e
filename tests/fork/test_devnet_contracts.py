"""Genuine contracts at their mainnet addresses, used: what each test asserts would differ with other code or another place."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from chains.devnet.addresses import AAVE, BALANCER, CHAINS, MULTICALL3, PERMIT2, SAFE
from chains.devnet.artifacts import artifact
from chains.devnet.funding import (
    create_safe,
    give_eth,
    give_token,
    safe_address,
    set_feed_price,
    token_balance,
)
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet

ALICE = "0xA11cE00000000000000000000000000000000001"
ONE_ETH = 10**18
CHAIN_IDS = sorted(CHAINS)


class Caller:
    """Calls and transactions of one account, by the packages' own ABIs."""

    def __init__(self, url: str, account: str = ALICE) -> None:
        self.rpc, self.account = Rpc(url), account

    def __enter__(self) -> Caller:
        self.rpc("anvil_impersonateAccount", self.account)
        self.rpc("anvil_setBalance", self.account, hex(10**24))
        return self

    def __exit__(self, *_: object) -> None:
        self.rpc.close()

    def read(self, contract: str, to: str, function: str, *args: Any) -> Any:
        data = self.rpc(
            "eth_call",
            {"from": self.account, "to": to, "data": self._data(contract, function, args)},
            "latest",
        )
        values = artifact(contract).read(function, bytes.fromhex(data[2:]), len(args))
        return values[0] if len(values) == 1 else values

    def send(self, contract: str, to: str, function: str, *args: Any, value: int = 0) -> dict[str, Any]:
        tx = {
            "from": self.account,
            "to": to,
            "data": self._data(contract, function, args),
            "value": hex(value),
        }
        receipt: dict[str, Any] = self.rpc.transact({**tx, "gas": hex(3_000_000)})
        assert receipt["status"] == "0x1", f"{contract}.{function} reverted"
        return receipt

    @staticmethod
    def _data(contract: str, function: str, args: Any) -> str:
        return "0x" + artifact(contract).call(function, *args).hex()


@pytest.fixture(params=CHAIN_IDS)
def chain(request: pytest.FixtureRequest) -> Any:
    return CHAINS[request.param]


def test_every_contract_of_the_manifest_has_code(devnet: Status) -> None:
    assert {contract.chain for contract in devnet.contracts} == set(CHAIN_IDS)
    for chain_id, url in devnet.urls.items():
        mine = [contract for contract in devnet.contracts if contract.chain == chain_id]
        with Rpc(url) as rpc:
            codes = rpc.batch(("eth_getCode", [contract.address, "latest"]) for contract in mine)
        assert [c.name for c, code in zip(mine, codes, strict=True) if code == "0x"] == []
        assert {contract.label for contract in mine} == {"exact", "genuine-build", "mock"}


def test_pools_stand_at_their_mainnet_addresses(devnet: Status) -> None:
    by_name = {(c.chain, c.name): c.address for c in devnet.contracts}
    assert by_name[1, "UniswapV3 USDC/WETH 0.05%"] == "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"
    assert by_name[1, "UniswapV2 USDC/WETH"] == "0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc"
    assert by_name[8453, "UniswapV3 WETH/USDC 0.05%"] == "0xd0b53D9277642d899DF5C87A3966A349A798F224"
    assert by_name[42161, "UniswapV3 WETH/USDC 0.05%"] == "0xC6962004f452bE9203591991D15f6b388e09E8D0"
    assert by_name[1, "aEthWETH"] == "0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8"
    assert by_name[1, "aEthUSDC"] == "0x98C23E9d8f34FEFb1B7BD6a91B7FF122F4e16F5c"


def test_domain_separators_are_mainnets(devnet: Status, chain: Any) -> None:
    def domain(*fields: tuple[str, Any]) -> bytes:
        kinds = ",".join(kind for kind, _ in fields)
        names = {"bytes32 name": "string name", "bytes32 version": "string version"}
        text = f"EIP712Domain({','.join(names.get(k, k) for k in kinds.split(','))})"
        types = ["bytes32", *(kind.split()[0] for kind, _ in fields)]
        return keccak(encode(types, [keccak(text=text), *(value for _, value in fields)]))

    usdc = domain(
        ("bytes32 name", keccak(text="USD Coin")),
        ("bytes32 version", keccak(text="2")),
        ("uint256 chainId", chain.id),
        ("address verifyingContract", chain.usdc),
    )
    permit2 = domain(
        ("bytes32 name", keccak(text="Permit2")),
        ("uint256 chainId", chain.id),
        ("address verifyingContract", PERMIT2),
    )
    with Caller(devnet.urls[chain.id]) as caller:
        assert caller.read("FiatTokenV2_2", chain.usdc, "DOMAIN_SEPARATOR") == usdc
        assert caller.read("Permit2", PERMIT2, "DOMAIN_SEPARATOR") == permit2
    if chain.id == 1:
        assert usdc.hex().startswith("06c37168") and permit2.hex().startswith("866a5aba")


def test_a_quote_is_the_fill_to_the_wei(devnet: Status, chain: Any) -> None:
    at, amount = chain.uniswap, 3 * ONE_ETH
    with Caller(devnet.urls[chain.id]) as caller:
        quote = caller.read(
            "QuoterV2", at.quoter_v2, "quoteExactInputSingle", (chain.weth, chain.usdc, amount, 500, 0)
        )[0]
        assert 2950 * 3 * 10**6 < quote < 3005 * 3 * 10**6
        trade = (chain.weth, chain.usdc, 500, ALICE, amount, quote, 0)
        caller.send("SwapRouter02", at.router02, "exactInputSingle", trade, value=amount)
        assert token_balance(caller.rpc, chain.usdc, ALICE) == quote


def test_the_universal_router_reaches_v2_and_v4(devnet: Status) -> None:
    chain, amount = CHAINS[1], 2 * ONE_ETH
    at, zero = chain.uniswap, "0x" + "0" * 40
    with Caller(devnet.urls[1]) as caller:
        want = caller.read(
            "UniswapV2Router02", at.v2_router, "getAmountsOut", amount, [chain.weth, chain.usdc]
        )[1]
        wrap = encode(["address", "uint256"], ["0x0000000000000000000000000000000000000002", amount])
        swap = encode(
            ["address", "uint256", "uint256", "address[]", "bool"],
            [ALICE, amount, want, [chain.weth, chain.usdc], False],
        )
        run = "execute(bytes,bytes[],uint256)"
        caller.send(
            "UniversalRouter", at.universal_router, run, b"\x0b\x08", [wrap, swap], 2**40, value=amount
        )
        assert token_balance(caller.rpc, chain.usdc, ALICE) == want

        key = (zero, chain.usdc, 500, 10, zero)
        quoted = caller.read("V4Quoter", at.v4_quoter, "quoteExactInputSingle", (key, True, amount, b""))[0]
        single = encode(
            ["((address,address,uint24,int24,address),bool,uint128,uint128,bytes)"],
            [(key, True, amount, quoted, b"")],
        )
        settle, take = (
            encode(["address", "uint256"], pair) for pair in ([zero, amount], [chain.usdc, quoted])
        )
        v4 = encode(["bytes", "bytes[]"], [b"\x06\x0c\x0f", [single, settle, take]])
        caller.send("UniversalRouter", at.universal_router, run, b"\x10", [v4], 2**40, value=amount)
        assert token_balance(caller.rpc, chain.usdc, ALICE) == want + quoted


def test_balancer_pools_swap_what_they_quote(devnet: Status) -> None:
    chain, vault = CHAINS[1], BALANCER["Vault"]
    pools = {c.name: c.address for c in devnet.contracts if c.name.startswith("Balancer ") and "-" in c.name}
    with Caller(devnet.urls[1]) as caller:
        give_token(devnet.cheat_urls[1], chain.weth, ALICE, ONE_ETH)
        caller.send("WETH9", chain.weth, "approve", vault, 2**256 - 1)
        pool_id = caller.read("WeightedPool", pools["Balancer 50WETH-50USDC"], "getPoolId")
        funds = (ALICE, False, ALICE, False)
        steps = [(pool_id, 0, 1, ONE_ETH, b"")]
        query = artifact("BalancerVault").call("queryBatchSwap", 0, steps, [chain.weth, chain.usdc], funds)
        answer = caller.rpc("eth_call", {"from": ALICE, "to": vault, "data": "0x" + query.hex()}, "latest")
        out = -decode(["int256[]"], bytes.fromhex(answer[2:]))[0][1]
        assert 2970 * 10**6 < out < 3000 * 10**6
        swap = (pool_id, 0, chain.weth, chain.usdc, ONE_ETH, b"")
        caller.send("BalancerVault", vault, "swap", swap, funds, out, 2**40)
        assert token_balance(caller.rpc, chain.usdc, ALICE) == out

        usdt = chain.mocks["USDT"][0]
        caller.send("FiatTokenV2_2", chain.usdc, "approve", vault, 2**256 - 1)
        stable = caller.read("ComposableStablePool", pools["Balancer USDC-USDT-DAI"], "getPoolId")
        caller.send(
            "BalancerVault",
            vault,
            "swap",
            (stable, 0, chain.usdc, usdt, 1000 * 10**6, b""),
            funds,
            999 * 10**6,
            2**40,
        )
        assert 999 * 10**6 < token_balance(caller.rpc, usdt, ALICE) < 1000 * 10**6


def test_an_aave_account_falls_with_the_feed_and_is_liquidated(devnet: Status) -> None:
    chain, pool = CHAINS[1], AAVE["Pool"]
    bob = "0xB0b0000000000000000000000000000000000002"
    with Caller(devnet.urls[1]) as alice, Caller(devnet.urls[1], bob) as liquidator:
        give_token(devnet.cheat_urls[1], chain.weth, ALICE, 10 * ONE_ETH)
        alice.send("WETH9", chain.weth, "approve", pool, 2**256 - 1)
        alice.send("AavePool", pool, "supply", chain.weth, 10 * ONE_ETH, ALICE, 0)
        alice.send("AavePool", pool, "borrow", chain.usdc, 20_000 * 10**6, 2, 0, ALICE)
        # 10 × 3000 × 0.83 / 20,000, a little interest apart.
        health = alice.read("AavePool", pool, "getUserAccountData", ALICE)[5]
        # What is lent earns a little where others borrow it meanwhile.
        assert 1_244_000_000_000_000_000 < health < 1_245_000_001_000_000_000
        set_feed_price(devnet.cheat_urls[1], "ETH", 2300 * 10**8)
        assert alice.read("AavePool", pool, "getUserAccountData", ALICE)[5] < ONE_ETH
        give_token(devnet.cheat_urls[1], chain.usdc, bob, 10_000 * 10**6)
        liquidator.send("FiatTokenV2_2", chain.usdc, "approve", pool, 2**256 - 1)
        liquidator.send(
            "AavePool", pool, "liquidationCall", chain.weth, chain.usdc, ALICE, 10_000 * 10**6, False
        )
        # 10,000 / 2300 × 1.05 (less the protocol's share of the bonus, which is none here)
        assert token_balance(liquidator.rpc, chain.weth, bob) == pytest.approx(
            10_000 / 2300 * 1.05 * 1e18, rel=1e-6
        )


def test_a_safe_comes_to_stand_where_it_was_foretold(devnet: Status, chain: Any) -> None:
    owners = [f"0x{n:040x}" for n in (0xA11, 0xB22, 0xC33)]
    want = safe_address(owners, 2, 7)
    assert create_safe(devnet.cheat_urls[chain.id], owners, 2, 7) == want
    assert create_safe(devnet.cheat_urls[chain.id], owners, 2, 7) == want
    with Caller(devnet.urls[chain.id]) as caller:
        assert [o.lower() for o in caller.read("Safe", want, "getOwners")] == owners
        assert caller.read("Safe", want, "getThreshold") == 2
        assert caller.read("Safe", want, "VERSION") == "1.4.1"
        assert caller.rpc("eth_getStorageAt", want, "0x0", "latest")[-40:] == SAFE["Safe"][2:].lower()


def test_money_given_is_money_spendable(devnet: Status, chain: Any) -> None:
    bob = "0xB0b0000000000000000000000000000000000002"
    give_eth(devnet.cheat_urls[chain.id], bob, 5 * ONE_ETH)
    with Caller(devnet.urls[chain.id]) as caller:
        assert int(caller.rpc("eth_getBalance", bob, "latest"), 16) == 5 * ONE_ETH
        give_token(devnet.cheat_urls[chain.id], chain.weth, ALICE, ONE_ETH)
        give_token(devnet.cheat_urls[chain.id], chain.usdc, ALICE, 7_000_000)
        caller.send("FiatTokenV2_2", chain.usdc, "transfer", bob, 7_000_000)
        assert token_balance(caller.rpc, chain.usdc, bob) == 7_000_000
        before = int(caller.rpc("eth_getBalance", chain.weth, "latest"), 16)
        caller.send("WETH9", chain.weth, "withdraw", ONE_ETH)
        assert int(caller.rpc("eth_getBalance", chain.weth, "latest"), 16) == before - ONE_ETH


def test_multicall3_aggregates(devnet: Status, chain: Any) -> None:
    calls = [
        (chain.usdc, False, artifact("MockERC20").call("decimals")),
        (chain.usdc, True, b"\xde\xad\xbe\xef"),
    ]
    data = keccak(text="aggregate3((address,bool,bytes)[])")[:4] + encode(["(address,bool,bytes)[]"], [calls])
    with Rpc(devnet.urls[chain.id]) as rpc:
        answer = rpc("eth_call", {"to": MULTICALL3, "data": "0x" + data.hex()}, "latest")
    good, bad = decode(["(bool,bytes)[]"], bytes.fromhex(answer[2:]))[0]
    assert good[0] and int.from_bytes(good[1], "big") == 6 and not bad[0]
