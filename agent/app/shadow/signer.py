"""What stands for the signer in a shadow: it has an exchange's reading requests signed, and cannot ask for anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.domain.errors import Denied
from keys.client import SignerClient
from keys.signer import kraken

BY_GET = "/api/v2/private/"
"""Deribit takes orders and cancels by GET, too; what only reads there is called get_…."""


BY_POST = frozenset(kraken.API + name for name in kraken.READS)
"""Kraken is asked by POST; these change nothing there."""


class ReadingSigner(SignerClient):
    """Raises Denied SHADOW_SIGNS_NOTHING for every request but the signer's `status` and an exchange's that changes nothing there.

    Another exchange that wants a signed POST to tell a balance shows none here, and is planned without one.
    """

    async def request(
        self, request_id: str, method: str, params: Mapping[str, Any], timeout_s: float | None = None
    ) -> Any:
        reads = method in ("sign_exchange", "send_exchange") and params.get("method") == "GET"
        path = str(params.get("path", ""))
        if path.startswith(BY_GET):
            reads = reads and path.startswith(f"{BY_GET}get_")
        reads = reads or (method == "sign_exchange" and params.get("method") == "POST" and path in BY_POST)
        if not reads and method != "status":
            raise Denied(
                "SHADOW_SIGNS_NOTHING", f"a shadow does not ask for {method}", "`fairlead run --live` does"
            )
        return await super().request(request_id, method, params, timeout_s)
