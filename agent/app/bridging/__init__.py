"""Money of the wallet brought from one of its chains to another, on the one road.

sending    a deposit as an order is: checked, rehearsed, shown, signed, sent
following  every crossing the journal knows, on both chains, until it has arrived, is back, or can no longer leave
flying     what is on its way, with its haircut, for people and for the health of accounts
"""
