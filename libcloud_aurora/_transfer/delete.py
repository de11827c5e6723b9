"""Many objects deleted with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from libcloud_aurora._client import Client
from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora.errors import AccessDeniedError, AuroraObjectsError, DeleteFailedError

#: Keys of one request; radosgw Jewel silently forgets any more, later ones refuse them.
BATCH_SIZE = 1000
#: Bytes of one request's rows; radosgw refuses a body over 1 MiB (``rgw_max_put_param_size``).
MAX_BODY_SIZE = 1_000_000


def delete_keys(client: Client, bucket: str, keys: Iterable[str], driver: Any) -> None:
    """Delete objects, up to 1,000 with a request; keys that XML cannot carry go singly."""
    failures: dict[str, str] = {}
    cause: AuroraObjectsError | None = None
    for batch in batches(keys):
        paths = {key: ObjectPath(bucket, key) for key in batch}
        together = [key for key in batch if xml.can_carry(key)]
        try:
            if together:
                failures.update(client.delete_objects(bucket, together))
        except AuroraObjectsError as error:
            if not failures and not isinstance(error, AccessDeniedError):
                raise
            failures.update(dict.fromkeys(batch, error.value))
            cause = error
            break
        for key in batch:
            if not xml.can_carry(key):
                try:
                    client.delete_object(paths[key])
                except AuroraObjectsError as error:
                    failures[key] = error.value
    denied = next((said for said in failures.values() if said.startswith("AccessDenied")), None)
    if denied and cause is None:  # Ceph 20 says it of each object, and those before of the request
        fields = {"driver": driver, "code": "AccessDenied", "bucket": bucket}
        cause = AccessDeniedError(f"deleting from container {bucket!r}: {denied}.", **fields)
    if failures:
        raise _failed(failures, bucket, driver) from cause


def batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """
    Yield as many keys at once as one request may carry, by number and by size.

    Each is in a batch once: radosgw Pacific crashes when a request names one key many times.
    """
    batch: dict[str, None] = {}
    size = 0
    for key in keys:
        if key in batch:
            continue
        row_size = xml.delete_row_size(key)
        if batch and (len(batch) == BATCH_SIZE or size + row_size > MAX_BODY_SIZE):
            yield list(batch)
            batch, size = {}, 0
        batch[key] = None
        size += row_size
    if batch:
        yield list(batch)


def _failed(failures: dict[str, str], bucket: str, driver: Any) -> DeleteFailedError:
    """Return the one exception for all objects that could not be deleted."""
    shown = [f"{key!r}: {said}" for key, said in islice(failures.items(), 10)]
    if len(failures) > 10:
        shown.append(f"and {len(failures) - 10} more")
    error = DeleteFailedError(
        f"{len(failures)} objects in container {bucket!r} could not be deleted: {'; '.join(shown)}",
        driver=driver,
        bucket=bucket,
    )
    error.failures = failures
    return error


def names_of(objects: Iterable[Any], bucket: str) -> Iterator[str]:
    """Yield the names of libcloud objects in a container, or the names themselves."""
    if isinstance(objects, (str, bytes)):
        raise TypeError("objects must be an iterable of objects or names, not a single name")
    for each in objects:
        name = getattr(each, "name", each)
        if not isinstance(name, str):
            raise TypeError(f"objects must hold objects or names, not {type(each).__name__}")
        home = getattr(getattr(each, "container", None), "name", bucket)
        if home != bucket:
            raise ValueError(f"objects: {name!r} is in container {home!r}, not in {bucket!r}")
        yield name
