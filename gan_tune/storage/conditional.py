"""Creates objects in a bucket only where there are none yet, which pyarrow cannot.

See https://developmentseed.org/obstore/latest/api/put/ and, for the request itself,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow.fs as pafs

from gan_tune.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

__all__ = ["ConditionalStore"]

SECONDS = "20s"
"""How long one request may take; outages are waited for elsewhere."""


class ConditionalStore:
    """The bucket at a location, for writes on condition.

    Args:
        location: a URI, `s3://` or `gs://`, as pyarrow understands it.
        files: what pyarrow made of it, which knows the region.

    Raises:
        StorageError: stores of another kind cannot write on condition.
    """

    def __init__(self, location: str, files: pafs.FileSystem) -> None:
        place = urlsplit(location)
        self._bucket = place.netloc.rpartition("@")[2]
        if place.scheme == "s3":
            self._store: S3Store | GCSStore = _s3(self._bucket, location, files.region)
        elif place.scheme in ("gs", "gcs"):
            self._store = _google(self._bucket)
        else:
            raise StorageError(
                "storage: must be a folder, s3:// or gs://, which can create a file only where "
                f"there is none, but is {place.scheme}://"
            )

    def create(self, path: str, content: bytes) -> bool:
        """Write an object; False, and nothing is written, if there is one.

        Args:
            path: `BUCKET/KEY`, as pyarrow has it.
            content: of the object.

        Raises:
            OSError: the store does not answer, refuses, or cannot write on condition.
        """
        from obstore.exceptions import (
            AlreadyExistsError,
            BaseError,
            PermissionDeniedError,
            UnauthenticatedError,
        )

        key = path.removeprefix(f"{self._bucket}/")
        try:
            self._store.put(key, content, mode="create")
        except AlreadyExistsError:
            return False
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise PermissionError(errno.EACCES, _reason(error)) from None
        except BaseError as error:
            raise OSError(_reason(error)) from None
        return True


def _reason(error: Exception) -> str:
    """The first line of what obstore says; its debug output follows."""
    return str(error).split("\n", 1)[0]


def _s3(bucket: str, location: str, region: str) -> S3Store:
    from obstore.store import S3Store

    place = urlsplit(location)
    options = {name: values[-1] for name, values in parse_qs(place.query).items()}
    scheme = options.get("scheme", "https")
    given: dict[str, Any] = {"region": options.get("region", region)}
    if host := options.get("endpoint_override"):
        given["endpoint"] = host if "://" in host else f"{scheme}://{host}"
        given["virtual_hosted_style_request"] = False
    key, _, secret = place.netloc.rpartition("@")[0].partition(":")
    if key:
        given |= {"access_key_id": unquote(key), "secret_access_key": unquote(secret)}
    else:
        given |= _found_credentials()
    return S3Store(
        bucket,
        **given,
        client_options={"allow_http": True, "timeout": SECONDS, "connect_timeout": "5s"},
        retry_config={"max_retries": 2},
    )


def _found_credentials() -> dict[str, Any]:
    """Where boto3 is installed, what it finds: obstore alone reads no profiles in `~/.aws`."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return {"credential_provider": Boto3CredentialProvider()}
    except (ImportError, ValueError):
        return {}


def _google(bucket: str) -> GCSStore:
    from obstore.store import GCSStore

    return GCSStore(
        bucket,
        client_options={"timeout": SECONDS, "connect_timeout": "5s"},
        retry_config={"max_retries": 2},
    )
