"""What stands on a devnet chain, and how genuine each contract is.

exact          the address is reproduced by CREATE2 over the code, or the bytes are those of a published deployment
genuine-build  the official package's bytecode, placed at the address by its real deployer's nonce or by running its constructor there
mock           ours or a package's test double, with the real interface
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Label = Literal["exact", "genuine-build", "mock"]


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract of the devnet: `chain` is the EIP-155 id, `address` checksummed, `why` one line behind the label."""

    chain: int
    name: str
    address: str
    label: Label
    why: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)
