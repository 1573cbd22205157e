"""A key behind Web3Signer's HTTP API, on another machine. SIGNER of the name `web3signer`.

    GET  /api/v1/eth1/publicKeys           the keys it has loaded, as 0x ‖ 64 bytes; ours is found by its address
    POST /api/v1/eth1/sign/{public key}    {"data": "0x…"}: it signs keccak256(data) and answers 0x ‖ r ‖ s ‖ v as text
    POST /                                 JSON-RPC eth_signTransaction, where `transactions` is "rpc"

By default everything goes through `sign`: the data is the bytes that are hashed (0x02 ‖ rlp, 0x19 0x01 ‖ …, EIP-191), so what it is asked
to sign can be read, and judged, on the other side. With "rpc" a transaction goes as its fields, for servers that open nothing else; what comes
back must be exactly the transaction that was asked for.
Source: Web3Signer's openapi-specs/eth1 and JSON-RPC reference. TLS with the system's authorities or `ca`, a client certificate, a bearer token
(for the gateway in front of it: Web3Signer itself has none). Plain http only to this machine. Redirects and proxies are not followed.

A whole request has `timeout_s`; what a time-out means is in `keys.signers`: Retry, because signing sends nothing.
Errors: Retry SIGNER_UNREACHABLE, SIGNER_SILENT, SIGNER_BUSY; Reject SIGNER_REFUSED, SIGNER_ANSWER; Usage SIGNER_KEY_UNKNOWN, SIGNER_URL,
SIGNER_TLS; Denied SIGNATURE_NOT_OURS.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson
import rlp

from chains.errors import FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from contracts.hashing import checksum, keccak
from keys import curve, transactions
from keys.secrets import Secret, resolve
from keys.signers import Ask, Option, ServiceSigner, SignerFacts, SignerSpec

_LONGEST = 1 << 20
_PUBLIC = re.compile(r"0x[0-9a-fA-F]{128}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")


class Http:
    """Short requests to one server, each on a connection of its own, each within `timeout_s` as a whole."""

    def __init__(
        self, url: SplitResult, tls: ssl.SSLContext | None, token: Secret | None, timeout_s: float
    ) -> None:
        self._url, self._tls, self._token, self.timeout_s = url, tls, token, timeout_s
        self._open: set[http.client.HTTPConnection] = set()

    def ask(self, method: str, path: str, body: Any = None) -> str:
        """The answer of status 200 as text. Raises Retry, Reject or Usage."""
        headers = {"Accept": "text/plain, application/json"}
        if self._token is not None:
            headers["Authorization"] = "Bearer " + self._token.text()
        content = None
        if body is not None:
            content, headers["Content-Type"] = orjson.dumps(body), "application/json"
        connection, late = self._connection(), threading.Event()

        def stop() -> None:
            late.set()
            _cut(connection)

        # The socket's own time-out is for one read; this bounds the whole, also against a server that trickles.
        timer = threading.Timer(self.timeout_s, stop)
        timer.daemon = True
        timer.start()
        self._open.add(connection)
        try:
            connection.request(method, self._url.path.rstrip("/") + path, content, headers)
            answer = connection.getresponse()
            text = answer.read(_LONGEST + 1)
            if (
                answer.length and len(text) <= _LONGEST
            ):  # read() alone takes a body that was cut off for a whole one
                raise http.client.IncompleteRead(b"", answer.length)
        except ssl.SSLCertVerificationError:
            raise Usage(
                "SIGNER_TLS", "the remote signer's certificate is not trusted", "Name its authority by `ca`."
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._lost(late.is_set() or isinstance(error, TimeoutError), error) from None
        finally:
            timer.cancel()
            self._open.discard(connection)
            connection.close()
        if late.is_set():
            raise self._lost(True, None)
        return _judged(answer.status, text)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s)

    def _lost(self, late: bool, error: Exception | None) -> FairleadError:
        if late:
            return Retry(
                "SIGNER_SILENT",
                f"the remote signer did not answer within {self.timeout_s:g} s",
                "The same may be asked again.",
            )
        return Retry(
            "SIGNER_UNREACHABLE",
            f"no answer from the remote signer: {type(error).__name__}",
            "The same may be asked again.",
        )

    def close(self) -> None:
        """Cuts off what is under way: it ends with Retry."""
        for connection in list(self._open):
            _cut(connection)


def _cut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _judged(status: int, body: bytes) -> str:
    if status == 200 and len(body) <= _LONGEST:
        try:
            return body.decode("ascii").strip()
        except UnicodeDecodeError:
            raise _answer() from None
    if status == 404:
        raise Usage(
            "SIGNER_KEY_UNKNOWN", "the remote signer does not have this key", "Load it there, or fix the URL."
        )
    if status in (408, 425, 429) or status >= 500:
        raise Retry("SIGNER_BUSY", f"the remote signer answered {status}", "The same may be asked again.")
    if status == 200:
        raise _answer()
    raise Reject(
        "SIGNER_REFUSED",
        f"the remote signer answered {status}",
        "See its own log; a redirect is not followed, 401 and 403 mean the token or certificate.",
    )


def _answer() -> Reject:
    return Reject(
        "SIGNER_ANSWER", "the remote signer answered something that is not its API's", "Is the URL its own?"
    )


def _json(text: str) -> Any:
    try:
        return orjson.loads(
            text
        )  # bounds its depth; json.loads overflows the stack where a library raised Python's own bound
    except orjson.JSONDecodeError:
        raise _answer() from None


class RemoteSigner(ServiceSigner):
    """One key of one Web3Signer."""

    def __init__(
        self, address: Address, environment: Environment, server: Http, public: str, rpc: bool = False
    ) -> None:
        super().__init__(SIGNER, address, environment)
        self._server, self._public, self._rpc = server, public, rpc

    def _sign(self, preimage: bytes) -> tuple[int, int]:
        text = self._server.ask("POST", f"/api/v1/eth1/sign/{self._public}", {"data": "0x" + preimage.hex()})
        if not _SIGNATURE.fullmatch(text):
            raise _answer()
        return int(text[2:66], 16), int(text[66:130], 16)

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx:
        if not self._rpc:
            return super().sign_transaction(tx)
        call = {
            "from": self.address.lower(),
            "to": tx.to.lower(),
            "gas": hex(tx.gas),
            "maxFeePerGas": hex(tx.fees.max_fee_wei),
            "maxPriorityFeePerGas": hex(tx.fees.max_priority_fee_wei),
            "value": hex(tx.value),
            "nonce": hex(tx.nonce),
            "data": "0x" + tx.data.hex(),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_signTransaction", "params": [call]}
        answer = _json(self._server.ask("POST", "/", body))
        if not isinstance(answer, dict) or answer.get("id") != 1:
            raise _answer()
        if answer.get("error") is not None:
            error = answer["error"]
            code = error.get("code") if isinstance(error, dict) else None
            shown = f" ({code})" if isinstance(code, int) else ""
            raise Reject(
                "SIGNER_REFUSED", f"the remote signer refused the transaction{shown}", "See its own log."
            )
        r, s = _signature_in(answer.get("result"))
        # Put onto our own fields, never theirs: another chain id, fee or recipient recovers to another address.
        signature = curve.complete(transactions.digest(tx), r, s, self.address)
        return transactions.assemble(tx, signature, self.address)

    def close(self) -> None:
        self._server.close()


def _signature_in(raw: Any) -> tuple[int, int]:
    """(r, s) at the end of a raw EIP-1559 transaction. Raises Reject SIGNER_ANSWER."""
    try:
        data = bytes.fromhex(raw.removeprefix("0x"))
        fields = rlp.decode(data[1:])
        if data[:1] != transactions.TYPE or len(fields) != 12:
            raise ValueError
        return int.from_bytes(fields[10], "big"), int.from_bytes(fields[11], "big")
    except (AttributeError, TypeError, ValueError, rlp.exceptions.RLPException):
        raise _answer() from None


def _find(server: Http, address: Address) -> str:
    """The public key of `address` among those it has loaded. Raises Usage SIGNER_KEY_UNKNOWN."""
    found = _json(server.ask("GET", "/api/v1/eth1/publicKeys"))
    if not isinstance(found, list):
        raise _answer()
    for public in found:
        if isinstance(public, str) and _PUBLIC.fullmatch(public):
            if checksum(keccak(bytes.fromhex(public[2:]))[12:]) == address:
                return public
    raise Usage(
        "SIGNER_KEY_UNKNOWN",
        f"the remote signer has {len(found)} keys and none is {address}",
        "Load that key there, or name one it has.",
    )


def read_url(text: str) -> SplitResult:
    """Raises Usage SIGNER_URL; plain http only to this machine, and no user or password inside."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise Usage("SIGNER_URL", "the remote signer's URL cannot be read") from None
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise Usage(
            "SIGNER_URL", "no user, password, query or fragment in the URL", "The token is a reference."
        )
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise Usage("SIGNER_URL", "the remote signer's URL is https://HOST[:PORT][/PATH]")
    if url.scheme == "http" and not _local(url.hostname):
        raise Usage(
            "SIGNER_URL", "plain http only to this machine", "Use https, with `ca` for its authority."
        )
    return url


