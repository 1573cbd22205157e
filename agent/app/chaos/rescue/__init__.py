"""`fairlead chaos rescue`: a real loan at the genuine pool, a real `fairlead run`, seeded crises; another process judges.

crises   what befalls the loan, drawn from the seed      world    prices, fees, faults, and the daemon's lives
pools    what others trade beside it                     run      the crises, one after another
referee  the judging process: what could have been done, what was, what it cost; referee_bare of a loan that only its own collateral
         saves, referee_pools of what the pools take for it
bridged_crises, bridged_world, referee_bridge    the same where the money is on another chain, and the bridge has to bring it in time
"""
