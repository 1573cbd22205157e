"""An accounts/1 document with one account of every kind of model, each a little different from the others."""

from __future__ import annotations

from typing import Any

RAY = 10**27
CHAIN, CEX = "eip155:1", "cex:any"
WETH, USDC, DAI, WSTETH = (f"{CHAIN}/erc20:0x{n:040x}" for n in (1, 2, 3, 4))
PERP = "cex:any/ETH"


def reserve(asset: str, px: int, **given: Any) -> dict[str, Any]:
    return {
        "asset": asset, "price_1e8": str(px), "ltv_bps": 8000, "liquidation_threshold_bps": 8250, "liquidation_bonus_bps": 10500,
        "collateral_enabled": True, "last_update": 1_700_000_000, "scaled_supply_raw": "0", "liquidity_index_1e27": str(RAY),
        "liquidity_rate_1e27": "0", "scaled_debt_raw": "0", "borrow_index_1e27": str(RAY), "borrow_rate_1e27": "0", **given,
    }  # fmt: skip


def aave(name: str, model: str, debt: int) -> dict[str, Any]:
    rows = [
        reserve(WETH, 3_000 * 10**8, scaled_supply_raw=str(10 * 10**18)),
        reserve(USDC, 10**8, scaled_debt_raw=str(debt * 10**6)),
    ]
    return {"id": name, "model": model, "chain": CHAIN, "emode": 0, "reserves": rows}


