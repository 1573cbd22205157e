"""eth_account's own derivation, as the referee of the fake device's."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from eth_account import Account
    from eth_account.hdaccount import seed_from_mnemonic


def derive_by_eth_account(mnemonic: str, path: str) -> tuple[bytes, bytes]:
    """(seed, private key at `path`)."""
    Account.enable_unaudited_hdwallet_features()
    return seed_from_mnemonic(mnemonic, ""), bytes(Account.from_mnemonic(mnemonic, account_path=path).key)
