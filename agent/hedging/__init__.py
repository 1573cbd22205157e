"""Hedging policies: pure functions of a state and an owner's numbers, each giving wishes that become intents. One policy a file, as HEDGE."""
