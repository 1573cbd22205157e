"""Append-only, hash-chained record of everything that happened. Start at `store.Journal`.

codec      events ↔ canonical JSON, by (type name, version)      chain      entries and their hash
store      append, durable, record                              writer     the one thread that commits groups
opening    made, verified, never repaired                       emergency  what must go on when the disk will not
heads      heads seen outside the chain                         verify     altered, rewritten, truncated, or whole
fold       state = fold; replay compares it                     query, export   for people and programs
"""
