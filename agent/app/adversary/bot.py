"""The sandwich bot at work: sees a swap, sizes its front-run, rehearses all three transactions, sends two of them around the third.

    public    what stands in the public pool: the front-run bids one wei of tip more, the back-run one less
    builder   what a leaky builder sells: a bundle of front-run, the victim's own signed transaction and back-run, for its next block

The bot has an account and no contract of its own: each of its transactions is one call of the genuine Universal Router. It tells its
rehearsals to the chain's public node, as it has nothing to hide there, and attacks one transaction a block.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import aiohttp

from agent.amm import ConcentratedPool, ConcentratedV4Pool, Pool
from agent.app.adversary.reading import SeenSwap, swaps
from agent.app.adversary.sizing import Attack, Victim, best, gas_in_up
from agent.domain.instruments import Asset, AssetId, erc20_id, native_id, place_of
from agent.domain.routes import Leg
from agent.execution.batch import Routers, router_swap
from agent.market.pools import parse_pool
from chains.errors import FairleadError
from chains.evm import number
from chains.gateway import Gateway
from chains.pools import PoolReader
from chains.rawtx import RawTx, decode_raw
from chains.relay import Header
from chains.relay_client import RelayClient
from chains.rpc import Rpc
from chains.types import ZERO_ADDRESS, BlockRef, Fees, Hash32, SignedTx, UnsignedTx
from contracts.universal_router import execute
from keys.curve import SigningKey
from keys.transactions import assemble, digest

BUNDLE_TIP_WEI = 10**9
"""What the bundle bids above its victim: a builder prefers it to the victim alone."""
LIFE_S = 3600
KEPT = 500


@dataclass(frozen=True, slots=True)
class Bitten:
    """One leg of a judged transaction: what the pool gives it alone and after the bot. Base units."""

    pool: str
    sold: AssetId
    bought: AssetId
    amount_raw: int
    minimum_raw: int
    alone_raw: int
    front_raw: int
    back_raw: int
    out_raw: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """`decision`: attacked, unprofitable (no attack pays its gas), unreadable (no swap the bot knows), reverts. `profit_raw` in base
    units of what the victim sells, after the gas of both transactions as rehearsed."""

    victim: Hash32
    road: str
    head: int
    decision: str
    legs: tuple[Bitten, ...] = ()
    profit_raw: int = 0
    gas: int = 0
    front: str = ""
    back: str = ""

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        told["legs"] = [
            {k: str(v) if k.endswith("_raw") else v for k, v in leg.items()} for leg in told["legs"]
        ]
        return told | {"profit_raw": str(self.profit_raw)}


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody's transaction that is in no block yet."""

    hash: Hash32
    sender: str
    nonce: int
    call: Mapping[str, Any]
    tip_wei: int
    max_fee_wei: int
    raw: bytes | None
    road: str


