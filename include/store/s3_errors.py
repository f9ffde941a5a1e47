"""Trouble with S3 in the words of whoever runs this: what was expected, found, and what to do.

`explained` turns each error of botocore into one of ours. AWS documents the codes:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

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

ALLOWED_SKEW = timedelta(minutes=15)  # S3's own limit
SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout"}
UNSUPPORTED = {"NotImplemented", "XNotImplemented", "MethodNotAllowed"}
UNKNOWN_HEADER = {"InvalidArgument", "InvalidRequest", "BadRequest", "UnsupportedHeader", "400"}
ELSEWHERE = {
    *("PermanentRedirect", "TemporaryRedirect", "Redirect", "IncorrectEndpoint"),
    *("IllegalLocationConstraintException", "InvalidLocationConstraint", "InvalidRegion"),
    *("AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"),
}
REFUSED = {
    "InvalidAccessKeyId": "it does not know this access key: correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": (
        "the secret is not this access key's: correct AWS_SECRET_ACCESS_KEY, and look for a space "
        "or a line break in it"
    ),
    "ExpiredToken": (
        "the session token has expired: get new credentials (`aws sso login`, or a new "
        "AWS_SESSION_TOKEN with its two keys) and start again"
    ),
    "InvalidToken": "AWS_SESSION_TOKEN is not of these two keys: set all three anew, or unset it",
}
REFUSED |= {
    "ExpiredTokenException": REFUSED["ExpiredToken"],
    "TokenRefreshRequired": REFUSED["ExpiredToken"],
    "InvalidClientTokenId": REFUSED["InvalidAccessKeyId"],
}
CREDENTIALS = (
    *(aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.NoAuthTokenError),
    *(aws.SSOError, aws.TokenRetrievalError, aws.LoginError, aws.MetadataRetrievalError),
)
ENDPOINT = "AWS_ENDPOINT_URL must be a URL such as http://127.0.0.1:9000"
CA_BUNDLE = "AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE, or ca_bundle in ~/.aws/config)"
NO_BUNDLE = re.compile(
    r"\[Errno (2|13|21)\]|\[X509|\bPEM\b"
)  # absent, not ours, a directory; empty
# In an endpoint, or in a sentence such as "the region 'us-east-1' is wrong; expecting 'eu-west-1'".
REGION = re.compile(r"(?:s3[.-]|expecting '|The )([a-z]{2}(?:-[a-z]+)+-\d+)\b")


@dataclass(frozen=True)
class Asked:
    """Where a request went, and for which key; `condition` is a write's header If-…, if any."""

    uri: str
    bucket: str
    region: str | None
    key: str
    condition: str | None = None

    @property
    def what(self) -> str:
        """The key, or what has none."""
        return repr(self.key) if self.key else "the bucket"


@contextmanager
def making_a_client() -> Iterator[None]:
    """ConfigurationError where the AWS settings allow no client at all."""
    try:
        yield
    except (aws.BotoCoreError, ValueError) as error:
        raise ConfigurationError(_of_settings(error)) from error


@contextmanager
def explained(asked: Asked) -> Iterator[None]:
    """One error of ours for whatever a request for a key raises."""
    try:
        yield
    except aws.ClientError as error:
        raise _of_answer(_Said(error), asked) from error
    except aws.HTTPClientError as error:
        if "Invalid header value" in str(error):
            # Its text holds the token, which no log may show.
            raise StoreForbidden(
                f"the credentials for {asked.uri} hold a line break or another character that no "
                "header can carry: set the AWS variables anew"
            ) from None
        raise _of_connection(error, asked) from error
    except (aws.BotoCoreError, HTTPError) as error:
        raise _of_request(error, asked) from error
    except ResponseParserError as error:
        raise _of_a_stranger("text that is no XML", asked) from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ConfigurationError(
            f"the AWS settings name a file that cannot be read ({error}): correct the variable or "
            "the profile, such as AWS_WEB_IDENTITY_TOKEN_FILE"
        ) from error


def _of_settings(error: Exception) -> str:
    if isinstance(error, aws.ProfileNotFound):
        return (
            "AWS_PROFILE must name a profile of ~/.aws/config or ~/.aws/credentials (or of the "
            f"files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name): {error}. Correct "
            "it, or unset it to use the other AWS variables or a role"
        )
    if isinstance(error, aws.PartialCredentialsError):
        return (
            f"half of the credentials: {error}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "both, or neither and a profile or a role"
        )
    if isinstance(error, CREDENTIALS):
        return f"the credentials cannot be had: {error}. Sign in anew, or correct the AWS profile"
    if isinstance(error, aws.InvalidRegionError | aws.NoRegionError):
        return f"AWS_DEFAULT_REGION must be a region such as eu-central-1: {error}"
    if re.search("endpoint|URL", str(error)):
        return f"{ENDPOINT}: {error}"
    return f"the AWS settings (AWS_ variables, ~/.aws/config) cannot work: {error}"


