"""An ape account plug-in: the Safe of Fairlead's settings. Its owners' keys stay in Fairlead's signer process.

    ape accounts list --all                      shows it, as `fairlead-safe`
    safe = ape.accounts.load("fairlead-safe")
    weth.withdraw(10**18, sender=safe)           a Safe transaction, judged and signed by the signer

On a fork the Safe's owners are first replaced by throw-away keys; on a devnet its own signer is asked; elsewhere it refuses.
"""

from ape import plugins


@plugins.register(plugins.AccountPlugin)
def account_types():
    from ape_fairlead_safe.accounts import SafeAccount, SafeContainer

    return SafeContainer, SafeAccount
