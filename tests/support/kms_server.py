"""AWS KMS on this machine: moto in server mode, in a process of its own (`python kms_server.py`, it prints its port).

moto 5.2 takes MessageType but hashes a DIGEST once more, as its own source says. Here Sign does what AWS documents for it: the 32 bytes are signed as they
are, and another length is a ValidationException. All else (keys, GetPublicKey, states, errors, DER) is moto's.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def main() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from moto.kms.exceptions import ValidationException
    from moto.kms.responses import KmsResponse
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    hashing = KmsResponse.sign

    def sign(self: Any) -> str:
        if self._get_param("MessageType") != "DIGEST":
            return str(hashing(self))
        answer = json.loads(hashing(self))  # moto's own checks of key, state and algorithm
        digest = self._get_param("Message")
        if len(digest) != 32:
            raise ValidationException("Digest is invalid length for algorithm ECDSA_SHA_256.")
        key = self.kms_backend.describe_key(self._get_param("KeyId")).private_key.private_key
        signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return json.dumps(answer | {"Signature": base64.b64encode(signature).decode()})

    KmsResponse.sign = sign
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def kms() -> Iterator[str]:
    """The URL of a fresh KMS."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def client(url: str) -> Any:
    """An administrator's client."""
    import boto3

    named = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
    return boto3.session.Session().client("kms", region_name="eu-central-1", endpoint_url=url, **named)


def new_key(url: str, spec: str = "ECC_SECG_P256K1", usage: str = "SIGN_VERIFY") -> str:
    admin = client(url)
    made: str = admin.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    admin.close()
    return made


if __name__ == "__main__":
    main()
