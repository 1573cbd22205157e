"""A real threshold ECDSA library as the engine: made, used by each pair, renewed. It is the owner's own installation, under its own licence.

FAIRLEAD_DKLS names the folder of `@silencelaboratories/dkls-wasm-ll-node` (its licence forbids commercial use, so nothing here installs it).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import custody as c
import pytest
from eth_account import Account
from mpc_group import HERE, sharing

from chains.types import Address, Environment
from keys import curve, safe
from keys.signers import open_signer, read_spec

FOLDER = os.environ.get("FAIRLEAD_DKLS", "")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        not Path(FOLDER or "/nowhere").is_dir(), reason="FAIRLEAD_DKLS names no installation of the library"
    ),
]
RULES = {
    "chains": [1], "to": [c.SAFE], "max_value_wei": "0", "max_fee_wei": str(10**20), "safes": [c.SAFE],
    "messages": True, "ceremonies": True,
}  # fmt: skip


def test_each_pair_signs_before_and_after_a_refresh() -> None:
    node = shutil.which("node")
    assert node is not None
    engine = [node, str(HERE / "dkls" / "engine.cjs"), FOLDER]
    with sharing(rules=RULES, engine=engine, keygen=False) as shares:
        shares.timeout_s = 60
        address, _ = shares.coordinator().keygen()
        spec = {"kind": "mpc", "environment": "devnet", "address": address, **shares.options, "timeout_s": 60}
        for generation in (1, 2):
            for away in range(3):
                shares.stop(away, hard=True)
                signer = open_signer(read_spec(spec), Environment.DEVNET)
                typed = safe.typed(1, Address(c.SAFE), c.sell(nonce=away))
                assert curve.recover(typed.digest, signer.sign_typed(typed)) == address
                signed = signer.sign_transaction(c.outer(b"\x01" * 300, away))
                assert Account.recover_transaction(signed.raw) == address
                shares.start(away)
            if generation == 1:
                before = (shares.folder / "share-0").read_bytes()
                assert shares.coordinator().refresh() == (address, 2)
        # A part from before the refresh, its generation written up, does not go with the new ones.
        new = shares.vault(0)
        (shares.folder / "share-0").write_bytes(before)
        old = shares.vault(0)
        assert old.content.current and new.content.current
        assert old.content.current.secret.reveal() != new.content.current.secret.reveal()
