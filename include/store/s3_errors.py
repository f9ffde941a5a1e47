"""Trouble with S3 in the words of whoever runs this: what was asked, what was found, what to do.

`explained` turns each error of botocore into one of ours: what botocore or the server says, and
behind it our advice. AWS documents the codes:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from include.errors import (
    ChurnError,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
)

Kind = type[ChurnError]

STRANGER = "no S3 answers so: does AWS_ENDPOINT_URL name the port of an S3-compatible server?"
CHANGED = {"PreconditionFailed", "ConditionalRequestConflict"}  # the second: two writes that meet
UNSUPPORTED = {"NotImplemented", "XNotImplemented", "MethodNotAllowed"}
UNKNOWN_HEADER = {"InvalidArgument", "InvalidRequest", "BadRequest", "UnsupportedHeader", "400"}
UNREADABLE = (FileNotFoundError, IsADirectoryError, PermissionError)  # a file that a setting names
# What the server's own words leave open, by each code.
REFUSALS: dict[str, tuple[Kind, str]] = {
    code: (kind, advice)
    for codes, kind, advice in (
        ("NoSuchBucket", StoreError, "create it, or correct CHURN_STORE_URI"),
        (
            "BucketAlreadyExists",
            ConfigurationError,
            "another account has it: choose another name in CHURN_STORE_URI",
        ),
        ("SlowDown Throttling ThrottlingException RequestTimeout", StoreUnavailable, "try later"),
        (
            "RequestTimeTooSkewed RequestExpired RequestInTheFuture",
            StoreForbidden,
            "set this machine's clock, and keep it with NTP",
        ),
        (
            "PermanentRedirect TemporaryRedirect Redirect IncorrectEndpoint InvalidRegion "
            "IllegalLocationConstraintException InvalidLocationConstraint "
            "AuthorizationHeaderMalformed AuthorizationQueryParametersError",
            ConfigurationError,
            "set AWS_DEFAULT_REGION to the bucket's region, and where AWS_ENDPOINT_URL is set, "
            "that region's endpoint",
        ),
        ("InvalidAccessKeyId InvalidClientTokenId", StoreForbidden, "correct AWS_ACCESS_KEY_ID"),
        (
            "SignatureDoesNotMatch",
            StoreForbidden,
            "correct AWS_SECRET_ACCESS_KEY, and look for a space or a line break in it",
        ),
        (
            "ExpiredToken ExpiredTokenException TokenRefreshRequired InvalidToken",
            StoreForbidden,
            "get new credentials (`aws sso login`, or AWS_SESSION_TOKEN with its two keys)",
        ),
    )
    for code in codes.split()
}
# Why no request was sent, or no answer came; the first that fits. StoreUnavailable may pass.
TROUBLES: tuple[tuple[tuple[type[Exception], ...], Kind, str], ...] = (
    (
        (aws.ProfileNotFound,),
        ConfigurationError,
        "AWS_PROFILE must name a profile of ~/.aws/config or ~/.aws/credentials; unset it to use "
        "the other AWS variables or a role",
    ),
    (
        (aws.PartialCredentialsError,),
        ConfigurationError,
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY both, or neither and a profile or a role",
    ),
    (
        (aws.NoCredentialsError,),
        StoreForbidden,
        "set the AWS variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both), a role, or in "
        "Airflow the connection aws_default",
    ),
    (
        (
            *(aws.CredentialRetrievalError, aws.NoAuthTokenError, aws.SSOError),
            *(aws.TokenRetrievalError, aws.LoginError, aws.MetadataRetrievalError),
        ),
        StoreForbidden,
        "sign in anew, or correct the AWS profile",
    ),
    (
        (aws.InvalidRegionError, aws.NoRegionError),
        ConfigurationError,
        "AWS_DEFAULT_REGION must be a region such as eu-central-1",
    ),
    (
        (aws.ParamValidationError,),
        ConfigurationError,
        "CHURN_STORE_URI must name a bucket as AWS allows it",
    ),
    ((aws.ProxyConnectionError,), StoreUnavailable, "check HTTP_PROXY and HTTPS_PROXY"),
    (
        (aws.ConnectionError, aws.HTTPClientError, aws.IncompleteReadError, HTTPError),
        StoreUnavailable,
        "check AWS_ENDPOINT_URL (https:// where the server speaks TLS), and the network",
    ),
    (
        (aws.BotoCoreError, ValueError, *UNREADABLE),
        ConfigurationError,
        "correct the AWS settings (the AWS_ variables, ~/.aws/config). AWS_ENDPOINT_URL must be a "
        "URL such as http://127.0.0.1:9000",
    ),
)
# What no second try mends: no TLS there, no file of certificates, or none that is trusted.
LASTING = re.compile(r"WRONG_VERSION|RECORD_LAYER|CERTIFICATE|\[X509|\bPEM\b|\[Errno (2|13|21)\]")
TLS = (
    "AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE, or ca_bundle in ~/.aws/config) must name a file of PEM "
    "certificates with the server's authority, unless a usual one signs; AWS_ENDPOINT_URL must "
    "name the server as its certificate does, with http:// where it does not speak TLS"
)


@dataclass(frozen=True)
class Asked:
    """Where a request went, and for which key; `condition` is a write's header If-…, if any."""

    uri: str
    key: str
    condition: str | None = None

    @property
    def what(self) -> str:
        """The key, or what has none."""
        return repr(self.key) if self.key else "the bucket"


