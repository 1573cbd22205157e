"""The nouns. Frozen slotted dataclasses, exact numbers, no I/O, no clock, no randomness.

Reading order: units, instruments, orders, order_state, submission_state, routes, reports, risk, events.
"""
