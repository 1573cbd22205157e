"""What Deribit itself answers to private/pme/simulate, less its risk vectors, which are beside: the example of its API reference (17 June 2024), and
an answer of the live exchange as somebody published it (15 February 2026). Figures only."""

from __future__ import annotations

from typing import Any


def _nine(*values: str) -> list[str]:
    """Each for three volatilities, which change nothing of a future."""
    return [value for value in values for _ in range(3)]


BTC: dict[str, Any] = {
    "model_params": {
        "currency_pair": {
            "btc_usd": {
                "extended_table_factor": "1", "m_inc": "0.00005", "min_volatility_for_shock_up": "0.5", "max_delta_shock": "0.1",
                "delta_total_liq_shock_threshold": "20000000", "volatility_range_down": "0.25", "volatility_range_up": "0.5",
                "long_term_vega_power": "0.13", "short_term_vega_power": "0.3", "price_range": "0.16",
            }
        },
        "currency": {
            "btc": {
                "max_offsetable_pnl": "0", "annualised_move_risk": "0.075", "extended_dampener": "100000", "min_annualised_move": "0.01",
                "haircut": "0", "equity_side_impact": "both", "pnl_offset": "0", "correlation_set": False,
            }
        },
        "general": {"mm_factor": "0.8", "buckets_count": "4", "vol_scenarios_count": "3", "timestamp": "1718619740501"},
    },
    "margins": {
        "btc": {
            "initial_margin_details": {
                "risk_matrix_margin_details": {
                    "delta_shock": "0", "roll_shock": "0.00315725898", "worst_case": "0.05968587238095239", "correlation_contingency": "0",
                    "worst_case_bucket": {"bucket": "1", "side": "left", "source": "standard", "index": "1"},
                },
                "risk_matrix_margin": "0.06284313098", "spot_margin": "0", "mmp_margin": "0.06", "open_orders_margin": "0.000018212",
            },
            "initial_margin": "0.122861343",
            "maintenance_margin": "0.050274504784",
        }
    },
    "aggregated_risk_vectors": {"btc_btc": {}},
    "portfolio": {"currency": {}, "position": {"BTC-PERPETUAL": "0.314538364", "BTC-28JUN24": "-0.001187534"}},
    "index_price": {"btc_usd": "65666.19"},
    "ticker": {
        "BTC-PERPETUAL": {"mark_price": "65910.57", "index_price": "65666.19"},
        "BTC-28JUN24": {"mark_price": "67371.75", "index_price": "65666.19"},
    },
}  # fmt: skip
BTC_MS = 1_718_619_740_501
BTC_VECTORS = {
    "BTC-PERPETUAL": (
        _nine("-0.05991206933333334", "-0.04289159509090909", "-0.027351162086956524", "-0.013105765166666668", "0",
              "0.012097629384615385", "0.023299138074074074", "0.033700538999999995", "0.043384601931034494"),
        ["-0.05991206933333334"] * 2 + ["0.04338460193103449"] * 6,
    ),
    "BTC-28JUN24": (
        _nine("0.0002261969523809524", "0.00016193645454545456", "0.00010326382608695652", "0.00004948058333333334", "0",
              "-0.00004567438461538462", "-0.00008796548148148148", "-0.0001272357857142857", "-0.00016379779310344832"),
        ["0.0002261969523809524"] * 2 + ["-0.0001637977931034483"] * 6,
    ),
}  # fmt: skip
"""By contract: (what it gains in the matrix, each of nine moves at three volatilities; at each far move, before it is dampened)."""

ETH: dict[str, Any] = {
    "ticker": {"ETH-PERPETUAL": {"index_price": "1949.34", "mark_price": "1949.49"}},
    "index_price": {"eth_usd": "1949.34"},
    "portfolio": {"position": {"ETH-PERPETUAL": "-0.999487053"}, "currency": {}},
    "margins": {
        "eth": {
            "maintenance_margin": "0.125969249812",
            "initial_margin": "0.157461562",
            "initial_margin_details": {
                "open_orders_margin": "0", "mmp_margin": "0", "spot_margin": "0", "risk_matrix_margin": "0.157461562265",
                "risk_matrix_margin_details": {
                    "correlation_contingency": "0", "worst_case": "0.15246412672881357", "roll_shock": "0.004997435265", "delta_shock": "0",
                    "worst_case_bucket": {"index": "25", "source": "standard", "bucket": "9", "side": "right"},
                },
            },
        }
    },
    "aggregated_risk_vectors": {"eth_eth": {}},
    "model_params": {
        "general": {"timestamp": "1771197609587", "mm_factor": "0.8", "buckets_count": "4", "vol_scenarios_count": "3"},
        "currency": {
            "eth": {
                "min_annualised_move": "0.005", "annualised_move_risk": "0.05", "pnl_offset": "0.6", "correlation_set": False,
                "equity_side_impact": "both", "haircut": "0", "extended_dampener": "200000", "max_offsetable_pnl": "20000000",
            }
        },
        "currency_pair": {
            "eth_usd": {
                "price_range": "0.18", "m_inc": "0.000004", "delta_total_liq_shock_threshold": "20000000", "max_delta_shock": "0.1",
                "min_volatility_for_shock_up": "0.5", "volatility_range_up": "0.4", "volatility_range_down": "0.25",
                "extended_table_factor": "1", "short_term_vega_power": "0.3", "long_term_vega_power": "0.13",
            }
        },
    },
}  # fmt: skip
ETH_MS = 1_771_197_609_587
ETH_VECTORS = {
    "ETH-PERPETUAL": (
        _nine("0.21939959699999997", "0.155989308849711", "0.09885036787912087", "0.04709624857068063", "0", "-0.04304011233014354",
              "-0.08252645391743119", "-0.11888171996035243", "-0.15246412672881357"),
        ["0.21939959699999997"] * 2 + ["-0.15246412672881357"] * 6,
    ),
}  # fmt: skip
