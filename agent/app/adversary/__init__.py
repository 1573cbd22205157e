"""The devnet's own attacker: a sandwich bot that reads what is public, and what a leaky builder sells, and trades around it.

    sizing      the largest and the most paying front-run before a swap, by exact pool arithmetic. Pure
    reading     what swaps a transaction would make, by its trace. Pure
    bot         judges, rehearses and sends; keeps a record of what it decided
    __main__    `python -m agent.app.adversary`, a process of its own; devnets only

It is labelled as what it is, holds invented money, and refuses every chain without our devnet's marker.
"""
