"""A mail server of a few verbs (RFC 5321), for one message after another: it keeps what it took. Without TLS, as on this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Mails:
    """`refuse` is answered to every message instead of taking it; `logins` are what AUTH PLAIN said."""

    port: int = 0
    refuse: str = ""
    taken: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@asynccontextmanager
async def mail_server(
    refuse: str = "", says: str = "250-local\r\n250 AUTH PLAIN\r\n"
) -> AsyncIterator[Mails]:
    """`says` is its answer to EHLO."""
    held = Mails(refuse=refuse)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        tell("220 local")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                writer.write(says.encode())
            elif verb == "AUTH":
                held.logins.append(line)
                tell("235 well")
            elif verb == "DATA":
                tell("354 go on")
                lines: list[str] = []
                while (part := (await reader.readline()).decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                held.taken.append("\n".join(lines))
                tell("250 taken")
            elif verb == "QUIT":
                tell("221 bye")
                break
            elif verb == "MAIL" and held.refuse:
                tell(held.refuse)
            else:
                tell("250 well")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    held.port = server.sockets[0].getsockname()[1]
    try:
        yield held
    finally:
        server.close()


__all__ = ["Mails", "mail_server"]
