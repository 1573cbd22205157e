"""A Safe transaction in plain words, by this installation's own knowledge of addresses: what every owner and every share's holder reads. Pure."""

from __future__ import annotations

from chains.types import Address
from contracts.decode import to_leaves
from contracts.multisend import Part
from keys import landmarks
from keys.policy_settings import OFFICIAL_MULTISEND_CALL_ONLY
from keys.safe import SafeTx
from keys.sentences import Tokens, describe


def sentences_of(chain_id: int, wallet: Address, tx: SafeTx, tokens: Tokens) -> list[str]:
    """Each leaf of the transaction as a sentence. Raises Usage or Denied where it cannot be decoded."""
    known = {a: "multi_send" for a in OFFICIAL_MULTISEND_CALL_ONLY} | {a: "erc20" for a in tokens}
    known |= landmarks.contracts(chain_id) | {wallet: "safe"}
    leaves = to_leaves(Part(tx.to, tx.value, tx.data), known, tx.operation)
    return describe(
        chain_id, wallet, tx, leaves, tokens, landmarks.names(chain_id), landmarks.chain(chain_id)
    )
