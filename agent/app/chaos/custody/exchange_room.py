"""The paper exchange as a process of its own, where the owner has an account and the thief has one too.

Nobody else trades there: an empty book is what the thief would make of a thin market by buying it up. What the owner's key allows is
asked of the signer; the thief's own orders he signs himself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from chains.errors import Halt

SYMBOL = "ETHUSDC"
OWNER_KEY, OWNER_SECRET = "public-ish-key", "exchange-secret-value"
THIEF_KEY, THIEF_SECRET = "key-of-the-thief", "secret-of-the-thief"
OWNER_HAS = "ETH=2000:USDC=9000000"
THIEF_HAS = "ETH=5000:USDC=9000000"
_STARTS_WITHIN_S = 30


@dataclass
class ExchangeRoom:
    """`fix_key`: a file with the public key by which the owner may log on to FIX sessions; none without."""

    folder: Path
    fix_key: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Raises Halt CHAOS_WORLD where it does not come up."""
        book, port_file = self.folder / "book.json", self.folder / "exchange-port"
        book.write_text('{"bids": [], "asks": []}')
        fix = f"fix=file:{self.fix_key}:" if self.fix_key is not None else ""
        accounts = (
            f"key={OWNER_KEY}:secret=file:{self.folder / 'api-secret'}:{fix}{OWNER_HAS}",
            f"key={THIEF_KEY}:secret={THIEF_SECRET}:{THIEF_HAS}",
        )
        argv = [
            sys.executable,
            "-m",
            "agent.app.testvenue",
            "--port-file",
            str(port_file),
            "--book",
            str(book),
        ]
        argv += ["--still", "--tick-ms", "0"]
        argv += [word for account in accounts for word in ("--account", account)]
        root = Path(__file__).resolve().parents[4]
        self.process = subprocess.Popen(argv, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _STARTS_WITHIN_S
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Halt("CHAOS_WORLD", "the paper exchange did not start")
            time.sleep(0.02)
        self.port = int(port_file.read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def sends(
        self, method: str, path: str, query: str, signature: str, key: str = OWNER_KEY
    ) -> dict[str, Any]:
        """A signed request as anybody can make it; the exchange's answer, a refusal of its with `code`."""
        wire = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            wire.request(method, f"{path}?{query}&signature={signature}", headers={"X-MBX-APIKEY": key})
            told = json.loads(wire.getresponse().read())
        finally:
            wire.close()
        return told if isinstance(told, dict) else {"rows": told}

    def as_thief(self, method: str, path: str, **fields: str) -> dict[str, Any]:
        query = "&".join(f"{n}={v}" for n, v in (fields | {"timestamp": str(now_ms())}).items())
        signature = hmac.new(THIEF_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        return self.sends(method, path, query, signature, THIEF_KEY)

    def waits(self, side: str, price: str, quantity: str) -> None:
        """The thief's one order, at his price: nobody but the owner's account will take it. Raises Halt CHAOS_WORLD."""
        self.as_thief("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
        told = self.as_thief(
            "POST",
            "/api/v3/order",
            **{"symbol": SYMBOL, "side": side, "type": "LIMIT", "timeInForce": "GTC"},
            quantity=quantity,
            price=price,
        )
        if "orderId" not in told:
            raise Halt("CHAOS_WORLD", f"the thief's own order was refused: {told.get('msg')}")


def now_ms() -> int:
    return time.time_ns() // 10**6