def _of_request(error: Exception, asked: Asked) -> ChurnError:
    """No request was sent."""
    if isinstance(error, aws.NoCredentialsError):
        return StoreForbidden(
            f"no credentials for {asked.uri}: set the AWS variables (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, both), a role, or in Airflow the connection aws_default"
        )
    if isinstance(error, CREDENTIALS):
        return StoreForbidden(f"for {asked.uri}, {_of_settings(error)}")
    if isinstance(error, aws.ParamValidationError):
        found = " ".join(str(error).split())
        return ConfigurationError(
            f"CHURN_STORE_URI must name a bucket as AWS allows it, found {asked.bucket!r}: {found}"
        )
    if isinstance(error, aws.EndpointProviderError):
        return ConfigurationError(f"{ENDPOINT}: {error}")
    if isinstance(error, aws.SSLError):
        return _of_tls(error, asked)
    return _of_connection(error, asked)


def _of_connection(error: Exception, asked: Asked) -> ChurnError:
    where = "HTTP_PROXY and HTTPS_PROXY" if isinstance(error, aws.ProxyConnectionError) else None
    if isinstance(error, aws.ConnectionClosedError):
        where = "AWS_ENDPOINT_URL (https:// where the server speaks TLS)"
    return StoreUnavailable(
        f"no answer from {asked.uri} for {asked.what} ({error}): check "
        f"{where or 'AWS_ENDPOINT_URL'}, and the network"
    )


def _of_tls(error: Exception, asked: Asked) -> ChurnError:
    found = str(error)
    if "WRONG_VERSION_NUMBER" in found or "RECORD_LAYER_FAILURE" in found:
        return ConfigurationError(
            f"AWS_ENDPOINT_URL says https://, and the server does not speak TLS: {found}. Write "
            "http://, or name its TLS port"
        )
    if NO_BUNDLE.search(found):
        return ConfigurationError(
            f"{CA_BUNDLE} must name a file of PEM certificates, found none that can be read: "
            f"{found}. Correct the path or fill the file, or unset it to trust the usual "
            "authorities"
        )
    if "certificate" not in found.lower():
        return _of_connection(error, asked)  # it broke off, which may pass
    return ConfigurationError(
        f"the server's certificate is not trusted: {found}. Name a file with its authority's "
        f"certificate in {CA_BUNDLE}, and the server in AWS_ENDPOINT_URL as the certificate does"
    )


def _of_answer(said: "_Said", asked: Asked) -> ChurnError:
    if said.code == "NoSuchBucket":
        return StoreError(
            f"bucket {asked.bucket!r} does not exist: create it, or correct CHURN_STORE_URI"
        )
    if said.code == "NoSuchKey":
        return ObjectNotFound(f"no object {asked.what} in {asked.uri}")
    # 409 is S3's answer to two conditional writes that meet.
    if said.code in {"PreconditionFailed", "ConditionalRequestConflict"} or said.status == 412:
        return ObjectChanged(f"{asked.what} in {asked.uri} is not what the writer expected")
    if said.is_busy:
        return StoreUnavailable(
            f"{asked.uri} answered {said.found} for {asked.what}{said.often}: try later"
        )
    return _of_refusal(said, asked)


def _of_refusal(said: "_Said", asked: Asked) -> ChurnError:
    here, there = said.clocks()
    if said.code in SKEWED or (said.status == 403 and abs(here - there) > ALLOWED_SKEW):
        return _of_clocks(here, there, asked)
    if said.code in ELSEWHERE or said.status in {301, 302, 307}:
        return _of_region(said, asked)
    if said.code in REFUSED:
        return StoreForbidden(
            f"{asked.uri} refuses these credentials ({said.found}): {REFUSED[said.code]}"
        )
    if said.status in {401, 403}:
        return _of_permission(said, asked)
    unknown_header = asked.condition is not None and said.code in UNKNOWN_HEADER
    if said.status in {405, 501} or said.code in UNSUPPORTED or unknown_header:
        return _of_missing_feature(said, asked)
    if said.code == "BucketAlreadyExists":
        return ConfigurationError(
            f"another account has the bucket {asked.bucket!r}: choose another name in "
            "CHURN_STORE_URI"
        )
    if said.status == 404:
        return _of_a_stranger(said.found, asked)
    return StoreError(f"{asked.uri} refused {asked.what}: {said.found}")


