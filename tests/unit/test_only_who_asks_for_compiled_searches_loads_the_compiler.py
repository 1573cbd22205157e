"""A single quote must not wait for a compiler: planning alone loads none, and who asks for one that is not there is told what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLANS = """
import sys
from agent.routing import warm
from agent.routing.engine import compiled
from chains.errors import Usage

from agent.app.clocked import timed_route
view, sold, bought = warm.market()
assert timed_route(view, sold, bought, 10**22).net_out_raw > 0
assert not compiled() and "numba" not in sys.modules
sys.modules["numba"] = None
try:
    warm.warm()
except Usage as told:
    print(told.code, "|", told.hint)
assert not compiled()
"""


def test_a_process_that_plans_has_no_compiler_unless_it_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANS], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "NO_COMPILER | install fairlead with its extra `fast`"
