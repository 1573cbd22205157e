"""Black-76 on arrays: prices of options on a forward, without discounting, in the forward's own money.

Formula: Black (1976). The in-the-money side is taken from put-call parity, so that what is computed is the small number. Floats:
figures that rank and warn; what becomes a price or a size is rounded where it does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ERFC = np.frompyfunc(math.erfc, 1, 1)


def normal_cdf(x: Floats) -> Floats:
    """Φ(x), relative accuracy kept in the lower tail."""
    found: Floats = np.asarray(_ERFC(-x / math.sqrt(2.0)), dtype=np.float64) / 2.0
    return found


def price(forward: Floats, strike: Floats, vol: Floats, years: Floats, is_call: NDArray[np.bool_]) -> Floats:
    """Option prices; arrays broadcast. Where vol or time is zero, what exercise is worth now. Forward and strike are above zero."""
    forward, strike, vol, years, is_call = np.broadcast_arrays(forward, strike, vol, years, is_call)
    spread = vol * np.sqrt(np.maximum(years, 0.0))
    live = spread > 0
    safe = np.where(live, spread, 1.0)
    d1 = np.log(forward / strike) / safe + safe / 2.0
    d2 = d1 - safe
    call_side = forward >= strike
    # Out of the money: the put where the forward is above the strike, else the call.
    put = strike * normal_cdf(-d2) - forward * normal_cdf(-d1)
    call = forward * normal_cdf(d1) - strike * normal_cdf(d2)
    out_of_money = np.where(live, np.maximum(np.where(call_side, put, call), 0.0), 0.0)
    inside = np.where(is_call, forward - strike, strike - forward)
    found: Floats = out_of_money + np.maximum(inside, 0.0)
    return found
