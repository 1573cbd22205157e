"""Looking without touching: wallets, lending accounts, positions and the state of the installation. Nothing here signs."""
