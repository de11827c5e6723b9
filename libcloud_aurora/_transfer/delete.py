"""Many objects deleted with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from libcloud_aurora._client import Client
from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.names import ObjectPath, version_of
from libcloud_aurora._s3.signing import as_text
from libcloud_aurora._s3.xml import Named
from libcloud_aurora.errors import AccessDeniedError, AuroraObjectsError, DeleteFailedError

#: Keys of one request; Ceph 10 silently ignores any more, later versions refuse them.
BATCH_SIZE = 1000
#: Bytes of one request's rows; radosgw refuses a body over 1 MiB (``rgw_max_put_param_size``).
MAX_BODY_SIZE = 1_000_000
#: What radosgw says where fewer keys (``rgw_delete_multi_obj_max_num``) or bytes are allowed.
TOO_MANY = frozenset({"BadRequest", "InvalidRange"})
#: What a policy must also allow: Ceph before 20 checks the request besides its objects.
PERMISSION = (
    ". Under a policy, Ceph before 20 deletes many objects at once only if s3:DeleteObject is also "
    "allowed on the container itself, arn:aws:s3:::{}; delete_object() works without that"
)


def delete_named(client: Client, bucket: str, named: Iterable[Named], driver: Any) -> None:
    """Delete objects, up to 1,000 per request; keys that XML cannot carry go one by one."""
    failures: dict[Named, str] = {}
    cause: AuroraObjectsError | None = None
    waiting: list[list[Named]] = []
    rest = batches(named)
    while True:
        try:
            batch = waiting.pop() if waiting else next(rest, [])
            paths = {
                each: ObjectPath(bucket, each.key, version_id=each.version_id) for each in batch
            }
        except (AuroraObjectsError, TypeError, ValueError) as error:
            if failures:  # of earlier requests, which nobody else would tell
                said = f". The objects after them were not requested: {error}"
                raise _failed(failures, bucket, driver, said) from error
            raise
        if not batch:
            break
        together = [each for each in batch if xml.can_carry(each.key)]
        try:
            if together:
                failures.update(client.delete_objects(bucket, together))
        except AuroraObjectsError as error:
            if error.code in TOO_MANY and len(batch) > 1:
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
                continue
            if not failures and not isinstance(error, AccessDeniedError):
                raise
            failures.update(dict.fromkeys(batch, error.value))
            cause = error
            break
        for each, path in paths.items():
            if not xml.can_carry(each.key):
                try:
                    client.delete_object(path)
                except AuroraObjectsError as error:
                    failures[each] = error.value
    advice = PERMISSION.format(bucket) if cause and cause.code == "AccessDenied" else ""
    denied = next((said for said in failures.values() if said.startswith("AccessDenied")), None)
    if denied and cause is None:  # Ceph 20 says it of each object, older ones of the request
        fields = {"driver": driver, "code": "AccessDenied", "bucket": bucket}
        cause = AccessDeniedError(
            f"deleting from container {bucket!r}: {denied.rstrip('.')}.", **fields
        )
    if failures:
        raise _failed(failures, bucket, driver, advice) from cause


def batches(named: Iterable[Named]) -> Iterator[list[Named]]:
    """
    Yield as many objects at once as one request may carry, by number and by size.

    Each is in a batch once: Ceph 16 crashes when a request names one key many times.
    """
    batch: dict[Named, None] = {}
    size = 0
    for each in named:
        if each in batch:
            continue
        row_size = xml.delete_row_size(each)
        if batch and (len(batch) == BATCH_SIZE or size + row_size > MAX_BODY_SIZE):
            yield list(batch)
            batch, size = {}, 0
        batch[each] = None
        size += row_size
    if batch:
        yield list(batch)


def _failed(
    failures: Mapping[Named, str], bucket: str, driver: Any, advice: str
) -> DeleteFailedError:
    """Return the one exception for all objects that could not be deleted."""
    shown = [
        f"{key!r}{f', version {version_id}' if version_id else ''}: {said.rstrip('.')}"
        for (key, version_id), said in islice(failures.items(), 10)
    ]
    if len(failures) > 10:
        shown.append(f"and {len(failures) - 10} more")
    many = "objects" if len(failures) > 1 else "object"
    error = DeleteFailedError(
        f"{len(failures)} {many} in container {bucket!r} could not be deleted: {'; '.join(shown)}"
        f"{advice}",
        driver=driver,
        bucket=bucket,
    )
    error.failures = {each.key: said for each, said in failures.items()}
    return error


def named_by(objects: Iterable[Any], bucket: str) -> Iterator[Named]:
    """Yield what libcloud objects in a container, or names, stand for."""
    if isinstance(objects, (str, bytes)):
        raise TypeError("objects must be an iterable of objects or names, not a single name")
    for each in objects:
        name = each if isinstance(each, str) else getattr(each, "name", each)
        if not isinstance(name, str):
            raise TypeError(f"objects must contain objects or names, not {type(each).__name__}")
        home = getattr(getattr(each, "container", None), "name", bucket)
        if home != bucket:
            raise ValueError(f"objects: {name!r} is in container {home!r}, not in {bucket!r}")
        yield Named(as_text(name), version_of(each))
