"""Execution algorithms, one file each, each exposing ALGO: pure step functions from (parent, progress, time) to what to send.

The module's name is the name on the command line. No algo knows a venue, a chain or a clock.
"""
