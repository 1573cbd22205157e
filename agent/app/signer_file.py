"""The signer's own file, written from the settings once: which keys, which Safe, which contracts, and what may leave.

Only `fairlead signer run` reads it afterwards; changing the settings changes nothing there, so that whoever has the agent's settings
cannot raise a cap. No secret is in it, only references. Pure but for the writing.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.app.fix_doors import signer_entries
from agent.app.settings_checks import signer_of
from agent.app.settings_maker import Maker
from agent.app.settings_tree import Chain, Sender, Settings, Venue
from agent.domain.errors import Usage
from agent.domain.instruments import chain_of, chain_place
from chains import profiles
from chains.bridges.across import SPOKE_POOLS
from chains.safe_versions import RELEASES
from chains.types import Address
from contracts.flash_repay import ADDRESS as FLASH_REPAY
from contracts.route_executor import ADDRESS as ROUTE_EXECUTOR
from keys import policy_bridge, policy_flash
from keys.settings import signer_settings
from keys.signers import to_data

Caps = Mapping[str, tuple[int, int]]
"""Token address to base units (in one transaction, in 24 hours). What is not there may not leave at all."""


def content(
    settings: Settings, caps: Mapping[int, Caps], bridged: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The file's object; `bridged` are symbols that may be sent to the Safe's other chains, with the most bps of them a relayer may keep.

    Raises Usage NO_SENDER, SENDER_WITHOUT_KEY, NO_OWNERS, NO_PROFILE, those of `_add_ways`, and for a signer that cannot be read."""
    wallet, sender = settings.wallet, settings.wallet.sender
    if sender is None:
        raise Usage("NO_SENDER", "the settings name no [wallet.sender]", "add the account that pays the gas")
    if not wallet.owners:
        raise Usage("NO_OWNERS", "the settings list no owners of the Safe", "add them under [wallet]")
    folder = settings.journal.path.parent
    out: dict[str, Any] = {
        "environment": settings.environment.value,
        "ledger": str(folder / "spend-ledger.jsonl"),
        "keystore": str(sender.keystore.parent if sender.keystore is not None else folder / "keystore"),
        "senders": [_sender(sender)],
        "owners": [],
        "exchanges": _exchanges(settings),
        "chains": [_chain(settings, chain, caps.get(chain.chain_id, {})) for chain in settings.chains],
    }
    for symbol, fee_bps in (bridged or {}).items():
        _add_ways(settings, out["chains"], caps, symbol, fee_bps)
    signer_settings(out)  # what would not be read is not written
    return out


def _sender(sender: Sender) -> dict[str, Any]:
    spec = signer_of(sender)
    if spec is not None and spec.kind == "keystore":
        return {"key": spec.options.get("key") or spec.options["keystore"], "password": spec.options.get("password")}  # fmt: skip
    if spec is not None:
        return to_data(spec)
    if sender.keystore is None:
        raise Usage(
            "SENDER_WITHOUT_KEY",
            f"it is not said where the key of the sender {sender.address} is",
            "keystore = …, or signer = { kind = … }, under [wallet.sender]",
        )
    return {"key": str(sender.keystore), "password": sender.password}


_DIALECTS = {
    "binance_spot": "binance",
    "binance_usdm": "binance_usdm",
    "coinbase": "coinbase",
    "deribit": "deribit",
    "dydx": "dydx",
    "hyperliquid": "hyperliquid",
    "kraken": "kraken",
}


def _dialect(venue: Venue) -> str | None:
    return f"ccxt:{venue.exchange}" if venue.module == "ccxt" else _DIALECTS.get(venue.module)


def _exchanges(settings: Settings) -> dict[str, Any]:
    """The exchanges whose secrets the signer holds. At Hyperliquid instruments are named by asset number, at dYdX by the
    market's number and exponent: the owner adds them."""
    found: dict[str, Any] = {}
    for v in settings.venues:
        dialect = _dialect(v)
        if v.api_key is None or v.api_secret is None or dialect is None:
            continue
        found[v.name] = {"dialect": dialect, "api_key": v.api_key, "secret": v.api_secret}
        if v.api_password is not None:
            found[v.name]["password"] = v.api_password
        if v.module in ("dydx", "hyperliquid"):
            found[v.name]["repeats"] = 1
        else:
            found[v.name]["symbols"] = list(v.symbols)
        if v.module in ("binance_spot", "binance_usdm", "coinbase"):
            found[v.name] |= _sends_to(v)
        if v.fix is not None:
            found |= signer_entries(v.name, v.fix)
    return found


def _sends_to(venue: Venue) -> dict[str, str]:
    """The signer sends this exchange's orders itself. A reference stays one: only the signer resolves it."""
    if venue.base_url is not None:
        return {"sends_to": venue.base_url}
    facts = importlib.import_module(f"agent.venues.{venue.module}").VENUE
    return {"sends_to": facts.rest_url}


