"""A bundler of ours over the session's devnet, and chain 1 with Safes that take user operations.

bundler_of_chain_1   one process a session: (url, account)
safe_world           the devnet inside its snapshot, the bundler's pool empty and its bundling automatic
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from chains.devnet.service import Status

if TYPE_CHECKING:
    from userop_support import SafeWorld


@pytest.fixture(scope="session")
def bundler_of_chain_1(
    devnet_session: Status, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    from userop_support import bundler_process

    with bundler_process(devnet_session.cheat_urls[1], tmp_path_factory.mktemp("bundler")) as found:
        yield found


@pytest.fixture
async def safe_world(devnet: Status, bundler_of_chain_1: tuple[str, str]) -> AsyncIterator[SafeWorld]:
    from userop_support import open_safe_world

    async with open_safe_world(devnet.cheat_urls[1], *bundler_of_chain_1) as made:
        yield made
