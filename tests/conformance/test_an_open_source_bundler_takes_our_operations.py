"""Alto, a bundler of others, as the judge: it estimates, takes, bundles and refuses what our client builds as ours does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import custody as c
import pytest
from alto_support import alto
from userop_support import open_safe_world, sale

from chains.bundler import Seen
from chains.devnet.funding import give_eth, give_token, token_balance
from chains.devnet.service import Status
from chains.errors import FairleadError
from chains.types import Address
from chains.userops import priced, replacement_fees, user_op_hash
from contracts.hashing import keccak
from keys.curve import SigningKey

pytestmark = [pytest.mark.devnet, pytest.mark.full]


@pytest.mark.timeout(600)
async def test_alto_agrees(devnet: Status, bundler_of_chain_1: tuple[str, str], tmp_path: Path) -> None:
    cheat_url = devnet.cheat_urls[1]
    executor, utility = keccak(b"executor"), keccak(b"utility")
    for key in (executor, utility):
        give_eth(cheat_url, SigningKey(key).address, 100 * c.ETH)
    with alto(cheat_url, tmp_path, executor, utility) as (url, account):
        async with open_safe_world(cheat_url, *bundler_of_chain_1) as ours:
            wallet = ours.safe_with_module(11)
            async with open_safe_world(cheat_url, url, account, debug=False) as theirs:
                await theirs.bundler.check()
                # Estimates: theirs is enough, and ours is within a factor of two of it in every limit.
                op = theirs.operation(wallet, *sale(wallet, c.ETH, 2_900 * 10**6))
                a, b = await ours.estimated(op), await theirs.estimated(op)
                for name in ("call_gas", "verification_gas", "pre_verification_gas"):
                    assert 0.5 < getattr(a, name) / getattr(b, name) < 2, (name, a, b)
                signed = theirs.signed(b)
                sent = await theirs.bundler.send(signed)
                assert sent.op_hash == user_op_hash(1, signed)
                got = await theirs.settled(sent)
                assert got.success and token_balance(theirs.rpc, c.USDC, wallet) > 2_900 * 10**6
                told = await theirs.endpoint.call("eth_getUserOperationReceipt", [sent.op_hash])
                assert int(told["actualGasCost"], 16) == got.gas_cost_wei and told["success"] is True
                indices = {int(log["logIndex"], 16) for log in told["logs"]}
                assert got.logs and {log.log_index for log in got.logs} <= indices
                assert await theirs.bundler.hint(sent.op_hash) == got.tx_hash
                # A Safe that does not stand yet.
                born = theirs.unborn(theirs.operation(Address(c.SAFE), *sale(c.SAFE, c.ETH)), 12)
                made = replace(
                    born, call_data=theirs.operation(born.sender, *sale(born.sender, c.ETH)).call_data
                )
                give_eth(cheat_url, born.sender, c.ETH)
                give_token(cheat_url, c.WETH, born.sender, c.ETH)
                assert (await theirs.done(made)).success
                # Refusals carry the same verbs.
                nonce = await theirs.bundler.next_nonce(wallet)
                again = replace(await theirs.estimated(replace(op, nonce=nonce)), nonce=nonce)
                good = theirs.signed(again)
                bent = replace(good, call_gas=good.call_gas + 1)
                for bad in (bent, theirs.signed(replace(again, nonce=nonce + 5))):
                    codes = []
                    for world in (ours, theirs):
                        with pytest.raises(FairleadError) as caught:
                            await world.bundler.send(bad)
                        codes.append((type(caught.value), caught.value.code))
                    assert codes[0] == codes[1], codes
                assert await theirs.bundler.lookup(user_op_hash(1, bent), sent.at_block) is Seen.UNKNOWN
                # Taken by ours as it was built for theirs.
                bumped = ours.signed(priced(again, replacement_fees(again.fees)))
                assert (await ours.settled(await ours.bundler.send(bumped))).success