@dataclass
class Bot:
    """`builders` are the doors of leaky builders, by name, each with what it sells at `/leaked`. Raises as `Rpc` from `step`."""

    rpc: Rpc
    gateway: Gateway
    reader: PoolReader
    routers: Routers
    router_02: str
    key: SigningKey
    auth: Header
    session: aiohttp.ClientSession
    builders: Mapping[str, str] = field(default_factory=dict)
    judged: dict[Hash32, Judgement] = field(default_factory=dict)
    head: int = 0
    _at: Hash32 | None = None
    _pools: dict[str, Pool] = field(default_factory=dict)
    _native_pools: set[str] = field(default_factory=set)
    _done: set[Hash32] = field(default_factory=set)
    _bitten: bool = False

    async def step(self) -> None:
        """One look at everything there is to see. Raises Retry, Reject."""
        head = await self.gateway.block("latest")
        if head.hash != self._at:
            await self._refresh()
            self._at, self._done, self._bitten = head.hash, set(), False
            self.head = head.number
        for target in await self.targets(head):
            if target.hash in self._done or target.sender.lower() == self.key.address.lower():
                continue
            if self._bitten:
                break
            self._done.add(target.hash)
            judgement = await self.judge(target, head)
            self.judged.pop(target.hash, None)
            self.judged[target.hash] = judgement
            if judgement.decision == "attacked":
                self._bitten = True
        for old in list(self.judged)[:-KEPT]:
            del self.judged[old]

    async def _refresh(self) -> None:
        snapshot = await self.reader.snapshot()
        chain_id = self.routers.chain_id
        wrapped, native = erc20_id(chain_id, self.routers.wrapped_native), native_id(chain_id)
        assets = {
            erc20_id(chain_id, t.address): Asset(erc20_id(chain_id, t.address), t.symbol, t.decimals)
            for t in snapshot.tokens.values()
        }
        assets.setdefault(wrapped, Asset(wrapped, "WETH", 18))
        for entry in snapshot.pools:
            told = {**entry, "assets": [wrapped if a == native else a for a in entry["assets"]]}
            self._pools[entry["id"]] = parse_pool(str(entry["id"]), told, assets)
            if native in entry["assets"]:
                self._native_pools.add(entry["id"])

    # ------------------------------------------------------------------ what there is to see

    async def targets(self, head: BlockRef) -> list[Target]:
        """What waits in public, and what leaky builders sell; only what could be in the next block."""
        content = await self.rpc.call("txpool_content")
        found = [_public(tx, head) for own in content["pending"].values() for tx in own.values()]
        for name, url in self.builders.items():
            for raw in await self._leaked(url):
                found.append(_sold(decode_raw(raw), name, head))
        newest = {
            (t.sender, t.nonce): t for t in found
        }  # what was signed again for a nonce stands for what was before
        fresh = [t for t in newest.values() if t.hash not in self._done]
        if not fresh:
            return []
        asked = [("eth_getTransactionCount", [t.sender, "latest"]) for t in fresh]
        nonces = await self.rpc.batch(asked)
        return [t for t, n in zip(fresh, nonces, strict=True) if isinstance(n, str) and int(n, 16) == t.nonce]

    async def _leaked(self, url: str) -> list[bytes]:
        try:
            async with self.session.get(f"{url}/leaked") as response:
                told = await response.json() if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError):
            return []
        return [bytes.fromhex(str(raw)[2:]) for raw in told.get("raws", ())]

    # ------------------------------------------------------------------ what to do about it

    async def judge(self, target: Target, head: BlockRef) -> Judgement:
        """Sizes, rehearses and, where it pays, sends. Raises Retry, Reject."""

        def decided(decision: str, **more: Any) -> Judgement:
            return Judgement(target.hash, target.road, head.number, decision, **more)

        seen = await self._swaps(target)
        if seen is None:
            return decided("reverts")
        found = self._victims(seen, head.base_fee_wei + target.tip_wei)
        if not found:
            return decided("unreadable")
        attacks = [(v, a) for v in found if (a := best(v)) is not None]
        if not attacks:
            return decided("unprofitable")
        front, back = await self._sign(target, attacks, head)
        gas = await self._rehearsed([front, target, back], head)
        if gas is None:
            return decided("unprofitable")
        paid = sum(-(-gas * v.gas_price.numerator // v.gas_price.denominator) for v, _ in attacks[:1])
        profit = sum(a.back - a.front for _, a in attacks) - paid
        legs = tuple(_bitten(v, a) for v, a in attacks)
        if profit <= 0:
            return decided("unprofitable", legs=legs, profit_raw=profit, gas=gas)
        await self._send(target, front, back, head)
        return decided(
            "attacked", legs=legs, profit_raw=profit, gas=gas, front=front[1].hash, back=back[1].hash
        )

    async def _swaps(self, target: Target) -> tuple[SeenSwap, ...] | None:
        """The swaps it would make now; None where it would revert."""
        try:
            trace = await self.rpc.call("debug_traceCall", [target.call, "latest", {"tracer": "callTracer"}])
        except FairleadError:
            return None
        if not isinstance(trace, dict) or trace.get("error"):
            return None
        return swaps(trace, self.routers.universal_router, self.router_02)

    def _victims(self, seen: Sequence[SeenSwap], gas_price_wei: int) -> list[Victim]:
        """One a pool, all of them selling what the first sells."""
        chain_id = self.routers.chain_id
        found: dict[str, Victim] = {}
        weth = erc20_id(chain_id, self.routers.wrapped_native)
        for swap in seen:
            pool = self._pool_of(swap)
            if pool is None or pool.id in found:
                continue
            sold, bought = (
                weth if token == ZERO_ADDRESS else erc20_id(chain_id, token)
                for token in (swap.token_in, swap.token_out)
            )
            price = gas_in_up(pool, sold, weth, gas_price_wei * 10**6)
            if price is None or any(v.sold != sold for v in found.values()):
                continue
            found[pool.id] = Victim(pool, sold, bought, swap.amount, swap.minimum, Fraction(price, 10**6))
        return list(found.values())

    def _pool_of(self, swap: SeenSwap) -> Pool | None:
        chain_id = self.routers.chain_id
        weth = erc20_id(chain_id, self.routers.wrapped_native)
        wanted = {
            weth if token == ZERO_ADDRESS else erc20_id(chain_id, token)
            for token in (swap.token_in, swap.token_out)
        }
        for pool in self._pools.values():
            if pool.kind != swap.kind or set(pool.assets) != wanted:
                continue
            fee = 0
            if isinstance(pool, ConcentratedPool):
                fee = pool.fee_pips
            elif isinstance(pool, ConcentratedV4Pool):
                fee = pool.lp_fee_pips
            if fee == swap.fee_pips:
                return pool
        return None

    async def _sign(
        self, target: Target, attacks: Sequence[tuple[Victim, Attack]], head: BlockRef
    ) -> tuple[tuple[UnsignedTx, SignedTx], tuple[UnsignedTx, SignedTx]]:
        nonce = await self.gateway.nonce(self.key.address)
        if target.raw is None:
            tips = target.tip_wei + 1, max(target.tip_wei - 1, 0)
        else:
            tips = (target.tip_wei + BUNDLE_TIP_WEI,) * 2
        there = [self._commands(v, v.sold, v.bought, a.front, a.bought) for v, a in attacks]
        again = [self._commands(v, v.bought, v.sold, a.bought, a.back) for v, a in attacks]
        made = []
        for at, (parts, tip) in enumerate(zip((there, again), tips, strict=True)):
            data = execute([c for part in parts for c in part], head.timestamp + LIFE_S)
            fees = Fees(2 * head.base_fee_wei + tip, tip)
            gas = 150_000 + sum(2 * v.pool.gas + 250_000 for v, _ in attacks)
            tx = UnsignedTx(
                self.routers.chain_id, nonce + at, self.routers.universal_router, 0, data, gas, fees
            )
            made.append((tx, assemble(tx, self.key.sign(digest(tx)), self.key.address)))
        return made[0], made[1]

    def _commands(self, victim: Victim, sold: AssetId, bought: AssetId, amount: int, least: int) -> list[Any]:
        """One swap of the bot's, exact to the unit: it reverts where anybody else was there before it."""
        pool = victim.pool
        leg = Leg(
            id=pool.id, place=place_of(sold), asset_in=sold, asset_out=bought, in_raw=amount, out_raw=least,
            gas=pool.gas, fee_raw=0, fee_asset=sold, kind=pool.kind,
        )  # fmt: skip
        return router_swap(leg, pool, self.routers, amount, least, True, True, pool.id in self._native_pools)

    async def _rehearsed(self, parts: Sequence[Any], head: BlockRef) -> int | None:
        """Gas of the bot's two transactions with the victim's between them; None where one of the three fails."""
        calls = []
        for part in parts:
            if isinstance(part, Target):
                calls.append(dict(part.call))
            else:
                tx: UnsignedTx = part[0]
                calls.append(
                    {"from": self.key.address, "to": tx.to, "input": "0x" + tx.data.hex(), "gas": hex(tx.gas)}
                )
        request = {"blockStateCalls": [{"calls": calls}], "validation": False, "traceTransfers": False}
        answer = await self.rpc.call("eth_simulateV1", [request, hex(head.number)])
        told = answer[0]["calls"]
        if any(number(one["status"]) != 1 for one in told):
            return None
        return number(told[0]["gasUsed"]) + number(told[2]["gasUsed"])

    async def _send(
        self,
        target: Target,
        front: tuple[UnsignedTx, SignedTx],
        back: tuple[UnsignedTx, SignedTx],
        head: BlockRef,
    ) -> None:
        raws = ["0x" + signed.raw.hex() for _, signed in (front, back)]
        if target.raw is None:
            for raw in raws:
                await self.rpc.call("eth_sendRawTransaction", [raw], write=True)
            return
        client = RelayClient(self.builders[target.road], self.session, self.auth)
        bundle = {"txs": [raws[0], "0x" + target.raw.hex(), raws[1]], "blockNumber": hex(head.number + 1)}
        await client.call("eth_sendBundle", bundle, write=True)

    async def work(self, every_s: float) -> None:
        """For ever; what does not answer is asked again."""
        while True:
            try:
                await self.step()
            except FairleadError as error:
                print(f"sandwich: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(every_s)


def _public(tx: Mapping[str, Any], head: BlockRef) -> Target:
    tip, cap = (number(tx.get(name) or tx["gasPrice"]) for name in ("maxPriorityFeePerGas", "maxFeePerGas"))
    call = {name: tx[name] for name in ("from", "to", "value", "gas", "input") if tx.get(name) is not None}
    return Target(
        Hash32(str(tx["hash"])), str(tx["from"]), number(tx["nonce"]), call,
        max(min(tip, cap - head.base_fee_wei), 0), cap, None, "public",
    )  # fmt: skip


def _sold(tx: RawTx, builder: str, head: BlockRef) -> Target:
    call = {
        name: value
        for name, value in tx.json().items()
        if name in ("from", "to", "value", "gas", "input") and value is not None
    }
    return Target(
        tx.hash,
        tx.sender,
        tx.nonce,
        call,
        max(tx.tip_at(head.base_fee_wei), 0),
        tx.max_fee_wei,
        tx.raw,
        builder,
    )


def _bitten(victim: Victim, attack: Attack) -> Bitten:
    alone = victim.alone
    return Bitten(
        victim.pool.id, victim.sold, victim.bought, victim.amount, victim.minimum, alone or 0,
        attack.front, attack.back, attack.out,
    )  # fmt: skip
