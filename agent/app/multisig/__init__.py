"""The owners' own road: Safe transactions that are proposed, signed by several people at their own time, and executed."""
