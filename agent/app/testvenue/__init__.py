"""The paper exchange: a separate server process that speaks an exchange's documented dialect over HTTP and WebSocket.

`--dialect binance_spot` (the default), or `binance_usdm`: contracts, positions and margin (futures, usdm, usdm_algo, usdm_wire), or `deribit` (deribit, deribit_wire)
with combos (combos),
`kraken` (kraken, kraken_wire) and `coinbase` (coinbase, coinbase_wire), spot with fees in the quote (quote_fees).

Reading order: spec (symbols and filters), book, engine (price-time matching in exact Decimals), liquidity (who stands
in the book), venue (accounts, journal, one writer), wire (payloads), auth, limits, faults, streams, server.
Run it with `python -m agent.app.testvenue --port 8900 --account key=K:secret=S:ETH=50:USDC=100000`.
"""
