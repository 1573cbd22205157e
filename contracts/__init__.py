"""Contract interfaces as data, a pure codec for them, and the pinned list of protocol packages of the devnet."""
