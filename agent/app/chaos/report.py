"""What `fairlead chaos submission|exchange|rescue` answer: FORMATS, "Chaos doors"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """`count` cases of `seed`; each violation has `case`, `rule`, `story`; `took_s` by the wall's clock."""

    kind: str
    seed: int
    count: int
    violations: list[dict[str, Any]] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "count": self.count,
            "violations": self.violations,
            "counters": dict(self.counters),
            "took_s": round(self.took_s, 1),
        }
