"""On a mainnet-fork over Foundry of the devnet, the Safe is an ape account and Fairlead's signer signs for it."""

from __future__ import annotations

import ape
import pytest
from ape.exceptions import AccountsError, SignatureError

from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.funding import token_balance
from chains.devnet.rehearsal import safe_owners
from chains.types import Address, Call
from contracts.codec import encode
from keys.safe import exec_transaction, pack_signatures, safe_tx_hash

E18 = 10**18


def test_the_network_is_a_fork_of_chain_1_and_the_safe_an_account(networks, safe, accounts):
    assert networks.provider.network.name == "mainnet-fork" and networks.provider.name == "foundry"
    assert networks.provider.chain_id == 1
    assert ape.accounts[safe.address].alias == "fairlead-safe"
    assert safe.address not in [account.address for account in accounts]


def test_a_safe_transaction_that_fairlead_signed_executes(safe, weth, upstream):
    def there():
        nonce = upstream("eth_getStorageAt", safe.address, hex(5), "latest")
        wei = upstream("eth_getBalance", safe.address, "latest")
        return (
            nonce,
            wei,
            token_balance(upstream, weth.address, safe.address),
            safe_owners(upstream, safe.address),
        )

    original, held, wei, nonce = there(), weth.balanceOf(safe), safe.balance, safe.safe_nonce
    assert not {o.lower() for o in original[3].owners} & {o.lower() for o in safe.owners}
    receipt = weth.withdraw(3 * E18, sender=safe)
    assert not receipt.failed
    assert weth.balanceOf(safe) == held - 3 * E18
    assert safe.balance == wei + 3 * E18
    assert safe.safe_nonce == nonce + 1
    assert [log.src for log in receipt.decode_logs(weth.Withdrawal)] == [safe.address]
    assert there() == original


def test_one_signature_is_too_few_and_a_second_use_of_two_is_worth_nothing(
    safe, safe_contract, weth, accounts
):
    tx = safe.safe_tx([Call(Address(weth.address), encode("weth9", "withdraw", (E18,)))])
    signed = safe.signatures(tx)
    digest = safe_tx_hash(1, Address(safe.address), tx)
    packed = pack_signatures(digest, signed.values(), safe.owners, 2)
    head = (tx.to, tx.value, tx.data, tx.operation, 0, 0, 0, tx.gas_token, tx.refund_receiver)
    anybody = accounts[0]
    with ape.reverts("GS020"):
        safe_contract.execTransaction(*head, packed[:65], sender=anybody)
    with ape.reverts("GS026"):
        safe_contract.execTransaction(*head, packed[65:] + packed[:65], sender=anybody)
    before = weth.balanceOf(safe)
    safe_contract.execTransaction(*head, packed, sender=anybody)
    assert weth.balanceOf(safe) == before - E18
    with ape.reverts("GS026"):
        safe_contract.execTransaction(*head, packed, sender=anybody)
    assert weth.balanceOf(safe) == before - E18


def test_the_contract_hashes_what_the_signer_signed(safe, safe_contract, weth):
    tx = safe.safe_tx([Call(Address(weth.address), encode("weth9", "withdraw", (E18,)))])
    asked = (tx.to, tx.value, tx.data, tx.operation, 0, 0, 0, tx.gas_token, tx.refund_receiver, tx.nonce)
    assert bytes(safe_contract.getTransactionHash(*asked)) == safe_tx_hash(1, Address(safe.address), tx)
    owner = safe.owners[0]
    assert list(safe.signatures(tx, [owner])) == [owner]
    assert exec_transaction(tx, b"")[:4] == bytes(
        safe_contract.execTransaction.encode_input(*asked[:9], b"")[:4]
    )


def test_the_signer_refuses_a_transfer_to_a_stranger(safe, weth, accounts):
    held, nonce = weth.balanceOf(safe), safe.safe_nonce
    with pytest.raises(SignatureError, match="POLICY_RECIPIENT"):
        weth.transfer(accounts[1], E18, sender=safe)
    with pytest.raises(SignatureError, match="POLICY_"):
        safe.transfer(accounts[1], E18)
    assert (weth.balanceOf(safe), safe.safe_nonce) == (held, nonce)


def test_a_snapshot_takes_the_safe_back(safe, weth, chain):
    before = (weth.balanceOf(safe), safe.balance, safe.safe_nonce)
    snapshot = chain.snapshot()
    weth.withdraw(E18, sender=safe)
    assert (weth.balanceOf(safe), safe.balance, safe.safe_nonce) != before
    chain.restore(snapshot)
    assert (weth.balanceOf(safe), safe.balance, safe.safe_nonce) == before


def test_on_the_devnet_itself_its_own_signer_signs(networks, safe):
    """No owner is replaced there: the settings' signer is asked, and the transaction stands on the devnet."""
    rehearsed = set(safe.owners)
    with networks.ethereum.mainnet.use_provider("node"):
        account = ape.accounts.load("fairlead-safe")
        weth = ape.Contract(CHAINS[1].weth, abi=artifact("WETH9").abi)
        assert not rehearsed & set(account.owners)
        held, nonce = weth.balanceOf(account), account.safe_nonce
        assert not weth.withdraw(E18, sender=account).failed
        assert (weth.balanceOf(account), account.safe_nonce) == (held - E18, nonce + 1)
        with pytest.raises(AccountsError, match="forks only"):
            account.rehearse()


def test_elsewhere_nothing_is_signed(networks, safe):
    with networks.ethereum.local.use_provider("test"):
        with pytest.raises(AccountsError, match="neither a fork nor the devnet"):
            safe.transfer(safe.address, 1)
