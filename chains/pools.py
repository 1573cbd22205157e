"""The state of configured pools at one block, as market/1 pool objects (base units as strings), and their tokens.

Everything of one snapshot is read at the same block: views travel through the reader's multicall, and an answer of
another block is a Retry. What a kind's views are is in `pool_curve` and `pool_solidly`, for the older kinds here; pools of named factories
are looked for once (`pool_factories`). Ticks are read once over the whole bitmap; afterwards a V3 or V4 pool's ticks are read again only
where its liquidity events say that they changed, or where the block last read is no longer part of the chain. A pool that does not answer, or
not as its kind does, is left out and told of until it does: none takes the others with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from chains import pool_curve, pool_solidly
from chains.abi_views import first_words, ratio_text, symbol_text, uint_array
from chains.errors import Reject, Retry, Usage
from chains.evm import address_of, checksum, keccak, selector, signed, word, words
from chains.pool_factories import PoolFactory, found_pools
from chains.pool_types import Known, PoolSnapshot, PoolSpec, Token, V4Contracts
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ChainReader, Hash32, LogFilter

__all__ = ["GAS", "PoolReader", "PoolSnapshot", "PoolSpec", "Token", "V4Contracts", "asset_id"]

GAS = {
    "uniswap_v2": (90_000, 0),
    "uniswap_v3": (110_000, 31_000),
    "uniswap_v4": (120_000, 31_000),
    "balancer_v2_weighted": (110_000, 0),
    "balancer_v2_stable": (150_000, 0),
    "curve_stableswap": (150_000, 0),
    "solidly_volatile": (150_000, 0),
    "solidly_stable": (180_000, 0),
}
MIN_TICK, MAX_TICK = -887272, 887272
MOST_SPACING = 16_383
_V3_EVENTS = (
    keccak(b"Mint(address,address,int24,int24,uint128,uint256,uint256)"),
    keccak(b"Burn(address,int24,int24,uint128,uint256,uint256)"),
)
_V4_EVENT = keccak(b"ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")


class PoolReader:
    """Reads one chain's configured pools; keeps their constants and ticks between snapshots.

    Raises Usage for a kind it cannot read, Retry where the chain did not answer at one block.
    """

    def __init__(
        self,
        reader: ChainReader,
        specs: Sequence[PoolSpec],
        v4: V4Contracts | None = None,
        *,
        v2_fees: Mapping[Address, int] | None = None,
        factories: Sequence[PoolFactory] = (),
        tokens: Sequence[Address] = (),
    ) -> None:
        """`v2_fees`: what the pairs of each V2 factory take, in millionths; a pair of any other factory is left out. `factories`: whose
        pools of every two of `tokens` are read besides."""
        for spec in specs:
            if spec.kind not in GAS:
                raise Usage(
                    "UNREADABLE_POOL", f"pools of kind {spec.kind} cannot be read", f"one of {', '.join(GAS)}"
                )
            if spec.kind == "uniswap_v4" and v4 is None:
                raise Usage(
                    "NO_V4_HERE",
                    f"pool {spec.id}: this chain has no Uniswap V4 configured",
                    "remove the pool",
                )
        self._reader, self._specs, self._v4 = reader, tuple(specs), v4
        self._v2_fees, self._sought, self._tokens_among = v2_fees, tuple(factories), tuple(tokens)
        self._fixed: dict[str, Known] = {}
        self._tokens: dict[Address, Token] = {}
        self._skipped: dict[str, str] = {}
        self._silent: dict[str, str] = {}
        self._last: tuple[int, Hash32] | None = None

    @property
    def reads_any(self) -> bool:
        return bool(self._specs or self._sought)

    async def snapshot(self, block: int | str = "latest") -> PoolSnapshot:
        """The pools at `block`. Reads only prices and liquidity where nothing else can have changed."""
        at = await self._reader.block(block)
        await self._look_for_pools(at)
        new = [spec for spec in self._specs if spec.id not in self._fixed and spec.id not in self._skipped]
        if new:
            await self._learn(new, at)
        await self._forget_changed_ticks(at)
        await self._read_ticks(
            [f for f in self._fixed.values() if f.ticks is None and _has_ticks(f.spec.kind)], at
        )
        pools = await self._states_of(list(self._fixed.values()), at, self._reader)
        self._last = (at.number, at.hash)
        return PoolSnapshot(at, tuple(pools), dict(self._tokens), self.skipped)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(id, why) of what is not read here, or did not answer when it was asked last."""
        return tuple((self._skipped | self._silent).items())

    def v2_factories(self) -> dict[str, Address]:
        """By id, whose pair each V2 pool is, where factories' fees are given."""
        chain = self._reader.chain_id
        return {
            f"eip155:{chain}/{f.spec.id}": f.values["factory"]
            for f in self._fixed.values()
            if f.spec.kind == "uniswap_v2" and f.values["factory"] is not None
        }

    # ---- for who follows the pools from block to block

    def log_sources(self) -> tuple[LogFilter, ...]:
        """Where everything is logged that may change a pool read here."""
        heard = ("uniswap_v2", "uniswap_v3", pool_curve.KIND)
        alone = tuple(Address(f.spec.id) for f in self._fixed.values() if f.spec.kind in heard)
        found: list[LogFilter] = [(alone, ())] if alone else []
        shared: dict[Address, list[bytes]] = {}
        for f in self._fixed.values():
            if f.spec.kind == "uniswap_v4" and self._v4 is not None:
                shared.setdefault(self._v4.pool_manager, []).append(bytes.fromhex(f.spec.id[2:]))
            elif f.spec.kind.startswith("balancer"):
                shared.setdefault(f.values["vault"], []).append(bytes.fromhex(f.spec.id[2:]))
        return (*found, *(((where,), (None, tuple(ids))) for where, ids in shared.items()))

    def changes_unheard(self, after: BlockRef) -> frozenset[str]:
        """Ids of pools whose fees, amplification or rates may move after a block with no log where theirs are followed: read at every
        block, in the one request that is made for it."""
        chain = self._reader.chain_id

        def unheard(f: Known) -> bool:
            if f.spec.kind == pool_curve.KIND:
                return f.spec.id in self._silent or pool_curve.changes_unheard(f.values, after.timestamp)
            moves = f.spec.kind.startswith("balancer") or f.spec.kind in pool_solidly.KINDS
            return moves or f.spec.id in self._silent

        return frozenset(f"eip155:{chain}/{f.spec.id}" for f in self._fixed.values() if unheard(f))

    async def states_of(
        self, ids: Collection[str], at: BlockRef, reader: ChainReader
    ) -> dict[str, dict[str, Any]]:
        """These pools' states at a block by `reader`, with the ticks that the last snapshot here had; without those that did not answer.
        Raises Retry BLOCK_MOVED."""
        chain = self._reader.chain_id
        fixed = [f for f in self._fixed.values() if f"eip155:{chain}/{f.spec.id}" in ids]
        return {entry["id"]: entry for entry in await self._states_of(fixed, at, reader)}

    async def ticks_gone(self, identity: str, ticks: Sequence[int], at: BlockRef) -> frozenset[int]:
        """Those of the ticks that bound no position any more, at a block."""
        f = next(f for f in self._fixed.values() if identity.endswith(f"/{f.spec.id}"))
        nets = await self._views([self._tick_call(f, tick) for tick in ticks], at)
        if any(map(_mute, nets)):
            raise Retry("POOL_SILENT", f"pool {f.spec.id} did not answer", "read again; if it stays silent, remove it")  # fmt: skip
        return frozenset(t for t, n in zip(ticks, nets, strict=True) if not words(n or b"")[0])

    # ---- constants

    async def _look_for_pools(self, at: BlockRef) -> None:
        """Once: what is made later is found by the next process."""
        found = await found_pools(self._sought, self._tokens_among, at, self._reader)
        listed = {spec.id.lower() for spec in self._specs}
        self._specs += tuple(PoolSpec(kind, pool) for kind, pool in found if pool.lower() not in listed)
        self._sought = ()

    async def _learn(self, specs: list[PoolSpec], at: BlockRef) -> None:
        calls: list[Call] = []
        for spec in specs:
            calls += self._constant_calls(spec)
        answers = iter(await self._views(calls, at))
        for spec in specs:
            given = [next(answers) for _ in self._constant_calls(spec)]
            try:
                self._fixed[spec.id] = self._constants(spec, given)
            except Reject as why:
                self._skipped[spec.id] = why.message
        for spec in [s for s in specs if s.kind.startswith("balancer") and s.id in self._fixed]:
            await self._learn_balancer(self._fixed[spec.id], at)
        await self._learn_fees(
            [self._fixed[s.id] for s in specs if s.kind in pool_solidly.KINDS and s.id in self._fixed], at
        )
        wanted = {t for f in self._fixed.values() for t in f.tokens if t not in self._tokens}
        await self._learn_tokens(sorted(wanted), at)

    def _constant_calls(self, spec: PoolSpec) -> list[Call]:
        if spec.kind == pool_curve.KIND:
            return pool_curve.asked(checksum(spec.id))
        if spec.kind in pool_solidly.KINDS:
            return pool_solidly.asked(checksum(spec.id))
        if spec.kind == "uniswap_v2":
            asked = (
                ("token0()", "token1()") if self._v2_fees is None else ("token0()", "token1()", "factory()")
            )
            return [_view(spec.id, name) for name in asked]
        if spec.kind == "uniswap_v3":
            return [_view(spec.id, name) for name in ("token0()", "token1()", "fee()", "tickSpacing()")]
        if spec.kind == "uniswap_v4":
            assert self._v4 is not None
            id25 = bytes.fromhex(spec.id[2:])[:25].ljust(32, b"\0")
            return [Call(self._v4.position_manager, selector("poolKeys(bytes25)") + id25)]
        pool = _balancer_address(spec.id)
        return [_view(pool, name) for name in ("getPoolId()", "getVault()")]

    def _constants(self, spec: PoolSpec, given: list[bytes | None]) -> Known:
        if spec.kind == pool_curve.KIND:
            return Known(spec, *pool_curve.told(spec.id, given))
        if spec.kind in pool_solidly.KINDS:
            return Known(spec, *pool_solidly.told(spec.id, spec.kind, given))
        if any(answer is None or len(answer) < 32 for answer in given):
            raise Reject("NOT_A_POOL", f"{spec.id} does not answer as a {spec.kind} pool")
        first = [words(answer or b"") for answer in given]
        if spec.kind == "uniswap_v4":
            currency0, currency1, fee, spacing, hooks = (w % (1 << 256) for w in first[0][:5])
            if not currency1:
                raise Reject("NOT_A_POOL", f"V4 pool {spec.id} has no key at the position manager")
            if hooks:
                raise Reject("HAS_HOOKS", f"V4 pool {spec.id} has hooks, whose arithmetic is its own")
            tokens = (address_of(currency0.to_bytes(32, "big")), address_of(currency1.to_bytes(32, "big")))
            return Known(spec, tokens, {"tick_spacing": signed(spacing), "key_fee": fee})
        if spec.kind.startswith("balancer"):
            if (given[0] or b"").hex() != spec.id[2:].lower():
                raise Reject("NOT_A_POOL", f"{_balancer_address(spec.id)} is not the pool of id {spec.id}")
            return Known(spec, (), {"vault": address_of(given[1] or b"")})
        tokens = (address_of(given[0] or b""), address_of(given[1] or b""))
        if spec.kind == "uniswap_v2":
            made_by = None if self._v2_fees is None else address_of(given[2] or b"")
            return Known(spec, tokens, {"fee_pips": self._v2_fee(spec, made_by), "factory": made_by})
        spacing = signed(first[3][0])
        if not 1 <= spacing <= MOST_SPACING:
            raise Reject(
                "NOT_A_POOL", f"{spec.id} tells a tick spacing of {spacing}: it is no {spec.kind} pool"
            )
        return Known(spec, tokens, {"fee_pips": first[2][0], "tick_spacing": spacing})

    def _v2_fee(self, spec: PoolSpec, factory: Address | None) -> int:
        if self._v2_fees is None or factory is None:
            return spec.fee_pips
        if factory not in self._v2_fees:
            raise Reject(
                "UNKNOWN_FEE",
                f"{spec.id} is a pair of factory {factory}, and what its pairs take is not known: list it under [[chains.factories]]",
            )
        return self._v2_fees[factory]

    async def _learn_fees(self, new: list[Known], at: BlockRef) -> None:
        """Where Solidly-type pools' fees are told."""
        asked = [pool_solidly.fee_views(Address(f.spec.id), f.values) for f in new]
        answers = iter(await self._views([call for calls in asked for call in calls], at))
        for f, calls in zip(new, asked, strict=True):
            given = [next(answers) for _ in calls]
            try:
                f.values["fee"] = pool_solidly.fee_view(Address(f.spec.id), f.values, given)
            except Reject as why:
                del self._fixed[f.spec.id]
                self._skipped[f.spec.id] = why.message

    async def _learn_balancer(self, fixed: Known, at: BlockRef) -> None:
        pool = _balancer_address(fixed.spec.id)
        weighted = fixed.spec.kind == "balancer_v2_weighted"
        tokens_call = Call(
            fixed.values["vault"], selector("getPoolTokens(bytes32)") + bytes.fromhex(fixed.spec.id[2:])
        )
        extra = _view(pool, "getNormalizedWeights()") if weighted else _view(pool, "getBptIndex()")
        listed, given = await self._views([tokens_call, extra], at)
        try:
            every = [address_of(w.to_bytes(32, "big")) for w in uint_array(listed or b"", 0)]
            if weighted:
                fixed.values["weights"] = uint_array(given or b"", 0)
            # A composable pool lists its own share token among the balances; swaps never touch it.
            share = None if weighted or given is None else first_words(given, 1)[0]
        except Reject:
            del self._fixed[fixed.spec.id]
            self._skipped[fixed.spec.id] = f"{fixed.spec.id} does not answer as a {fixed.spec.kind} pool"
            return
        fixed.values["kept"] = [k for k in range(len(every)) if k != share]
        fixed.tokens = tuple(every[k] for k in fixed.values["kept"])

    async def _learn_tokens(self, wanted: Sequence[Address], at: BlockRef) -> None:
        real = [token for token in wanted if token != ZERO_ADDRESS]
        answers = await self._views([_view(t, name) for t in real for name in ("symbol()", "decimals()")], at)
        for k, token in enumerate(real):
            symbol, decimals = answers[2 * k], answers[2 * k + 1]
            if decimals is None or len(decimals) < 32 or words(decimals)[0] > 77:
                self._drop_token(token)
                continue
            self._tokens[token] = Token(token, symbol_text(symbol) or token[:8], words(decimals)[0])
        if ZERO_ADDRESS in wanted:
            self._tokens[ZERO_ADDRESS] = Token(ZERO_ADDRESS, "ETH", 18)

    def _drop_token(self, token: Address) -> None:
        for identity in [i for i, f in self._fixed.items() if token in f.tokens]:
            del self._fixed[identity]
            self._skipped[identity] = f"token {token} tells no decimals"

    # ---- ticks

    async def _forget_changed_ticks(self, at: BlockRef) -> None:
        ticked = [f for f in self._fixed.values() if f.ticks is not None]
        if not ticked or self._last is None or self._last == (at.number, at.hash):
            return
        number, was = self._last
        same = at.number > number and (await self._reader.block(number)).hash == was
        if not same:
            for f in ticked:
                f.ticks = None
            return
        v3 = [Address(f.spec.id) for f in ticked if f.spec.kind == "uniswap_v3"]
        changed: set[str] = set()
        if v3:
            logs = await self._reader.logs(v3, [_V3_EVENTS], number + 1, at.number)
            changed |= {log.address.lower() for log in logs}
        v4 = [bytes.fromhex(f.spec.id[2:]) for f in ticked if f.spec.kind == "uniswap_v4"]
        if v4 and self._v4 is not None:
            logs = await self._reader.logs(self._v4.pool_manager, [_V4_EVENT, v4], number + 1, at.number)
            changed |= {"0x" + log.topics[1].hex() for log in logs}
        for f in ticked:
            if f.spec.id.lower() in changed:
                f.ticks = None

    async def _read_ticks(self, wanted: list[Known], at: BlockRef) -> None:
        if not wanted:
            return
        asked: list[tuple[Known, int]] = []
        for f in wanted:
            spacing = f.values["tick_spacing"]
            low, high = (-(-MIN_TICK // spacing)) >> 8, (MAX_TICK // spacing) >> 8
            asked += [(f, position) for position in range(low, high + 1)]
        bitmaps = await self._views([self._bitmap_call(f, position) for f, position in asked], at)
        silent = {f.spec.id for (f, _), answer in zip(asked, bitmaps, strict=True) if _mute(answer)}
        found: list[tuple[Known, int]] = []
        for (f, position), answer in zip(asked, bitmaps, strict=True):
            bits = words(answer or b"")[0] if f.spec.id not in silent else 0
            while bits:
                lowest = bits & -bits
                found.append((f, (position * 256 + lowest.bit_length() - 1) * f.values["tick_spacing"]))
                bits ^= lowest
        nets = await self._views([self._tick_call(f, tick) for f, tick in found], at)
        silent |= {f.spec.id for (f, _), answer in zip(found, nets, strict=True) if _mute(answer, 64)}
        for f in wanted:
            f.ticks = None if f.spec.id in silent else []
        for (f, tick), answer in zip(found, nets, strict=True):
            if f.ticks is not None:
                f.ticks.append((tick, signed(words(answer or b"")[1])))

    def _bitmap_call(self, f: Known, position: int) -> Call:
        if f.spec.kind == "uniswap_v3":
            return Call(Address(f.spec.id), selector("tickBitmap(int16)") + word(position))
        assert self._v4 is not None
        data = selector("getTickBitmap(bytes32,int16)") + bytes.fromhex(f.spec.id[2:]) + word(position)
        return Call(self._v4.state_view, data)

    def _tick_call(self, f: Known, tick: int) -> Call:
        if f.spec.kind == "uniswap_v3":
            return Call(Address(f.spec.id), selector("ticks(int24)") + word(tick))
        assert self._v4 is not None
        data = selector("getTickLiquidity(bytes32,int24)") + bytes.fromhex(f.spec.id[2:]) + word(tick)
        return Call(self._v4.state_view, data)

    # ---- states

    async def _states_of(
        self, fixed: Sequence[Known], at: BlockRef, reader: ChainReader
    ) -> list[dict[str, Any]]:
        calls: list[Call] = []
        for f in fixed:
            calls += self._state_calls(f)
        answers = iter(await self._views(calls, at, reader))
        found = []
        for f in fixed:
            given = [next(answers) for _ in self._state_calls(f)]
            try:
                if any(map(_mute, given)) or (f.ticks is None and _has_ticks(f.spec.kind)):
                    raise Reject("POOL_SILENT", "a view of its kind reverts")
                found.append(self._state(f, [answer or b"" for answer in given]))
                self._silent.pop(f.spec.id, None)
            except Reject as why:
                self._silent[f.spec.id] = f"{f.spec.id}: {why.message}. It is left out until it answers"
        return found

    def _state_calls(self, f: Known) -> list[Call]:
        kind, where = f.spec.kind, f.spec.id
        if kind == pool_curve.KIND:
            return pool_curve.state_calls(checksum(where), f.values, len(f.tokens))
        if kind in pool_solidly.KINDS:
            return pool_solidly.state_calls(checksum(where), f.values)
        if kind == "uniswap_v2":
            return [_view(where, "getReserves()")]
        if kind == "uniswap_v3":
            return [_view(where, "slot0()"), _view(where, "liquidity()")]
        identity = bytes.fromhex(where[2:])
        if kind == "uniswap_v4":
            assert self._v4 is not None
            view = self._v4.state_view
            return [
                Call(view, selector(f"{name}(bytes32)") + identity) for name in ("getSlot0", "getLiquidity")
            ]
        pool = _balancer_address(where)
        calls = [
            Call(f.values["vault"], selector("getPoolTokens(bytes32)") + identity),
            _view(pool, "getSwapFeePercentage()"),
        ]
        if kind == "balancer_v2_stable":
            calls += [_view(pool, "getAmplificationParameter()"), _view(pool, "getScalingFactors()")]
        return calls

    def _state(self, f: Known, given: list[bytes]) -> dict[str, Any]:
        """Raises Reject MALFORMED_VIEW, TOO_FINE."""
        kind, chain = f.spec.kind, self._reader.chain_id
        gas, per_tick = GAS[kind]
        out: dict[str, Any] = {
            "id": f"eip155:{chain}/{f.spec.id}",
            "kind": kind,
            "assets": [asset_id(chain, token) for token in f.tokens],
            "gas": gas if f.spec.gas is None else f.spec.gas,
        }
        if per_tick:
            out["gas_per_tick"] = per_tick
        if kind == pool_curve.KIND:
            decimals = [self._tokens[token].decimals for token in f.tokens]
            return out | pool_curve.state(f.values, decimals, given)
        if kind in pool_solidly.KINDS:
            return out | pool_solidly.state(given)
        first = first_words(given[0], 4 if kind == "uniswap_v4" else 2)
        if kind == "uniswap_v2":
            return out | {
                "reserves_raw": [str(first[0]), str(first[1])],
                "fee_pips": f.values["fee_pips"],
            }
        if kind.startswith("uniswap"):
            if kind == "uniswap_v3":
                out["fee_pips"] = f.values["fee_pips"]
            else:
                protocol = first[2]
                out |= {"lp_fee_pips": first[3], "protocol_fee_pips": [protocol & 0xFFF, protocol >> 12]}
            return out | {
                "tick_spacing": f.values["tick_spacing"],
                "sqrt_price_x96": str(first[0]),
                "tick": signed(first[1]),
                "liquidity": str(words(given[1])[0]),
                "ticks": [[tick, str(net)] for tick, net in f.ticks or []],
            }
        balances = uint_array(given[0], 1, max(f.values["kept"], default=0) + 1)
        out["balances_raw"] = [str(balances[k]) for k in f.values["kept"]]
        out["fee_1e18"] = str(words(given[1])[0])
        if kind == "balancer_v2_weighted":
            return out | {"weights_1e18": [str(weight) for weight in f.values["weights"]]}
        amp, _, precision = first_words(given[2], 3)[:3]
        scaling = uint_array(given[3], 0, max(f.values["kept"], default=0) + 1)
        if precision == 0 or any(self._tokens[token].decimals > 18 for token in f.tokens):
            raise Reject("TOO_FINE", "its amplification or a token's decimals are none that its kind has")
        rates = [
            scaling[k] // 10 ** (18 - self._tokens[token].decimals)
            for k, token in zip(f.values["kept"], f.tokens, strict=True)
        ]
        return out | {
            "a": ratio_text(amp, precision),
            "a_precision": str(precision),
            "rates_1e18": [str(rate) for rate in rates],
        }

    async def _views(
        self, calls: Sequence[Call], at: BlockRef, reader: ChainReader | None = None
    ) -> list[bytes | None]:
        """The answers, None where a view reverted; all of them of the block `at`."""
        if not calls:
            return []
        block, results = await (reader or self._reader).multicall(calls, at.number)
        if block.hash != at.hash:
            raise Retry(
                "BLOCK_MOVED", f"block {at.number} was replaced while its pools were read", "read again"
            )
        return [result.data if result.ok else None for result in results]


def asset_id(chain_id: int, token: Address) -> str:
    """CAIP-19 of a token, the coin itself for the zero address."""
    return f"eip155:{chain_id}/slip44:60" if token == ZERO_ADDRESS else f"eip155:{chain_id}/erc20:{token}"


def _has_ticks(kind: str) -> bool:
    return kind in ("uniswap_v3", "uniswap_v4")


def _view(to: str, signature: str) -> Call:
    return Call(checksum(to), selector(signature))


def _balancer_address(pool_id: str) -> Address:
    return checksum(pool_id[:42])


def _mute(answer: bytes | None, least: int = 32) -> bool:
    """Whether a view reverted, or its answer is none of at least so many bytes."""
    return answer is None or len(answer) < least
