"""The private roads of a home that leaked: one small file beside its journal. Every process that starts leaves them out of what is told.

Their orders are still cancelled there: who holds something of ours is asked to drop it, whatever he is worth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from agent.domain.errors import Halt


class LeakyRoads:
    """`{"eip155:1": {"titan": "why"}}`. Raises Halt LEAKY_ROADS_UNREADABLE, LEAKY_ROADS_UNWRITABLE."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, journal: Path) -> LeakyRoads:
        """Those of the home whose journal this is."""
        return cls(journal.parent / "LEAKY-RELAYS.json")

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            told = json.loads(self.path.read_text())
            return {str(c): {str(n): str(w) for n, w in roads.items()} for c, roads in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise Halt(
                "LEAKY_ROADS_UNREADABLE",
                f"{self.path} cannot be read ({type(error).__name__}): which relays leaked is not known",
                "put it right; removing it lets every relay be used again",
            ) from None

    def of(self, chain_id: int) -> Mapping[str, str]:
        """Why, by the road's name."""
        return self._read().get(f"eip155:{chain_id}", {})

    def add(self, chain_id: int, road: str, why: str) -> None:
        told = self._read()
        told.setdefault(f"eip155:{chain_id}", {})[road] = why
        self._write(told)

    def forget(self, chain_id: int, road: str) -> bool:
        """Whether it was among them."""
        told = self._read()
        gone = told.get(f"eip155:{chain_id}", {}).pop(road, None) is not None
        if gone:
            self._write(told)
        return gone

    def _write(self, told: Mapping[str, Mapping[str, str]]) -> None:
        fresh = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(told, indent=1) + "\n")
            fresh.replace(self.path)
        except OSError as error:
            raise Halt(
                "LEAKY_ROADS_UNWRITABLE",
                f"{self.path} cannot be written: {error.strerror}",
                "take the relay out of [[chains.relays]] by hand",
            ) from None
