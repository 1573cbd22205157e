"""Chaos: seeded attacks, faults and kills against what Fairlead promises, on a devnet of its own, judged by another process."""
