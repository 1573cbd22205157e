"""Contract interfaces as data, a pure codec for them, our own Solidity (`src`, `test`), and the pinned packages of the devnet."""
