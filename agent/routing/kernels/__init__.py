"""The search's inner loops compiled: the same arithmetic in the same order as the interpreted search, so the same answer to the last bit.

Nothing here is imported unless a process asks for it (`agent.routing.engine`): the compiler is an extra, and loading it takes longer than one
order does without it.
"""
