"""What a wallet's transaction takes around its swaps, in gas: the owners' batch, the agent's own through the Gate, a rollup's data."""

from __future__ import annotations

from dataclasses import replace

from agent.market.view import GasState

OVERHEAD_GAS, OVERHEAD_PER_LEG = 233_000, 5_000
"""What a trade through Roles and Gate takes around its swaps; scripts/bench.d/agent_road.py measures it."""


def overhead_gas(legs: int) -> int:
    """What a Safe's batch costs around its swaps: two signatures, the approvals, Permit2 and the router. Measured on the
    devnet's genuine contracts: 111,000 to 121,000 with one and two legs."""
    return 120_000 + 5_000 * legs


def around_gas(gas: GasState | None, legs: int) -> int:
    """What a wallet's transaction takes around so many swaps as the market has it, data of a rollup included."""
    return overhead_gas(legs) if gas is None else gas.tx_gas + gas.tx_gas_per_leg * legs


def through_the_gate(gas: GasState) -> GasState:
    """What the agent's own transaction takes in the place of the owners'; what a rollup charges for data stays."""
    once = overhead_gas(0)
    data, each = gas.tx_gas - once, gas.tx_gas_per_leg - (overhead_gas(1) - once)
    return replace(gas, tx_gas=OVERHEAD_GAS + max(data, 0), tx_gas_per_leg=OVERHEAD_PER_LEG + max(each, 0))
