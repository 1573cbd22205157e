"""Keys and wallets: signers, the Safe, and the policy that judges every decoded transaction by itself.

    safe, transactions, curve, typed  pure: hashes, signatures, calldata, raw transactions
    safe_signatures                pure: the four forms of an owner's signature, packed as the contract checks them
    policy, policy_flow, …_state   pure: may this be signed? Judged from the bytes, decoded to the leaf by `contracts.decode`
    settings, policy_settings      the signer's JSON file, as frozen data
    secrets, keystore_v3           secret references; keystore V3 files
    signers                        what a signer is, whatever holds the key; its settings; errors as four verbs
    keystore, ledger, trezor, aws_kms, web3signer, mpc, watch   SIGNER: one kind each, found by the module's name
    ledger_apdu, ledger_transport  the Ledger app's commands; USB HID and TCP under them
    trezor_wire, trezor_bridge     the Trezor's protobuf messages; the Bridge's HTTP under them
    mpc_…, noise                   a key in shares: the share's process, its vault and rules, the channels between them
    local_keystore                 the folder of keystores, each key of one environment
    signer/, client                the process that holds keys and ledger, and the agent's side of its socket
    owner_sign, sentences          an owner signs attended, after reading what it is in plain words
    delegations                    pure but for the signer it is given: EIP-7702, and the policy of whose code a key may run
    reading                        a Safe transaction in sentences, for owners and shares alike
    landmarks                      contracts this installation knows by itself, whatever the asker calls them

What is signed is recorded first, on disk, under the request's id: the same request gives the same signature and counts once.
"""
