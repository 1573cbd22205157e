"""Where the wallet lends and borrows: how an account is read for a rescue, and which calls change it. One file a protocol.

lender       what every protocol answers
aave_v3      Aave V3 and markets of its kind, Spark's among them
compound_v3  a market of Compound III
maker_vault  a vault at Maker (Sky)
morpho_blue  a market of Morpho Blue
markets      the protocol that a name in the settings means
"""
