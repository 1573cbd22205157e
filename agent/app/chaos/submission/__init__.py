"""`fairlead chaos submission`: orders through the real engine, several builders, seeded faults and deaths; another process judges.

scene    Ethereum behind builders, or a rollup behind its sequencer
fates    what befalls each case, drawn from the seed        lanes    the wallets, their keys, and their desks' lives
weather  blocks, base fees, reorganisations, other traders   run      the cases, side by side
referee  the judging process, which believes the chain and the builders' own records and nobody else
"""
