"""The process that holds the keys: `python -m keys.signer --socket PATH --config FILE.json`, or `fairlead signer run`.

It speaks length-prefixed JSON over a Unix socket (see `keys.signer.frames`), to its own OS user only, and signs what its own
policy, judging the decoded bytes against its own ledger, allows. The client is `keys.client.SignerClient`.
"""
