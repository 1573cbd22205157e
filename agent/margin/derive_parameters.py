"""PMRM_2's parameters: those of the contract's published portfolio cases (BTC), and those an accounts/1 file gives. Pure.

The contract's owner may change them at any time: a file that was written from the chain's getters gives them all. Bounds are those the
contract's setters keep. Source of the figures: derivexyz/v2-core, test/risk-managers/unit-tests/PMRM_2/portfolio_cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as slots_of
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.derive_black import UNIT
from agent.margin.derive_matrix import Parameters, Scenario, Vol
from agent.margin.exchange import number

MOST_SCENARIOS = 40
_INSIDE = (("1.135", "0.865"), ("1.09", "0.91"), ("1.045", "0.955"), ("1", "1"))
SCENARIOS: tuple[tuple[str, str, str], ...] = (
    ("1.18", "up", "1"),
    *((spot, vol, "1") for pair in _INSIDE for spot in dict.fromkeys(pair) for vol in ("down", "none", "up")),
    ("0.82", "up", "1"),
    ("0.34", "up", "0.054545454545454545"),
    ("0.67", "up", "0.109090909090909091"),
    ("1.5", "up", "0.072"),
    ("2", "up", "0.036"),
    ("3", "up", "0.018"),
    ("4", "up", "0.012"),
    ("1", "linear", "1"),
    ("1", "abs", "1"),
)
"""[spot times, volatility, part that counts]."""
PUBLISHED = {
    "im_factor": "1", "mm_factor": "0.8", "short_rate_mult": "0.5", "long_rate_mult": "1", "short_rate_add": "0.08", "long_rate_add": "0.08",
    "short_discount": "1.04", "long_discount": "0.95", "vol_range_up": "0.5", "vol_range_down": "0.275", "short_term_power": "0.3",
    "long_term_power": "0.13", "min_vol_up": "0.45", "linear_cap": "0.15", "abs_cap": "0.15", "linear_c": "-0.05", "abs_c": "-0.05",
    "min_k_star": "0.01", "width_scale": "4", "vol_static": "0.6", "vol_scale": "-0.1", "basis_up": "1.045", "basis_down": "0.955",
    "basis_add": "0.5", "basis_mult": "2", "peg_loss_threshold": "0.98", "peg_loss_factor": "2", "confidence_threshold": "0.55",
    "confidence_margin": "1", "mm_perp": "0.015", "im_perp": "0.005", "mm_option": "0.003", "im_option": "0.002",
}  # fmt: skip
_DAY_S = 86_400
_BOUNDS = {
    "im_factor": ("0.5", "10"), "mm_factor": ("0.5", "10"), "short_discount": ("0", "4"), "long_discount": ("0", "4"),
    "min_vol_up": ("0", "20"), "linear_c": ("-10", "10"), "abs_c": ("-10", "10"), "vol_scale": ("-20", "20"), "basis_up": ("1", "3"),
    "basis_down": ("0", "1"), "basis_add": ("0", "20"), "basis_mult": ("0", "20"), "peg_loss_threshold": ("0", "100"),
    "confidence_threshold": ("0", "1"), "confidence_margin": ("0", "20"), "mm_perp": ("0", "3"), "im_perp": ("0", "3"),
    "mm_option": ("0", "2"), "im_option": ("0", "2"),
}  # fmt: skip


def unit(raw: Mapping[str, Any], key: str, where: str, *, default: str | None = None) -> int:
    """A decimal string as the chain's 18-decimal integer. Raises Usage where it has more decimals than the chain."""
    found = number(raw, key, where, default=default) * UNIT
    if found.denominator != 1:
        raise fields.wrong(f"{where}: {key} is {raw[key]!r}, with more than the chain's 18 decimals")
    return int(found)


def read_parameters(raw: Any, where: str) -> Parameters:
    """Raises Usage naming the key that is unknown, malformed or out of the contract's own bounds."""
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    names = {f.name for f in slots_of(Parameters)}
    fields.only(raw, where, names)
    given: dict[str, Any] = {}
    for name, published in PUBLISHED.items():
        given[name] = unit(raw, name, where, default=published)
        low, high = (Fraction(x) * UNIT for x in _BOUNDS.get(name, ("0", "10")))
        if not low <= given[name] <= high:
            raise fields.wrong(f"{where}: {name} is {raw[name]!r}, which the contract would not take")
    given["dte_floor_s"] = fields.whole(raw, "dte_floor_s", where, default=_DAY_S)
    if not 1 <= given["dte_floor_s"] <= 400 * _DAY_S:
        raise fields.wrong(f"{where}: dte_floor_s is from 1 second to 400 days")
    rows = fields.rows(raw, "scenarios", where) if "scenarios" in raw else SCENARIOS
    if not 1 <= len(rows) <= MOST_SCENARIOS:
        raise fields.wrong(f"{where}: there are 1 to {MOST_SCENARIOS} scenarios")
    return Parameters(tuple(_scenario(row, f"{where}, scenario {n}") for n, row in enumerate(rows)), **given)


def _scenario(row: Any, where: str) -> Scenario:
    kinds = {vol.value: vol for vol in Vol}
    if not isinstance(row, list | tuple) or len(row) != 3 or row[1] not in kinds:
        raise fields.wrong(f"{where}: [spot, one of {', '.join(kinds)}, part that counts]")
    named = {"spot": row[0], "part": row[2]}
    found = Scenario(unit(named, "spot", where), kinds[row[1]], unit(named, "part", where))
    if found.spot < 0 or found.dampening < 0:
        raise fields.wrong(f"{where}: neither spot nor part is below zero")
    if found.vol in (Vol.LINEAR, Vol.ABS) and found.spot != UNIT:
        raise fields.wrong(f"{where}: a tilt leaves the spot at 1")
    return found