def _local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(spec: SignerSpec, url: SplitResult) -> ssl.SSLContext | None:
    if url.scheme != "https":
        return None
    options = spec.options
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "client_certificate" in options:
            context.load_cert_chain(options["client_certificate"], options.get("client_key"))
    except (OSError, ssl.SSLError) as error:
        raise Usage("SIGNER_TLS", f"a certificate cannot be read: {type(error).__name__}") from None
    return context


def _open(spec: SignerSpec, ask: Ask | None) -> RemoteSigner:
    options, url = spec.options, read_url(spec.options["url"])
    mode = options.get("transactions", "rest")
    if mode not in ("rest", "rpc"):
        raise Usage("SIGNER_CONFIG_INVALID", "web3signer: transactions must be rest or rpc")
    token = resolve(options["token"]) if "token" in options else None
    server = Http(url, _tls(spec, url), token, spec.number("timeout_s", 5.0))
    address = spec.named()
    return RemoteSigner(address, spec.environment, server, _find(server, address), mode == "rpc")


SIGNER = SignerFacts(
    "web3signer",
    False,
    "another machine, behind Web3Signer",
    "its operator's own vaults and rules hold the key",
    _open,
    (
        Option("url", "https://HOST:PORT of the server", required=True),
        Option("token", "reference to the bearer token of the gateway in front of it", secret=True),
        Option("ca", "the file of its certificate authority, where it is not a public one"),
        Option("client_certificate", "the file of our own certificate, where it wants one"),
        Option("client_key", "the file of that certificate's key"),
        Option("transactions", "rest (the bytes) or rpc (eth_signTransaction); rest when left out"),
        Option("timeout_s", "how long a whole request may take, in seconds; 5 when left out"),
    ),
)
