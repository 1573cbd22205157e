"""A wallet's Aave V3 account on one chain: read at one block, computed by the model of its version, set beside the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.app.settings_tree import Chain
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import aave_v3_0, aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7
from agent.margin.aave_account import Account, EMode, Reserve
from agent.margin.aave_core import VALUE_UNIT, AaveModel
from agent.margin.doubts import price_doubt
from agent.margin.fixes import Fix, cheapest
from agent.margin.model import Health, State
from chains import profiles
from chains.evm import address_of, selector
from chains.followed import FollowedView
from chains.lending.aave_v3 import AaveAccount, read_account
from chains.profile import Aave
from chains.types import ZERO_ADDRESS, Address, Call, ViewReader
from contracts.codec import encode

NEVER = 2**256 - 1
BY_REVISION: dict[int, AaveModel] = {
    1: aave_v3_0.MODEL,
    2: aave_v3_0.MODEL,
    3: aave_v3_0.MODEL,
    6: aave_v3_3.MODEL,
    7: aave_v3_3.MODEL,
    8: aave_v3_4.MODEL,
    9: aave_v3_5.MODEL,
    10: aave_v3_6.MODEL,
    11: aave_v3_7.MODEL,
}
"""The version by the pool's own POOL_REVISION. What is missing (3.1, 3.2, anything later) is UNKNOWN, never guessed."""


@dataclass(frozen=True, slots=True)
class ChainHealth:
    """One chain's answer. `account` is the model's (None where no model of this version is here); `trouble` says why UNKNOWN.
    `halt`: what is wrong with the installation itself, an endpoint of another chain say; others are judged all the same."""

    chain: Chain
    found: AaveAccount | None
    account: Account | None
    health: Health | None
    equal: bool | None
    symbols: dict[str, str]
    trouble: str = ""
    model: str = ""
    engine: AaveModel = aave_v3_0.MODEL
    pool: Address | None = None
    halt: FairleadError | None = None

    @property
    def fix(self) -> Fix | None:
        """The least payment that makes it SAFE, where it is not and is known."""
        if self.trouble or self.account is None or self.found is None:
            return None
        if self.state not in (State.AT_RISK, State.LIQUIDATABLE):
            return None
        return cheapest(self.engine, self.account, self.found.block.timestamp)

    @property
    def state(self) -> State:
        return State.UNKNOWN if self.trouble or self.health is None else self.health.state

    @property
    def empty(self) -> bool:
        return self.found is not None and not self.found.reserves and not self.trouble


async def market_of(chain: Chain, gateway: ViewReader, pool: Address | None = None) -> Aave | None:
    """The chain's Aave market: the profile's, or that of the settings' `lending_pool`, whose provider is asked for; or that of another
    `pool` of Aave V3's kind."""
    market = profiles.load(chain.chain_id).aave
    if pool is None and chain.lending_pool is None:
        return market
    pool = pool or Address(str(chain.lending_pool))
    if market is not None and market.pool == pool:
        return market
    _, (found,) = await gateway.multicall([Call(pool, selector("ADDRESSES_PROVIDER()"))])
    if not found.ok or len(found.data) < 32:
        return None
    provider = address_of(found.data)
    _, (oracle, data_provider) = await gateway.multicall(
        [Call(provider, selector("getPriceOracle()")), Call(provider, selector("getPoolDataProvider()"))]
    )
    return Aave(
        pool,
        provider,
        address_of(data_provider.data) if data_provider.ok else ZERO_ADDRESS,
        address_of(oracle.data) if oracle.ok else ZERO_ADDRESS,
    )


def model_account(found: AaveAccount, chain_id: int) -> Account:
    """The chain's integers as the model takes them."""
    mode = found.emodes[0] if found.emodes else None
    members = frozenset(erc20_id(chain_id, a) for a in mode.collateral) if mode else frozenset()
    emode = None
    if mode is not None:
        own_source = mode.price_source != ZERO_ADDRESS
        inside = [r.price_1e8 for r in found.reserves if erc20_id(chain_id, r.asset) in members]
        price = inside[0] if own_source and inside else 0
        zero = frozenset(erc20_id(chain_id, a) for a in mode.ltvzero)
        emode = EMode(
            mode.ltv_bps, mode.liquidation_threshold_bps, members, price, mode.liquidation_bonus_bps, zero
        )
    return Account(
        tuple(
            Reserve(
                erc20_id(chain_id, r.asset), r.decimals, r.price_1e8, r.ltv_bps, r.liquidation_threshold_bps,
                r.collateral_enabled, r.last_update, r.scaled_supply_raw, r.liquidity_index_1e27, r.liquidity_rate_1e27,
                r.scaled_debt_raw, r.borrow_index_1e27, r.borrow_rate_1e27, r.stable_debt_raw,
                r.liquidation_bonus_bps, r.protocol_fee_bps,
            )
            for r in found.reserves
        ),
        emode,
    )  # fmt: skip


