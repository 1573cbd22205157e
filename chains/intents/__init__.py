"""Order books that take signed orders for others to settle, one a file."""
