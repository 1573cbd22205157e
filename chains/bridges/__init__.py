"""Bridges between chains: what is sent and read there (a bridge a file), and where money on its way stands (`flight`)."""