def _of_a_stranger(found: str, asked: Asked) -> ChurnError:
    return StoreError(
        f"{asked.uri} answered {asked.what} with {found}, as no S3 does: does AWS_ENDPOINT_URL "
        "name the port of an S3-compatible server?"
    )


def _of_permission(said: "_Said", asked: Asked) -> ChurnError:
    action = {"ListObjectsV2": "ListBucket"}.get(said.operation, said.operation)
    # Whoever may not list a bucket is told 403 where an object is absent.
    needed = f"s3:{action}" + (" and s3:ListBucket" if action == "GetObject" else "")
    return StoreForbidden(
        f"{asked.uri} refuses these credentials for {asked.what} ({said.found}): the policies of "
        f"the role or user, and of the bucket, must allow {needed}"
    )


def _of_missing_feature(said: "_Said", asked: Asked) -> ChurnError:
    if asked.condition is None:
        return StoreError(
            f"{asked.uri} does not support {said.operation} (it answered {said.found}): use S3, "
            "or a server that does"
        )
    return StoreError(
        f"{asked.uri} does not support a write on a condition ({asked.condition}; it answered "
        f"{said.found}), and the champion pointer needs it: use S3, or a server that supports it"
    )


def _of_region(said: "_Said", asked: Asked) -> ChurnError:
    region = said.region()
    known = region and region != asked.region
    found = f"it is in {region}" if known else "the server does not say in which one it is"
    wanted = f"AWS_DEFAULT_REGION={region}" if known else "AWS_DEFAULT_REGION to its region"
    return ConfigurationError(
        f"bucket {asked.bucket!r} is not in the region {asked.region} ({said.code}): {found}. Set "
        f"{wanted}, and where AWS_ENDPOINT_URL is set, that region's endpoint"
    )


def _of_clocks(here: datetime, there: datetime, asked: Asked) -> ChurnError:
    minutes = abs(here - there).total_seconds() / 60
    return StoreForbidden(
        f"{asked.uri} refuses requests by this machine's clock: it says {here:%Y-%m-%d %H:%M:%S} "
        f"UTC, the server's {there:%Y-%m-%d %H:%M:%S}, {minutes:.0f} minutes apart where at most "
        f"{ALLOWED_SKEW.total_seconds() / 60:.0f} are allowed: set the clock, and keep it with NTP"
    )


class _Said:
    """A server's refusal, as botocore read it."""

    def __init__(self, error: aws.ClientError) -> None:
        self.operation = error.operation_name
        self._error: dict[str, Any] = dict(error.response.get("Error", {}))
        self._meta: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
        self.code = str(self._error.get("Code", ""))
        self.status = int(self._meta.get("HTTPStatusCode", 0))

    @property
    def found(self) -> str:
        """Status, code and the server's own words."""
        message = str(self._error.get("Message", "")).strip()
        code = "" if self.code == str(self.status) else f" {self.code}"
        return f"{self.status}{code}" + (f": {message}" if message else "")

    @property
    def is_busy(self) -> bool:
        """Whether the same request may well be answered later."""
        unable = self.status == 501 or self.code in UNSUPPORTED
        return self.code in BUSY or (self.status >= 500 and not unable)

    @property
    def often(self) -> str:
        """How often it said so, where it was asked more than once."""
        times = int(self._meta.get("RetryAttempts", 0)) + 1
        return f" {times} times" if times > 1 else ""

    def region(self) -> str | None:
        """Where the bucket is, as far as any part of the answer tells."""
        headers = self._headers()
        if known := headers.get("x-amz-bucket-region") or self._error.get("Region"):
            return str(known)
        texts = (self._error.get("Endpoint"), headers.get("location"), self._error.get("Message"))
        return next((found[1] for text in texts if (found := REGION.search(text or ""))), None)

    def clocks(self) -> tuple[datetime, datetime]:
        """This machine's time and the server's; the same twice where the answer has none."""
        here = _moment(self._error.get("RequestTime")) or datetime.now(UTC)
        if there := _moment(self._error.get("ServerTime")):
            return here, there
        try:
            return here, parsedate_to_datetime(self._headers()["date"])
        except (KeyError, ValueError):
            return here, here

    def _headers(self) -> dict[str, str]:
        return dict(self._meta.get("HTTPHeaders", {}))


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)
