"""A key in AWS KMS that never leaves it (ECC_SECG_P256K1, SIGN_VERIFY). SIGNER of the name `aws_kms`.

Sign is asked with MessageType DIGEST and ECDSA_SHA_256 over our Keccak digest; it answers a DER ECDSA-Sig-Value (RFC 3279) whose s may be
high and which has no v: s is made low (EIP-2) and v is found by recovering the key's own address, which comes from GetPublicKey's
SubjectPublicKeyInfo (RFC 5480). Which principal may sign is AWS' own policy; a credential of ours is a secret reference, or, where none
is given, what boto3 finds by itself (~/.aws, an instance's role; of the environment the signer's process has only what references name). boto3 is imported only when such a key is opened; it does not retry.

Errors: Retry KMS_UNREACHABLE, KMS_BUSY; Reject KMS_REFUSED (no permission, disabled, to be deleted, pending import); Usage KMS_KEY_UNKNOWN,
KMS_KEY_UNSUITABLE, KMS_CREDENTIALS, KMS_EXTRA_MISSING; Denied SIGNATURE_NOT_OURS.
"""

from __future__ import annotations

import threading
from typing import Any

from chains.errors import FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment
from contracts.hashing import checksum, keccak
from keys.secrets import resolve
from keys.signers import Ask, Option, ServiceSigner, SignerFacts, SignerSpec

SPKI_PREFIX = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
"""SubjectPublicKeyInfo of an uncompressed secp256k1 point: SEQUENCE { SEQUENCE { id-ecPublicKey, secp256k1 }, BIT STRING }."""
_BUSY = frozenset(
    "ThrottlingException Throttling TooManyRequestsException RequestLimitExceeded LimitExceededException DependencyTimeoutException "
    "KMSInternalException KeyUnavailableException InternalFailure ServiceUnavailable".split()
)
_UNKNOWN = frozenset("NotFoundException InvalidArnException ValidationException".split())
_UNSUITABLE = frozenset("InvalidKeyUsageException UnsupportedOperationException".split())
_CREDENTIALS = frozenset(
    "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException SignatureDoesNotMatch ExpiredTokenException "
    "IncompleteSignature MissingAuthenticationToken".split()
)


def address_of_spki(der: bytes) -> Address:
    """The address of a public key as GetPublicKey answers it. Raises Usage KMS_KEY_UNSUITABLE for any other kind of key."""
    point = der.removeprefix(SPKI_PREFIX)
    if len(point) != 65 or len(der) != len(SPKI_PREFIX) + 65 or point[0] != 4:
        raise Usage(
            "KMS_KEY_UNSUITABLE",
            "the key is not a secp256k1 key",
            "Make one with KeySpec ECC_SECG_P256K1 and KeyUsage SIGN_VERIFY.",
        )
    return Address(checksum(keccak(point[1:])[12:]))


def read_der(der: bytes) -> tuple[int, int]:
    """(r, s) of SEQUENCE { INTEGER r, INTEGER s }, strictly. Raises Reject KMS_ANSWER."""
    try:
        if der[0] != 0x30 or der[1] != len(der) - 2 or der[1] > 0x7F:
            raise ValueError
        r, rest = _integer(der[2:])
        s, rest = _integer(rest)
        if rest:
            raise ValueError
    except (ValueError, IndexError):
        raise Reject("KMS_ANSWER", "the service answered something other than a DER signature") from None
    return r, s


def _integer(der: bytes) -> tuple[int, bytes]:
    size, body = der[1], der[2 : 2 + der[1]]
    if der[0] != 0x02 or not 1 <= size <= 33 or len(body) != size or body[0] & 0x80:
        raise ValueError
    if size > 1 and body[0] == 0 and not body[1] & 0x80:
        raise ValueError
    return int.from_bytes(body, "big"), der[2 + size :]