def every_model() -> dict[str, Any]:
    """At 3,000 dollars a coin; each of them falls at another price."""
    comet = {
        "id": "comet", "model": "compound_v3", "chain": CHAIN, "base": USDC, "base_price_1e8": str(10**8),
        "principal_raw": str(-19_000 * 10**6), "borrow_index_1e15": str(10**15), "supply_index_1e15": str(10**15),
        "borrow_rate_1e18": "1000000000", "last_update": 1_700_000_000,
        "collateral": [
            {"asset": WETH, "balance_raw": str(10 * 10**18), "price_1e8": str(3_000 * 10**8), "borrow_cf_1e18": str(8 * 10**17),
             "liquidate_cf_1e18": str(85 * 10**16), "liquidation_factor_1e18": str(95 * 10**16)}
        ],
    }  # fmt: skip
    morpho = {
        "id": "morpho", "model": "morpho_blue", "chain": CHAIN, "loan": USDC, "collateral": WSTETH, "lltv_1e18": str(86 * 10**16),
        "oracle_price_1e36": str(3_600 * 10**24), "collateral_raw": str(10 * 10**18), "borrow_shares_raw": str(21_000 * 10**12),
        "total_borrow_assets_raw": str(10**12), "total_borrow_shares_raw": str(10**18), "borrow_rate_1e18": "0",
        "last_update": 1_700_000_000,
    }  # fmt: skip
    vault = {
        "id": "vault", "model": "maker_vault", "chain": CHAIN, "collateral": WETH, "debt": DAI, "ink_1e18": str(10 * 10**18),
        "art_1e18": str(12_000 * 10**18), "rate_1e27": str(RAY), "duty_1e27": str(RAY), "last_update": 1_700_000_000,
        "price_1e18": str(3_000 * 10**18), "mat_1e27": str(15 * 10**26),
    }  # fmt: skip
    position = {"asset": PERP, "entry_px": "3000", "mark_px": "3000"}
    perps = {
        "id": "perps", "model": "hyperliquid", "chain": CEX, "balance": "4000",
        "positions": [position | {"size": "5", "tiers": [["0", "25"], ["1000000", "15"]]}],
    }  # fmt: skip
    usdm = {
        "id": "usdm", "model": "binance_usdm", "chain": CEX, "balance": "2500",
        "positions": [position | {"size": "-5", "brackets": [["0", "0.004", "0"]]}],
    }  # fmt: skip
    unified = {
        "id": "unified", "model": "binance_pm", "chain": CEX,
        "assets": [{"asset": PERP, "equity": "3", "loan": "2", "index_px": "3000", "collateral_rate": "0.95"}], "positions": [],
    }  # fmt: skip
    options = {
        "id": "options", "model": "deribit_pm", "chain": CEX, "index": PERP, "index_px": "3000", "equity": "9000",
        "futures": [["1", "3000"]], "options": [["-10", "P", "2400", "30", "0.7", "3000"]],
    }  # fmt: skip
    trove = {
        "id": "trove", "model": "liquity_v2", "chain": CHAIN, "collateral": WETH, "debt": DAI, "coll_1e18": str(10 * 10**18),
        "debt_1e18": str(20_500 * 10**18), "annual_rate_1e18": str(5 * 10**16), "last_update": 1_700_000_000,
        "price_1e18": str(3_000 * 10**18), "mcr_1e18": str(11 * 10**17),
    }  # fmt: skip
    batch = {
        "debt_1e18": str(10**24), "annual_rate_1e18": str(5 * 10**16), "management_fee_1e18": str(10**16),
        "last_update": 1_700_000_000, "total_shares": str(9 * 10**23),
    }  # fmt: skip
    batched = {key: value for key, value in trove.items() if key not in ("debt_1e18", "annual_rate_1e18", "last_update")}  # fmt: skip
    batched |= {"id": "batched", "batch": batch, "batch_shares": str(19_000 * 10**18)}
    gmx = {
        "id": "gmx", "model": "gmx_v2", "chain": CHAIN,
        "positions": [
            {"asset": WETH, "collateral": USDC, "long": True, "size_usd_1e30": str(30_000 * 10**30), "size_tokens_raw": str(10 * 10**18),
             "collateral_raw": str(7_000 * 10**6), "index_price_raw": str(3_000 * 10**12), "collateral_price_raw": str(10**24),
             "min_collateral_factor_1e30": str(5 * 10**27), "min_collateral_usd_1e30": str(5 * 10**30),
             "position_fee_factor_1e30": str(7 * 10**26)},
        ],
    }  # fmt: skip
    band = {"x_raw": "0", "y_raw": str(10**18), "shares": str(10**18), "total_shares": str(10**18)}
    llama = {
        "id": "llama", "model": "crvusd", "chain": CHAIN, "collateral": WETH, "debt": DAI, "debt_raw": str(20_000 * 10**18),
        "rate_1e18": "1500000000", "last_update": 1_700_000_000, "liquidation_discount_1e18": str(6 * 10**16), "a": 100,
        "price_1e18": str(3_000 * 10**18), "p_oracle_up_1e18": str(2_700 * 10**18), "first_band": 12, "active_band": 0,
        "bands": [band] * 10,
    }  # fmt: skip
    asset = {"asset": PERP, "equity": "3", "loan": "0", "index_px": "3000"}
    wallet = {"asset": USDC, "equity": "-6500", "loan": "6500", "index_px": "1", "loan_rate": "0.04"}
    haircut = [["0", "0.95"], ["2", "0.9"]]
    linear = position | {
        "size": "1",
        "brackets": [["0", "0.005", "0"]],
        "settles": USDC,
        "close_fee_rate": "0.0006",
    }
    uta = {
        "id": "uta", "model": "bybit_uta", "chain": CEX, "assets": [asset | {"collateral_rate": haircut}, wallet],
        "positions": [linear], "order_loss": "12.5",
    }  # fmt: skip
    okx = {
        **uta,
        "id": "okx",
        "model": "okx_multi",
        "assets": [asset | {"collateral_rate": "0.95"}, wallet | {"equity": "-6000"}],
    }
    derive = {
        "id": "derive", "model": "derive_pm", "chain": CEX, "parameters": {}, "index": PERP, "index_px": "3000", "cash": "5000",
        "perp": {"size": "2", "mark_px": "3000"},
        "expiries": [{"expires": 1_702_592_000, "forward_px": "3010", "options": [["-4", "P", "2400", "0.7"]]}],
    }  # fmt: skip
    dydx = {
        "id": "dydx", "model": "dydx_v4", "chain": CEX, "quote_raw": str(-11_000 * 10**6),
        "positions": [
            {"asset": PERP, "quantums": "5000000000", "atomic_resolution": -9, "oracle_price": "3000000000", "price_exponent": -6,
             "initial_margin_ppm": 20_000, "maintenance_fraction_ppm": 600_000}
        ],
    }  # fmt: skip
    paradex = {
        "id": "paradex", "model": "paradex_pm", "chain": CEX, "parameters": {}, "index": PERP, "index_px": "3000", "equity": "4000",
        "perps": [["2", "3003", "0.0001"]], "options": [["-4", "P", "2400", "30", "0.7", "39.5"]],
    }  # fmt: skip
    standard = {
        "id": "standard", "model": "deribit_sm", "chain": CEX, "settle": PERP, "settle_px": "3000", "equity": "4",
        "positions": [{"asset": PERP, "size": "9000", "mark_px": "3000", "maintenance": "0.06", "inverse": True}],
    }  # fmt: skip
    return {
        "fairlead": "accounts/1",
        "at": {CHAIN: {"timestamp": 1_700_000_100}, CEX: {"timestamp": 1_700_000_100}},
        "assets": [
            {"id": asset, "symbol": symbol, "decimals": decimals}
            for asset, symbol, decimals in (
                (WETH, "WETH", 18), (USDC, "USDC", 6), (DAI, "DAI", 18), (WSTETH, "wstETH", 18), (PERP, "ETH", 8),
            )
        ],
        "accounts": [
            aave("spark", "aave_v3_0", 20_000), aave("aave", "aave_v3_6", 21_000), comet, morpho, vault, perps, usdm, unified, options,
            trove, batched, gmx, uta, okx, llama, derive, dydx, paradex, standard,
        ],
    }  # fmt: skip
