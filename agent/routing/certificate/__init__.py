"""How far a plan can be from the best one, proved: node prices, the bound they give, and a checker of its own.

The bound is the Lagrangian dual of the whole problem, gas included: it holds for any prices, however they were found.
Nothing here knows the search: a certificate is judged by the exact pool arithmetic and by outward-rounded sums alone.
"""
