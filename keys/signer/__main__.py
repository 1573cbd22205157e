"""`python -m keys.signer --socket PATH --config FILE.json`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from chains.errors import FairleadError
from keys.settings import load
from keys.signer.server import serve


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="keys.signer", description="Holds the keys; signs what its policy allows."
    )
    parser.add_argument(
        "--socket", required=True, type=Path, help="where to listen (a Unix socket, mode 0600)"
    )
    parser.add_argument("--config", required=True, type=Path, help="the signer's JSON settings")
    given = parser.parse_args(argv)
    try:
        asyncio.run(serve(given.socket, load(given.config)))
    except FairleadError as error:
        print(f"signer: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
