"""A relayer of the devnet's bridge: pays deposits out from its own money where the fee is right, and plays the pool that settles.

python -m chains.devnet.across_relayer --port PORT --rpc 1=http://… --rpc 8453=http://… [--every 1]

GET / on that port tells {relayer, paid, waiting, terms: {fee_bps, fixed_raw, min_raw, max_raw, seconds}}.

On the real network relayers compete, and the HubPool on chain 1 settles by bundles that anyone may dispute; here one account does both,
by cheat methods. It reads logs, believes nothing else, and never pays a deposit twice: the SpokePool itself refuses.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from chains.bridges.across import ABI, SPOKE_POOLS, Deposit, Terms, deposit_in
from chains.devnet.artifacts import artifact
from chains.devnet.deploy.across import NAMES, admin
from chains.devnet.funding import give_token, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at
from chains.errors import Denied, FairleadError, Retry, Usage
from chains.evm import from_hex, hash32
from chains.types import Address, Log
from contracts.codec import encode, topic
from contracts.hashing import keccak

RELAYER = "0xAC0550000000000000000000000000000000AC05"
TERMS = Terms(fee_bps=5, fixed_raw=0, min_raw=1, max_raw=10**30, seconds=4)


@dataclass
class Relayer:
    """`urls` are devnet chains' urls that answer cheat methods. `seen` is the last block looked at, by chain;
    `found` every deposit since, paid or not."""

    urls: Mapping[int, str]
    terms: Terms = TERMS
    seen: dict[int, int] = field(default_factory=dict)
    waiting: list[Deposit] = field(default_factory=list)
    bundles: dict[int, int] = field(default_factory=dict)
    paid: int = 0
    found: list[Deposit] = field(default_factory=list)

    def step(self) -> int:
        """Looks at every chain for new deposits and pays what it takes; how many it paid. A late or mean one is left to expire."""
        for chain in self.urls:
            new = self._new(chain)
            self.waiting, self.found = self.waiting + new, self.found + new
        paid, left = 0, list[Deposit]()
        for deposit in self.waiting:
            done = self.pay(deposit)
            paid += done is True
            if done is None:
                left.append(deposit)
        self.waiting = left
        self.paid += paid
        return paid

    def told(self) -> dict[str, Any]:
        """What it says of itself: amounts are decimal strings."""
        terms = {name: str(value) for name, value in asdict(self.terms).items()}
        return {"relayer": RELAYER, "paid": self.paid, "waiting": len(self.waiting), "terms": terms}

    def pay(self, deposit: Deposit) -> bool | None:
        """True once it is paid, False where this relayer never will, None where it may yet."""
        url = self.urls.get(deposit.destination)
        fee = -(-deposit.in_raw * self.terms.fee_bps // 10_000) + self.terms.fixed_raw
        if url is None or deposit.in_raw - deposit.out_raw < fee or not self._bound(deposit):
            return False
        with Rpc(url) as rpc:
            token, spoke = deposit.output_token, SPOKE_POOLS[deposit.destination]
            short = deposit.out_raw - token_balance(rpc, token, RELAYER)
            if short > 0:
                give_token(url, token, RELAYER, short)
            self._send(rpc, RELAYER, token, encode("erc20", "approve", (spoke, deposit.out_raw)))
            return self._send(
                rpc, RELAYER, spoke, encode(ABI, "fillV3Relay", (deposit.relay(), deposit.origin))
            )

    def _bound(self, deposit: Deposit) -> bool:
        return self.terms.min_raw <= deposit.in_raw <= self.terms.max_raw

    def _new(self, chain: int) -> list[Deposit]:
        with Rpc(self.urls[chain]) as rpc:
            head = int(rpc("eth_blockNumber"), 16)
            first = self.seen.get(chain, head) + 1 if chain in self.seen else 0
            self.seen[chain] = head
            if first > head:
                return []
            asked = {
                "address": SPOKE_POOLS[chain], "fromBlock": hex(first), "toBlock": hex(head),
                "topics": ["0x" + topic(ABI, "V3FundsDeposited").hex()],
            }  # fmt: skip
            return [deposit_in(chain, _log(raw)) for raw in rpc("eth_getLogs", asked)]

    # ------------------------------------------------------------------ the pool

    def give_back(self, deposit: Deposit) -> None:
        """The refund of an expired deposit, as a bundle of one leaf that the pool posts and anyone may execute."""
        with Rpc(self.urls[deposit.origin]) as rpc:
            code, spoke = artifact(NAMES[deposit.origin]), SPOKE_POOLS[deposit.origin]
            leaf = (0, deposit.origin, [deposit.in_raw], 0, deposit.input_token, [deposit.depositor])
            execute = code.call("executeRelayerRefundLeaf", self.bundles.get(deposit.origin, 0), leaf, [])
            # The root of one leaf is that leaf's hash: abi.encode of the struct, as the call itself carries it behind the bundle's number.
            bundle = execute[4:]
            at = int.from_bytes(bundle[32:64], "big")
            end = int.from_bytes(bundle[64:96], "big")
            root = keccak((32).to_bytes(32, "big") + bundle[at:end])
            who = admin(deposit.origin)
            self._must(rpc, who, spoke, code.call("relayRootBundle", root, bytes(32)))
            self._must(rpc, RELAYER, spoke, execute)
            self.bundles[deposit.origin] = self.bundles.get(deposit.origin, 0) + 1

    def _must(self, rpc: Rpc, sender: str, to: str, data: bytes) -> None:
        if not self._send(rpc, sender, to, data):
            raise Retry("BRIDGE_STUCK", f"the devnet's bridge could not settle: a call to {to} reverted", "")

    @staticmethod
    def _send(rpc: Rpc, sender: str, to: str, data: bytes) -> bool:
        rpc("anvil_impersonateAccount", sender)
        rpc("anvil_setBalance", sender, hex(10**20))
        given = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(2_000_000)}
        tx_hash = rpc("eth_sendTransaction", given)
        for attempt in range(200):
            receipt: dict[str, Any] | None = rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                return bool(receipt["status"] == "0x1")
            if attempt == 2:
                rpc("evm_mine")
            time.sleep(0.01)
        return False


def _log(raw: Mapping[str, Any]) -> Log:
    return Log(
        Address(raw["address"]), tuple(from_hex(t) for t in raw["topics"]), from_hex(raw["data"]), int(raw["blockNumber"], 16),
        hash32(raw["blockHash"]), hash32(raw["transactionHash"]), int(raw["logIndex"], 16),
    )  # fmt: skip


def serve(relayer: Relayer, port: int) -> ThreadingHTTPServer:
    """GET / on 127.0.0.1, in a thread of its own. Raises Usage PORT_TAKEN."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(relayer.told()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: who asks is of no interest."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Answers)
    except OSError as why:
        raise Usage(
            "PORT_TAKEN", f"port {port} cannot be had: {why.strerror}", "choose another --port"
        ) from None
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.across_relayer", description="The bridge's relayer."
    )
    parser.add_argument(
        "--rpc", action="append", required=True, help="CHAIN=URL of a devnet chain that answers cheat methods"
    )
    parser.add_argument("--port", type=int, default=0, help="where it says what it does")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    options = parser.parse_args(arguments)
    try:
        urls: dict[int, str] = {}
        for text in options.rpc:
            chain, _, url = text.partition("=")
            if not chain.isdigit() or int(chain) not in NAMES:
                raise Usage(
                    "BAD_RPC", f"--rpc {text} is not CHAIN=URL", f"chains: {', '.join(map(str, NAMES))}"
                )
            if environment_at(url) is None:
                raise Denied("NOT_A_DEVNET", f"{url} is no devnet chain")
            urls[int(chain)] = url
        relayer = Relayer(urls)
        serve(relayer, options.port)
        while True:
            try:
                relayer.step()
            except Retry as why:
                print(f"across: {why}", file=sys.stderr)
            time.sleep(options.every)
    except FairleadError as error:
        print(f"across: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