def equals_contract(account: Account, found: AaveAccount, engine: AaveModel = aave_v3_0.MODEL) -> bool:
    """Whether the model gives the contract's own figures, all of them, to the last digit."""
    ours, theirs = engine.account_data(account, found.block.timestamp), found.data
    return (
        ours.collateral_base, ours.debt_base, ours.liquidation_threshold_bps, ours.ltv_bps,
        NEVER if ours.health_1e18 is None else ours.health_1e18,
    ) == (
        theirs.collateral_base, theirs.debt_base, theirs.liquidation_threshold_bps, theirs.ltv_bps, theirs.health_1e18,
    )  # fmt: skip


async def chain_health(
    chain: Chain, gateway: ViewReader, wallet: Address, pool: Address | None = None
) -> ChainHealth | None:
    """As `looked_at`, for whoever stops at what is wrong with the installation. Raises Halt."""
    one = await looked_at(chain, gateway, wallet, pool)
    if one is not None and one.halt is not None:
        raise one.halt
    return one


async def looked_at(
    chain: Chain, gateway: ViewReader, wallet: Address, pool: Address | None = None
) -> ChainHealth | None:
    """None where the chain has no Aave market. What does not answer, or is of a version no model here is of, is UNKNOWN, and so is what a
    Halt keeps from being read. `pool`: another market of the chain than its Aave's."""
    one = await _chain_health(chain, gateway, wallet, pool)
    if one is not None and one.equal is False and isinstance(gateway, FollowedView):
        # What was kept may be the reason: a whole read says.
        gateway.forget()
        one = await _chain_health(chain, gateway, wallet, pool)
    return one if one is None or pool is None else replace(one, pool=pool)


async def _chain_health(
    chain: Chain, gateway: ViewReader, wallet: Address, pool: Address | None
) -> ChainHealth | None:
    try:
        market = await market_of(chain, gateway, pool)
        if market is None:
            why = f"{pool} is no market of Aave V3's kind"
            return None if pool is None else ChainHealth(chain, None, None, None, None, {}, why)
        found = await read_account(gateway, market, wallet)
        symbols = await _symbols(gateway, chain.chain_id, found)
    except FairleadError as error:
        halt = error if error.verb == "HALT" else None
        return ChainHealth(chain, None, None, None, None, {}, str(error), halt=halt)
    engine = BY_REVISION.get(found.revision)
    if not found.reserves and not (found.data.collateral_base or found.data.debt_base):
        health = Health(State.SAFE, None, 0, 0, VALUE_UNIT, (), None)
        name = engine.name if engine else aave_v3_0.MODEL.name
        return ChainHealth(chain, found, Account(()), health, True, symbols, model=name)
    if engine is None:
        why = f"the pool is revision {found.revision}, and no model of that version is here"
        return ChainHealth(chain, found, None, None, None, symbols, why)
    account = model_account(found, chain.chain_id)
    if doubt := doubts(found, symbols, chain.chain_id):
        return ChainHealth(chain, found, account, None, None, symbols, doubt, engine.name, engine)
    health = engine.health(account, found.block.timestamp)
    equal = equals_contract(account, found, engine)
    trouble = (
        "" if equal else "the contract's figures are not the model's: it is of another version than it says"
    )
    return ChainHealth(chain, found, account, health, equal, symbols, trouble, engine.name, engine)


def name_of(one: ChainHealth) -> str:
    return f"aave_v3:eip155:{one.chain.chain_id}" + (f":{one.pool}" if one.pool is not None else "")


def doubts(found: AaveAccount, symbols: dict[str, str], chain_id: int) -> str:
    """Why nothing can be said of the account, "" where it can: a market that is stopped, a price that is none."""
    for r in found.reserves:
        name = symbols.get(erc20_id(chain_id, r.asset), r.asset)
        if r.paused or not r.active:
            return f"the market of {name} is {'paused' if r.paused else 'not active'}"
        if why := price_doubt(r.price_1e8, 8):
            return f"{name}: {why}"
    return ""


async def _symbols(gateway: ViewReader, chain_id: int, found: AaveAccount) -> dict[str, str]:
    """What the tokens call themselves: labels, shortened and without anything a terminal would obey."""
    calls = [Call(r.asset, encode("erc20", "symbol")) for r in found.reserves]
    if not calls:
        return {}
    _, results = await gateway.multicall(calls, found.block.number)
    return {
        erc20_id(chain_id, r.asset): label(result.data if result.ok else b"", r.asset)
        for r, result in zip(found.reserves, results, strict=True)
    }


def label(answer: bytes, address: str) -> str:
    """A token's symbol from its answer, a string or (old tokens) bytes32; else the address's beginning."""
    from contracts.abi_types import AbiError
    from contracts.codec import decode_result

    try:
        text = str(decode_result("erc20", "symbol", answer)[0])
    except (AbiError, UnicodeDecodeError):
        text = answer[:32].rstrip(b"\0").decode("ascii", "ignore") if len(answer) == 32 else ""
    plain = "".join(c for c in text if c.isprintable() and c.isascii())[:16]
    return plain or f"{address[:8]}…"