def _chain(settings: Settings, chain: Chain, caps: Caps) -> dict[str, Any]:
    profile = profiles.load(chain.chain_id)
    known = profile.contracts
    contracts: dict[str, str] = {r.multi_send_call_only: "multi_send" for r in RELEASES}
    contracts |= {r.proxy_factory: "safe_proxy_factory" for r in RELEASES}
    spenders = []
    for name, interface in (
        ("permit2", "permit2"),
        ("universal_router", "universal_router"),
        ("balancer_vault", "balancer_v2_vault"),
    ):
        if name in known:
            contracts[known[name]] = interface
            spenders.append(known[name])
    if settings.wallet.route_executor is not None:
        contracts[Address(ROUTE_EXECUTOR)] = "route_executor"
        spenders.append(Address(ROUTE_EXECUTOR))
    if settings.wallet.flash_repay is not None:
        contracts[Address(FLASH_REPAY)] = policy_flash.KIND
        spenders.append(Address(FLASH_REPAY))
    for factory in chain.factories:
        if factory.router is not None:
            contracts[Address(factory.router)] = "uniswap_v2_router"
            spenders.append(Address(factory.router))
    if profile.aave is not None:
        contracts[profile.aave.pool] = "aave_v3_pool"
        spenders.append(profile.aave.pool)
    for pool in (*chain.lending_pools, *([chain.lending_pool] if chain.lending_pool is not None else ())):
        contracts[Address(pool)] = "aave_v3_pool"
        spenders.append(Address(pool))
    for comet in chain.comets:
        contracts[Address(comet)] = "comet"
        spenders.append(Address(comet))
    maker = _maker(chain.maker) if chain.maker is not None and chain.maker.vaults else None
    if chain.maker is not None and maker is not None:
        contracts |= {Address(chain.maker.vat): "maker_vat", Address(chain.maker.jug): "maker_jug"}
        contracts |= dict.fromkeys(maker["joins"], "maker_join")
        spenders += maker["joins"]
    if chain.morpho_markets:
        contracts[Address(chain.morpho)] = "morpho_blue"
        spenders.append(Address(chain.morpho))
    prefix = f"{chain_place(chain.chain_id)}/erc20:"
    listed = [Address(a.removeprefix(prefix)) for ids in settings.assets.values() for a in ids if a.startswith(prefix)]  # fmt: skip
    return {
        "chain_id": chain.chain_id,
        "safe": settings.wallet.address,
        "owners": [o.address for o in settings.wallet.owners],
        "threshold": settings.wallet.threshold,
        "weth": profile.wrapped_native,
        "contracts": contracts,
        "spenders": spenders,
        "tokens": {t: _cap(caps.get(t, (0, 0))) for t in (*listed, profile.wrapped_native)},
        **({"morpho_markets": list(chain.morpho_markets)} if chain.morpho_markets else {}),
        **({"maker": maker} if maker is not None else {}),
    }


def _maker(maker: Maker) -> dict[str, Any]:
    joins = {Address(v.join): v.collateral for v in maker.vaults} | {Address(maker.dai_join): maker.dai}
    return {"joins": joins, "vaults": [{"ilk": "0x" + v.key.hex(), "urn": v.urn} for v in maker.vaults]}


def _add_ways(
    settings: Settings, chains: list[dict[str, Any]], caps: Mapping[int, Caps], symbol: str, fee_bps: int
) -> None:
    """Ways of one symbol between all chains that have a SpokePool and the token. Raises Usage NO_BRIDGE_CAP, UNEQUAL_DECIMALS, NO_BRIDGE."""
    found: dict[int, Address] = {}
    for asset in settings.assets.get(symbol, ()):
        chain_id, token = chain_of(asset), asset.rpartition(":")[2]
        if chain_id in SPOKE_POOLS and "/erc20:" in asset and settings.chain(chain_id) is not None:
            found[chain_id] = Address(token)
    told = {chain_id: caps.get(chain_id, {}).get(token) for chain_id, token in found.items()}
    if not told or None in told.values():
        raise Usage(
            "NO_BRIDGE_CAP",
            f"--bridge {symbol}: nothing of it may leave",
            f"add --cap {symbol} PER_TX PER_DAY",
        )
    if len(set(told.values())) > 1:  # the same quantities in other base units
        raise Usage("UNEQUAL_DECIMALS", f"--bridge {symbol}: its tokens have different decimals", "leave it out")  # fmt: skip
    if len(found) < 2:
        raise Usage("NO_BRIDGE", f"--bridge {symbol}: it is on one chain only", "leave it out")
    for chain in chains:
        here = chain["chain_id"]
        if here not in found:
            continue
        pool = SPOKE_POOLS[here]
        chain["contracts"][pool] = policy_bridge.KIND
        if pool not in chain["spenders"]:
            chain["spenders"].append(pool)
        chain.setdefault("bridges", []).extend(
            {
                "to": there,
                "give": found[here],
                "receive": token,
                "recipient": chain["safe"],
                "max_fee_bps": fee_bps,
            }
            for there, token in found.items()
            if there != here
        )


def _cap(pair: tuple[int, int]) -> dict[str, str]:
    return {"per_tx_raw": str(pair[0]), "per_day_raw": str(pair[1])}


def write(path: Path, data: Mapping[str, Any]) -> None:
    """For the signer's user alone; never over another. Raises Usage FILE_EXISTS, SIGNER_CONFIG_UNWRITABLE."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Usage(
            "FILE_EXISTS",
            f"{path} is there already: what may be signed is not changed by a command",
            "edit it, or move it away first, as the signer's user",
        ) from None
    except OSError as error:
        raise Usage("SIGNER_CONFIG_UNWRITABLE", f"{path}: {error.strerror}", "name another: --config FILE") from None  # fmt: skip
    with os.fdopen(handle, "w") as out:
        out.write(json.dumps(data, indent=1) + "\n")
        out.flush()
        os.fsync(out.fileno())