@contextmanager
def making_a_client() -> Iterator[None]:
    """One error of ours where the AWS settings allow no client at all."""
    try:
        yield
    except (aws.BotoCoreError, ValueError) as error:
        kind, advice = _of_trouble(error)
        raise kind(f"no client for S3: {error}: {advice}") from error


@contextmanager
def explained(asked: Asked) -> Iterator[None]:
    """One error of ours for whatever a request for a key raises."""
    try:
        yield
    except aws.ClientError as error:
        if _code(error) == "NoSuchKey":
            raise ObjectNotFound(f"no object {asked.what} in {asked.uri}") from error
        kind, advice = _of_answer(error, asked)
        raise kind(f"{asked.uri} answered {asked.what} with {_found(error)}: {advice}") from error
    except ResponseParserError as error:
        raise StoreError(f"{asked.uri} answered {asked.what} without XML: {STRANGER}") from error
    except (aws.BotoCoreError, HTTPError, *UNREADABLE) as error:
        if "Invalid header value" in str(error):
            # Its text holds the token, which no log may show.
            raise StoreForbidden(
                f"the credentials for {asked.uri} hold a line break or another character that no "
                "header can carry: set the AWS variables anew"
            ) from None
        kind, advice = _of_trouble(error)
        said = " ".join(str(error).split())
        raise kind(f"no answer from {asked.uri} for {asked.what}: {said}: {advice}") from error


def _of_trouble(error: Exception) -> tuple[Kind, str]:
    if isinstance(error, aws.SSLError):
        return (ConfigurationError if LASTING.search(str(error)) else StoreUnavailable), TLS
    return next((kind, told) for kinds, kind, told in TROUBLES if isinstance(error, kinds))


def _of_answer(error: aws.ClientError, asked: Asked) -> tuple[Kind, str]:
    code, status = _code(error), _status(error)
    if code in CHANGED or status == 412:
        return ObjectChanged, "it is not what the writer expected"
    if code in REFUSALS:
        return REFUSALS[code]
    lacks = code in UNSUPPORTED or status in {405, 501}
    if asked.condition and (lacks or code in UNKNOWN_HEADER):
        return StoreError, (
            f"it does not support a write on a condition ({asked.condition}), and the champion "
            "pointer needs it: use S3, or a server that does"
        )
    if lacks:
        return StoreError, f"it does not support {error.operation_name}: use S3, or one that does"
    if status >= 500:
        return StoreUnavailable, "try later"
    if status in {401, 403}:
        action = {"ListObjectsV2": "ListBucket"}.get(error.operation_name, error.operation_name)
        # Whoever may not list a bucket is told 403 where an object is absent.
        needed = f"s3:{action}" + (" and s3:ListBucket" if action == "GetObject" else "")
        return StoreForbidden, f"the policies of role or user, and bucket, must allow {needed}"
    return StoreError, STRANGER if status in {301, 302, 307, 404} else "correct what it names"


def _found(error: aws.ClientError) -> str:
    """Status, code and the server's own words."""
    message = str(error.response.get("Error", {}).get("Message", "")).strip()
    return f"{_status(error)} {_code(error)}" + (f" ({message})" if message else "")


def _code(error: aws.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: aws.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
