"""Placing contracts on an Anvil chain at chosen addresses. Four routes, tried in this order of fidelity:

`at_nonce`  the real deployer's account at the real nonce: the genuine CREATE
`create2`   the real CREATE2 factory with the real salt
`etch`      the constructor run at the address itself, for proxies, vaults and second chains
`set_code`  published runtime code, for contracts without storage
"""

from __future__ import annotations

import time
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.devnet.addresses import Chain
from chains.devnet.artifacts import Artifact
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.manifest import Contract, Label
from chains.errors import Halt

DEPLOYER = "0xFA171EAd00000000000000000000000000000001"
_RICH = hex(10**12 * 10**18)
_GAS = hex(30_000_000)
_GAS_PRICE_WEI = 20 * 10**9


class Builder:
    """One chain under construction: `contracts` collects the manifest. Every failure is Halt: a build has no user input."""

    def __init__(self, rpc: Rpc, chain: Chain, gas_price_wei: int = _GAS_PRICE_WEI) -> None:
        """`gas_price_wei` shows in the chain's fee history, which bids are made by: low where somebody works there already."""
        self.rpc, self.chain, self._gas_price = rpc, chain, hex(gas_price_wei)
        self.contracts: list[Contract] = []
        self._rich: set[str] = set()
        rpc("anvil_autoImpersonateAccount", True)

    def record(self, name: str, address: str, label: Label, why: str) -> str:
        address = to_checksum_address(address)
        self.contracts.append(Contract(self.chain.id, name, address, label, why))
        return address

    def send(
        self,
        to: str | None,
        data: bytes,
        *,
        value: int = 0,
        sender: str = DEPLOYER,
        nonce: int | None = None,
    ) -> dict[str, Any]:
        """Mine one transaction and return its receipt."""
        self.fund(sender)
        tx = {
            "from": sender,
            "data": "0x" + data.hex(),
            "value": hex(value),
            "gas": _GAS,
            "gasPrice": self._gas_price,
        }
        if to is not None:
            tx["to"] = to
        if nonce is not None:
            tx["nonce"] = hex(nonce)
        tx_hash = self.rpc("eth_sendTransaction", tx)
        receipt: dict[str, Any] | None = None
        for pause in (0.0, *(0.002 * 1.5**n for n in range(20))):
            time.sleep(pause)
            receipt = self.rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                break
        if receipt is None:
            raise Halt("DEVNET_BUILD", f"{tx_hash} was not mined")
        if receipt["status"] != "0x1":
            self.call(to, data, value=value, sender=sender)  # says why
            raise Halt("DEVNET_BUILD", f"the transaction to {to} reverted")
        return receipt

    def call(self, to: str | None, data: bytes, *, value: int = 0, sender: str = DEPLOYER) -> bytes:
        tx = {"from": sender, "data": "0x" + data.hex(), "value": hex(value), "gas": _GAS}
        if to is not None:
            tx["to"] = to
        return bytes.fromhex(self.rpc("eth_call", tx, "latest")[2:])

    def do(
        self, contract: Artifact, to: str, function: str, *args: Any, value: int = 0, sender: str = DEPLOYER
    ) -> None:
        """Mine one call of `function`."""
        self.send(to, contract.call(function, *args), value=value, sender=sender)

    def read(self, contract: Artifact, to: str, function: str, *args: Any, sender: str = DEPLOYER) -> Any:
        """The one output of a view, or the tuple of several."""
        data = self.call(to, contract.call(function, *args), sender=sender)
        values = contract.read(function, data, len(args))
        return values[0] if len(values) == 1 else values

    def fund(self, address: str) -> None:
        if address not in self._rich:
            self.rpc("anvil_setBalance", address, _RICH)
            self._rich.add(address)

    def deploy(self, creation: bytes, *, sender: str = DEPLOYER) -> str:
        """A plain CREATE at whatever address follows."""
        return to_checksum_address(self.send(None, creation, sender=sender)["contractAddress"])

    def at_nonce(self, creation: bytes, deployer: str, nonce: int, expect: str) -> str:
        """A CREATE by a deployer's historical nonce."""
        for pause in (0.0, 0.05, 0.2, 1.0):
            time.sleep(pause)
            self.rpc("anvil_setNonce", deployer, hex(nonce))
            try:
                # Named, since Anvil's own choice counts what still leaves its pool; refused, nothing has happened.
                receipt = self.send(None, creation, sender=deployer, nonce=nonce)
            except RpcError as refused:
                if "nonce too low" not in refused.message:
                    raise
            else:
                return self._expect(to_checksum_address(receipt["contractAddress"]), expect)
        raise Halt("DEVNET_BUILD", f"the node takes no transaction of {deployer} with nonce {nonce}")

    def create2(self, creation: bytes, factory: str, salt: bytes, expect: str) -> str:
        digest = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + keccak(creation))
        self._expect(to_checksum_address(digest[12:]), expect)
        if self.rpc("eth_getCode", expect, "latest") == "0x":
            self.send(factory, salt + creation)
        return expect

    def etch(self, creation: bytes, address: str, *, sender: str = DEPLOYER) -> str:
        """Run the constructor at `address`: once to learn the runtime code, once so that its writes, creations and logs stay."""
        self.fund(sender)
        balance = self.rpc("eth_getBalance", address, "latest")
        self.rpc("anvil_setCode", address, "0x" + creation.hex())
        self.rpc("anvil_setNonce", address, "0x1")
        runtime = self.call(address, b"", sender=sender)
        self.send(address, b"", sender=sender)
        self.rpc("anvil_setCode", address, "0x" + runtime.hex())
        if not runtime or self.rpc("eth_getBalance", address, "latest") != balance:
            raise Halt("DEVNET_BUILD", f"the constructor at {address} left no code")
        return to_checksum_address(address)

    def set_code(self, address: str, runtime: str) -> str:
        self.rpc("anvil_setCode", address, runtime)
        return to_checksum_address(address)

    def _expect(self, got: str, expect: str) -> str:
        if got != expect:
            raise Halt("DEVNET_BUILD", f"a contract came to stand at {got} instead of {expect}")
        return got
