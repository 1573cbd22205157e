"""What a thief of the agent's machine can do to the wallet, tried.

world, wallet      the two wallets attacked: a Safe behind Roles and Gate, and one whose keys a signer process holds
*_attacks          the attacks as data, a table a family; `catalogue` lists them all
optimising         the attacker who spends his whole allowance as profitably as he can
referee            the process that judges, by what it reads itself
run                cases by seed and number, and the report
"""