class KmsSigner(ServiceSigner):
    """One KMS key. `client` is boto3's KMS client; a call waits at most its own time-outs."""

    def __init__(self, address: Address, environment: Environment, client: Any, key_id: str) -> None:
        super().__init__(SIGNER, address, environment)
        self._client, self._key_id, self._closed = client, key_id, threading.Event()

    def _sign(self, preimage: bytes) -> tuple[int, int]:
        if self._closed.is_set():
            raise Retry("KMS_UNREACHABLE", "this signer was closed", "Open it again.")
        answer = _call(
            self._client.sign,
            KeyId=self._key_id,
            Message=keccak(preimage),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        if self._closed.is_set():
            raise Retry("KMS_UNREACHABLE", "this signer was closed while it was asked", "Open it again.")
        return read_der(_field(answer, "Signature"))

    def close(self) -> None:
        """A pending call ends with Retry when its answer or its time-out comes."""
        self._closed.set()
        self._client.close()


def _call(operation: Any, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        return operation(**arguments)
    except ClientError as error:
        raise failure(str(error.response.get("Error", {}).get("Code", "")), _status(error)) from None
    except (NoCredentialsError, ParamValidationError) as error:
        raise Usage(
            "KMS_CREDENTIALS", f"AWS cannot be asked: {type(error).__name__}", "Give credentials, or a role."
        ) from None
    except (BotoCoreError, OSError, ValueError) as error:
        # Unreachable, cut off, timed out, or no answer that AWS would give: a signature may have been made, and nobody has it.
        raise Retry(
            "KMS_UNREACHABLE", f"KMS did not answer: {type(error).__name__}", "The same may be asked again."
        ) from None


def _field(answer: Any, name: str) -> bytes:
    """A member of an answer. An answer that was cut off reaches us without it."""
    if not isinstance(answer.get(name), bytes):
        raise Retry("KMS_UNREACHABLE", f"KMS answered without its {name}", "The same may be asked again.")
    return bytes(answer[name])


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def failure(code: str, status: int) -> FairleadError:
    """What an AWS error code means. Messages of AWS are left out: they may quote credentials and ARNs."""
    code = code if code.isascii() and code.isalnum() else "unnamed"
    if code in _BUSY or status >= 500 or status == 429:
        return Retry("KMS_BUSY", f"KMS cannot answer now ({code})", "The same may be asked again.")
    if code in _UNKNOWN:
        return Usage("KMS_KEY_UNKNOWN", f"KMS knows no such key ({code})", "Check key_id and region.")
    if code in _UNSUITABLE:
        return Usage("KMS_KEY_UNSUITABLE", f"the key is not one to sign with ({code})", "See its KeyUsage.")
    if code in _CREDENTIALS:
        return Usage(
            "KMS_CREDENTIALS", f"AWS does not accept the credentials ({code})", "Check their references."
        )
    return Reject("KMS_REFUSED", f"KMS refused ({code})", "See the key's state and policy.")


def _open(spec: SignerSpec, ask: Ask | None) -> KmsSigner:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise Usage("KMS_EXTRA_MISSING", "AWS KMS needs the kms extra", "Install fairlead[kms].") from None
    wait = spec.number("timeout_s", 5.0)
    named = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    }
    secrets = {ours: resolve(spec.options[o]).text() for ours, o in named.items() if o in spec.options}
    try:
        client = boto3.session.Session().client(
            "kms",
            region_name=spec.options["region"],
            endpoint_url=spec.options.get("endpoint"),
            config=Config(connect_timeout=wait, read_timeout=wait, retries={"total_max_attempts": 1}),
            **secrets,
        )
    except (BotoCoreError, ValueError) as error:
        raise Usage("KMS_CREDENTIALS", f"AWS cannot be asked: {type(error).__name__}") from None
    key_id = spec.options["key_id"]
    answer = _call(client.get_public_key, KeyId=key_id)
    if answer.get("KeyUsage", "SIGN_VERIFY") != "SIGN_VERIFY":
        raise failure("InvalidKeyUsageException", 400)
    return KmsSigner(address_of_spki(_field(answer, "PublicKey")), spec.environment, client, key_id)


SIGNER = SignerFacts(
    "aws_kms",
    False,
    "AWS KMS, which never gives it away",
    "AWS' own policy and audit log say who may sign and who did",
    _open,
    (
        Option("key_id", "the key's id, ARN or alias/NAME", required=True),
        Option("region", "the AWS region, for example eu-central-1", required=True),
        Option("endpoint", "another endpoint than the region's own, for example a VPC's"),
        Option(
            "access_key_id",
            "reference to the access key's id; without it boto3 looks for a role",
            secret=True,
        ),
        Option("secret_access_key", "reference to the access key's secret", secret=True),
        Option("session_token", "reference to a session's token", secret=True),
        Option("timeout_s", "how long AWS is given to connect and to answer, in seconds; 5 when left out"),
    ),
)
