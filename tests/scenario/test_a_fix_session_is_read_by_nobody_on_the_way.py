"""TLS in front of the FIX door, as the venue has it: a certificate that is trusted for the name, and one that is not."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fix_exchange import Exchange, fix_exchange, fix_session

from agent.domain.errors import Retry


def certificate(folder: Path, name: str) -> Path:
    """Its own authority, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@contextmanager
def trusted(file: Path) -> Iterator[None]:
    """The authorities of this machine are that one, as its operator would set it."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(file)
    try:
        yield
    finally:
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before


@asynccontextmanager
async def behind_tls(there: Exchange, file: Path) -> AsyncIterator[tuple[int, list[str | None]]]:
    """(port, the names that were asked for) of a door that ends TLS and hands on to the FIX door."""
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[str | None]()
    context.load_cert_chain(file)
    context.sni_callback = lambda sock, name, ctx: asked.append(name)
    to = int(there.fix_url.rpartition(":")[2])

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)

        async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(1 << 16):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(one_way(reader, far_writer), one_way(far_reader, writer))
        except OSError:
            far_writer.close()

    server = await asyncio.start_server(hand_on, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        await asyncio.sleep(0.05)


async def test_it_logs_on_where_the_certificate_is_trusted_for_the_name(tmp_path: Path) -> None:
    file = certificate(tmp_path, "localhost")
    async with fix_exchange() as there, behind_tls(there, file) as (port, asked):
        with trusted(file):
            venue = fix_session(there.door.url, f"tcp+tls://localhost:{port}", copy=False)
            await venue.start()
            await venue.entry.line.ready(5)
        assert asked == ["localhost"]
        await venue.close()


@pytest.mark.parametrize("known", [False, True])
async def test_it_says_nothing_to_one_that_is_not(tmp_path: Path, known: bool) -> None:
    """Nobody vouches for it, or somebody does for another name."""
    file = certificate(tmp_path, "elsewhere.example" if known else "localhost")
    async with fix_exchange() as there, behind_tls(there, file) as (port, _):
        with trusted(file if known else certificate(tmp_path, "other.example")):
            venue = fix_session(there.door.url, f"tcp+tls://localhost:{port}", copy=False)
            await venue.start()
            with pytest.raises(Retry) as refused:
                await venue.entry.line.ready(0.3)
        assert "certificate verify failed" in refused.value.message and not there.fix.clients
        await venue.close()
