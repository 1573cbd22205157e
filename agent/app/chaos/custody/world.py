"""A Safe of three owners on the devnet's chain 1 whose agent may trade through a Gate, and the agent's own key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from eth_account import Account

from chains.devnet.addresses import AAVE, CHAINS, SAFE
from chains.devnet.artifacts import artifact
from chains.devnet.funding import create_safe, give_eth, give_token, set_feed_price, token_balance
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import environment_at
from chains.errors import Denied, Halt
from chains.types import Address, Call, Environment
from contracts import route_executor
from contracts.codec import decode_result, decode_revert, encode
from contracts.hashing import keccak, to_checksum
from keys import safe as safes
from keys import scope as scopes
from keys.curve import SigningKey
from keys.scope import GasRule, PairRule, ReserveRule, RouteRule, Scope, TokenRule

ETH, USDC_ONE = 10**18, 10**6
WETH, USDC = Address(CHAINS[1].weth), Address(CHAINS[1].usdc)
ROUTER02 = Address(CHAINS[1].uniswap.router02)
UNIVERSAL = Address(CHAINS[1].uniswap.universal_router)
EXECUTOR = Address(route_executor.ADDRESS)
POOL_005 = Address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640")
A_WETH, DEBT_WETH = (
    Address("0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8"),
    Address("0xeA51d7853EEFb32b6ee06b1C12E6dcCA88Be0fFE"),
)
A_USDC, DEBT_USDC = (
    Address("0x98C23E9d8f34FEFb1B7BD6a91B7FF122F4e16F5c"),
    Address("0x72E95b8931767C79bA4EeE721354d6E99a61D004"),
)
POOL = Address(AAVE["Pool"])
OWNERS = [SigningKey(keccak(b"gated owner %d" % i)) for i in range(3)]
AGENT_SECRET = keccak(b"gated agent")
AGENT = Address(Account.from_key(AGENT_SECRET).address)
THIEF = Address("0x00000000000000000000000000000000DeaDBeef")
RELAYER = "0xfa171eAd0000000000000000000000000000BEeF"
MULTI_SEND = Address(SAFE["MultiSendCallOnly"])
GAS = 1_500_000


def scope_of(safe: str, agent: Address = AGENT) -> Scope:
    """60,000 USD a day, of it 30,000 at once, at most 1 % below the oracles, WETH and USDC, Aave with both."""
    feeds = CHAINS[1].feeds
    every = ("supply", "withdraw", "borrow", "repay")
    return Scope(
        chain_id=1,
        safe=Address(safe),
        agent=agent,
        tokens=(
            TokenRule(WETH, "WETH", 18, Address(feeds["ETH"]), 8, 3_600, 50, 1_000 * ETH),
            TokenRule(USDC, "USDC", 6, Address(feeds["USDC"]), 8, 86_400, 25, 1_000_000 * USDC_ONE),
        ),
        pairs=(PairRule(WETH, USDC, POOL_005, 1_800),),
        routes=(
            RouteRule(ROUTER02, "swap_router_02", "exactInputSingle"),
            RouteRule(ROUTER02, "swap_router_02", "exactInput"),
            RouteRule(UNIVERSAL, "universal_router", "execute(bytes,bytes[],uint256)", "push"),
            RouteRule(EXECUTOR, "route_executor", "route"),
        ),
        per_day_usd=Decimal(60_000),
        burst_usd=Decimal(30_000),
        slack_bps=100,
        divergence_bps=200,
        deadline_s=600,
        term_s=7 * 86_400,
        delay_s=86_400,
        health_floor=Decimal("1.5"),
        lending_pool=POOL,
        reserves=(
            ReserveRule(WETH, A_WETH, DEBT_WETH, every, 1_000 * ETH, 100 * ETH),
            ReserveRule(USDC, A_USDC, DEBT_USDC, every, 10**12, 10**11),
        ),
        gas=GasRule(agent, WETH, ETH // 20, ETH // 10, ETH // 5),
        gas_float_wei=ETH // 5,
    )


@dataclass
class Gated:
    """`scope` is granted once `grant` has run. `kept` is what an attack's preparation leaves for it. Amounts in base units; every method sees its transaction mined."""

    rpc: Rpc
    url: str
    scope: Scope
    creation: bytes
    urls: Mapping[int, str]
    kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def safe(self) -> Address:
        return self.scope.safe

    @property
    def gate(self) -> Address:
        return scopes.gate_address(self.scope, self.creation)

    @property
    def roles(self) -> Address:
        return scopes.roles_address(self.scope, self.gate)

    # ------------------------------------------------------------------ the owners
    def owners_do(self, tx: safes.SafeTx, signers: Sequence[SigningKey] = OWNERS[:2]) -> dict[str, Any]:
        """Signed by the owners' keys, sent by somebody with gas and no rights."""
        digest = safes.safe_tx_hash(1, self.safe, tx)
        packed = safes.pack_signatures(
            digest, [s.sign(digest) for s in signers], [o.address for o in OWNERS], 2
        )
        receipt = self.rpc.transact(
            {
                "from": RELAYER,
                "to": self.safe,
                "data": "0x" + safes.exec_transaction(tx, packed).hex(),
                "gas": hex(25_000_000),
            }
        )
        if receipt["status"] != "0x1":
            raise Halt("CHAOS_WORLD", "the owners' transaction reverted")
        return receipt

    def safe_calls(self, to: str, contract: str, function: str, *args: Any) -> dict[str, Any]:
        data = encode(contract, function, args)
        return self.owners_do(safes.SafeTx(Address(to), 0, data, 0, self.nonce()))

    def nonce(self) -> int:
        return int(self.read(self.safe, "safe", "nonce")[0])

    def grant(self, standing: Sequence[str] = ()) -> dict[str, Any]:
        return self.owners_do(scopes.safe_tx(self.scope, self.creation, MULTI_SEND, self.nonce(), standing))

    # ------------------------------------------------------------------ the agent
    def sends(self, call: Call, gas: int = GAS, sender: str = AGENT) -> dict[str, Any]:
        """Signed with the agent's key, or from the thief's own account; mined. The receipt, whatever its status."""
        if sender != AGENT:
            return self.thief(call, gas)
        return self.mined(self.signed(call, gas))

    def signed(self, call: Call, gas: int = GAS, nonce: int | None = None, chain_id: int = 1) -> bytes:
        """The agent's transaction, raw."""
        if nonce is None:
            nonce = int(self.rpc("eth_getTransactionCount", AGENT, "latest"), 16)
        fields = {
            "chainId": chain_id,
            "nonce": nonce,
            "to": call.to,
            "value": call.value,
            "data": "0x" + call.data.hex(),
            "gas": gas,
            "maxFeePerGas": 20 * 10**9,
            "maxPriorityFeePerGas": 10**9,
        }
        return bytes(Account.from_key(AGENT_SECRET).sign_transaction(fields).raw_transaction)

    def mined(self, raw: bytes) -> dict[str, Any]:
        return self.rpc.mined(self.rpc("eth_sendRawTransaction", "0x" + raw.hex()))

    def thief(self, call: Call, gas: int = 8_000_000) -> dict[str, Any]:
        """From the thief's own account, with money for the gas."""
        self.rpc("anvil_impersonateAccount", THIEF)
        if int(self.rpc("eth_getBalance", THIEF, "latest"), 16) < ETH:
            self.rpc("anvil_setBalance", THIEF, hex(100 * ETH))
        tx = {"from": THIEF, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        return self.rpc.transact({**tx, "gas": hex(gas)})

    def why(self, call: Call, sender: str = AGENT) -> str:
        """The rule that refuses the call, in the contracts' own words; empty where nothing does."""
        tx = {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        try:
            self.rpc("eth_call", {**tx, "gas": hex(GAS)}, "latest")
        except RpcError as error:
            return decode_revert(bytes.fromhex(str(error.data)[2:])) if error.data else "reverted"
        return ""

    def through(self, inner: bytes) -> Call:
        return scopes.agent_call(self.scope, self.creation, inner)

    def does(self, inner: bytes) -> dict[str, Any]:
        receipt = self.sends(self.through(inner))
        if receipt["status"] != "0x1":
            raise Halt("CHAOS_WORLD", f"an honest call was refused: {self.why(self.through(inner))}")
        return receipt

    # ------------------------------------------------------------------ what the agent may ask
    def floor(self, token_in: str, token_out: str, amount: int) -> int:
        return int(self.read(self.gate, "gate", "floorOf", token_in, token_out, amount)[0])

    def trade(self, amount: int = ETH, **changes: Any) -> bytes:
        """An honest sale of WETH on the 0.05 % pool, with whatever `changes` names changed."""
        fields: dict[str, Any] = {
            "tokenIn": WETH,
            "tokenOut": USDC,
            "amountIn": amount,
            "minimumOut": changes["minimumOut"]
            if "minimumOut" in changes
            else self.floor(WETH, USDC, amount),
            "deadline": self.now() + 60,
            "router": ROUTER02,
            "data": self.single(amount),
        } | changes
        return encode("gate", "trade", (fields,))

    def single(self, amount: int = ETH, **changes: Any) -> bytes:
        """Calldata of SwapRouter02.exactInputSingle paying the Gate."""
        fields: dict[str, Any] = {
            "tokenIn": WETH,
            "tokenOut": USDC,
            "fee": 500,
            "recipient": self.gate,
            "amountIn": amount,
            "amountOutMinimum": 1,
            "sqrtPriceLimitX96": 0,
        } | changes
        return encode("swap_router_02", "exactInputSingle", (fields,))

    def lend(self, action: str, asset: str, amount: int) -> bytes:
        return encode("gate", "lend", (scopes.ACTIONS[action], asset, amount, self.now() + 60))

    def refuel(self, amount: int) -> bytes:
        return encode("gate", "refuel", (amount, self.now() + 60))

    # ------------------------------------------------------------------ the world
    def read(self, to: str, contract: str, function: str, *args: Any) -> tuple[Any, ...]:
        data = "0x" + encode(contract, function, args).hex()
        answer = self.rpc("eth_call", {"to": to, "data": data}, "latest")
        return decode_result(contract, function, bytes.fromhex(answer[2:]))

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def later(self, seconds: int, fresh: bool = True) -> object:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")
        return self.prices() if fresh else None

    def prices(self, eth_usd: str = "3000", usdc_usd: str = "1") -> object:
        set_feed_price(self.url, "ETH", int(Decimal(eth_usd) * 10**8))
        set_feed_price(self.url, "USDC", int(Decimal(usdc_usd) * 10**8))
        return self

    def prices_of_eth(self) -> object:
        """The ETH feed alone."""
        set_feed_price(self.url, "ETH", 3_000 * 10**8)
        return self

    def sequencer(self, down: bool) -> object:
        """The uptime feed's word, as of now."""
        data = artifact("MockV3Aggregator").call("updateAnswer", int(down))
        tx = {"from": RELAYER, "to": self.scope.sequencer, "data": "0x" + data.hex(), "gas": hex(500_000)}
        if self.rpc.transact(tx)["status"] != "0x1":
            raise Halt("CHAOS_WORLD", "the uptime feed takes no word")
        return self

    def balance(self, token: str, of: str | None = None) -> int:
        return token_balance(self.rpc, token, of or self.safe)

    def health(self) -> int:
        return int(self.read(POOL, "aave_v3_pool", "getUserAccountData", self.safe)[5])

    def fingerprint(self) -> tuple[Any, ...]:
        """All of the Safe that an attack might move."""
        tokens = (WETH, USDC, A_WETH, A_USDC, DEBT_WETH, DEBT_USDC)
        sentinel = "0x" + "0" * 39 + "1"
        return (
            tuple(self.balance(token, who) for who in (self.safe, self.gate) for token in tokens[:2]),
            # Scaled: interest accrues with every second, and is nobody's doing.
            tuple(
                self.read(token, "aave_debt_token", "scaledBalanceOf", who)
                for who in (self.safe, self.gate)
                for token in tokens[2:]
            ),
            int(self.rpc("eth_getBalance", self.safe, "latest"), 16),
            self.read(self.safe, "safe", "getOwners"),
            self.read(self.safe, "safe", "getThreshold"),
            self.read(self.safe, "safe", "nonce"),
            self.read(self.safe, "safe", "getModulesPaginated", sentinel, 10),
            self.read(self.gate, "gate", "limits"),
            self.read(self.gate, "gate", "agent"),
            self.read(self.roles, "zodiac_roles", "owner"),
            self.read(self.roles, "zodiac_roles", "target"),
            self.read(self.roles, "zodiac_roles", "getModulesPaginated", sentinel, 10),
            tuple(
                self.read(token, "erc20", "allowance", owner, spender)
                for token in tokens[:4]
                for owner, spender in (
                    (self.safe, THIEF),
                    (self.safe, AGENT),
                    (self.safe, ROUTER02),
                    (self.gate, ROUTER02),
                    (self.gate, UNIVERSAL),
                    (self.gate, THIEF),
                )
            ),
            tuple(
                self.read(token, "aave_debt_token", "borrowAllowance", self.safe, AGENT)
                for token in (DEBT_WETH, DEBT_USDC)
            ),
        )


def gated(urls: Mapping[int, str], granted: bool = True, **changes: Any) -> Gated:
    """A funded Safe, the pool's memory long enough for its mean, and (unless not `granted`) the scope in force.

    `urls` answer Anvil's cheat methods, by chain id. Raises Denied NOT_A_DEVNET where one of them is anything but our devnet.
    """
    for other in urls.values():
        if environment_at(other) is not Environment.DEVNET:
            raise Denied(
                "NOT_A_DEVNET", "attacks are rehearsed on a devnet of ours only", "the url given is none"
            )
    url = urls[1]
    safe = create_safe(url, [o.address for o in OWNERS], 2)
    creation = bytes.fromhex(artifact("Gate").bytecode)
    rpc = Rpc(url)
    rpc("anvil_impersonateAccount", RELAYER)
    for account, wei in ((RELAYER, 100 * ETH), (AGENT, ETH // 10)):
        give_eth(url, account, wei)
    up = artifact("MockV3Aggregator").creation(0, 0)
    uptime = rpc.transact({"from": RELAYER, "data": "0x" + up.hex(), "gas": hex(3_000_000)})
    told: dict[str, Any] = {
        "sequencer": Address(to_checksum(uptime["contractAddress"])),
        "sequencer_grace_s": 1_800,
    }
    world = Gated(rpc, url, replace(scope_of(safe), **(told | changes)), creation, dict(urls))
    give_token(url, WETH, safe, 1_000 * ETH)
    give_token(url, USDC, safe, 1_000_000 * USDC_ONE)
    grow = keccak(b"increaseObservationCardinalityNext(uint16)")[:4] + (64).to_bytes(32, "big")
    rpc.transact({"from": RELAYER, "to": POOL_005, "data": "0x" + grow.hex(), "gas": hex(5_000_000)})
    world.later(3_600)
    if granted:
        world.grant()
    return world
