"""Chains as integers and bytes: gateways, relays, lending reads, and the local devnet. Knows no order and no key."""
