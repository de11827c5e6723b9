"""Many objects deleted with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from libcloud_aurora._client import Client
from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.names import ObjectPath, version_of
from libcloud_aurora._s3.signing import as_text
from libcloud_aurora._s3.xml import Named
from libcloud_aurora._transfer.workers import Task, Window
from libcloud_aurora.errors import AccessDeniedError, AuroraObjectsError, DeleteFailedError

#: Keys of one request; Ceph 10 silently ignores any more, later versions refuse them.
BATCH_SIZE = 1000
#: Bytes of one request's rows; radosgw refuses a body over 1 MiB (``rgw_max_put_param_size``).
MAX_BODY_SIZE = 1_000_000
#: Most requests at once.
AT_ONCE = 4
#: What radosgw says where fewer keys (``rgw_delete_multi_obj_max_num``) or bytes are allowed.
TOO_MANY = frozenset({"BadRequest", "InvalidRange"})
#: Errors of what is no object to delete, and of a listing that fails.
REFUSALS = (AuroraObjectsError, TypeError, ValueError)
#: What a policy must also allow: Ceph before 20 checks the request besides its objects.
PERMISSION = (
    ". Under a policy, Ceph before 20 deletes many objects at once only if s3:DeleteObject is also "
    "allowed on the container itself, arn:aws:s3:::{}; delete_object() works without that"
)


def delete_named(
    client: Client, bucket: str, named: Iterable[Named], driver: Any, *, concurrency: int
) -> None:
    """Delete objects, up to 1,000 with each request, a few requests at once."""
    deletion = Deletion(client, bucket, concurrency)
    deletion.run(named)
    causes, refused = deletion.causes, deletion.refused
    cause = causes[0] if causes else None
    failures = {**deletion.left, **deletion.failed}
    try:
        if failures and isinstance(refused, REFUSALS):  # of requests before it
            said = f". The objects after them were not requested: {refused}"
            raise _failed(failures, cause, bucket, driver, said) from refused
        if refused:
            raise refused
        says_all = not deletion.left and len({(type(each), each.code) for each in causes}) == 1
        if cause and says_all and not isinstance(cause, AccessDeniedError):
            raise cause
        advice = PERMISSION.format(bucket) if cause and cause.code == "AccessDenied" else ""
        denied = next((said for said in failures.values() if said.startswith("AccessDenied")), None)
        if denied and cause is None:  # Ceph 20 says it of each object, older ones of the request
            fields = {"driver": driver, "code": "AccessDenied", "bucket": bucket}
            cause = AccessDeniedError(
                f"deleting from container {bucket!r}: {denied.rstrip('.')}.", **fields
            )
        if failures:
            raise _failed(failures, cause, bucket, driver, advice) from cause
    finally:  # their tracebacks hold the deletion, and this frame
        deletion.causes, deletion.refused = [], None
        del cause, causes, refused, deletion


class Deletion:
    """
    Objects being deleted, and what is left of them.

    :ivar left: Objects that the server has not deleted, and why.
    :ivar failed: The same for objects whose request failed for good; none is begun after that.
    :ivar causes: Such failures; there are several if requests fail at once.
    :ivar refused: What was no object to delete; none after it is asked for.
    """

    def __init__(self, client: Client, bucket: str, concurrency: int) -> None:
        self._client = client
        self._bucket = bucket
        self._window = Window(limit=min(concurrency, AT_ONCE), interrupt=client.interrupt)
        self.left: dict[Named, str] = {}
        self.failed: dict[Named, str] = {}
        self.causes: list[AuroraObjectsError] = []
        self.refused: Exception | None = None

    def run(self, named: Iterable[Named]) -> None:
        """Delete objects, which are asked for in this thread; others wait for the responses."""
        self._window.run(self._tasks(named))

    def _tasks(self, named: Iterable[Named]) -> Iterator[Task]:
        try:
            for batch in batches(named):
                paths = {
                    each: ObjectPath(self._bucket, each.key, version_id=each.version_id)
                    for each in batch
                }
                if self.causes:
                    return
                yield Task(partial(self._delete, paths))
        except Exception as error:  # noqa: BLE001 - raised once no request is under way
            self.refused = error

    def _delete(self, paths: Mapping[Named, ObjectPath]) -> None:
        """Delete objects with one request, and with one each whose keys XML cannot carry."""
        if self._has_ended():
            return
        together = [each for each in paths if xml.can_carry(each.key)]
        try:
            if together:
                left = self._client.delete_objects(self._bucket, together, stop=self._window)
                self.left.update(left)
        except AuroraObjectsError as error:
            if error.code in TOO_MANY and len(paths) > 1:
                pairs, half = list(paths.items()), len(paths) // 2
                self._delete(dict(pairs[:half]))
                self._delete(dict(pairs[half:]))
                return
            self.failed.update(dict.fromkeys(paths, error.value))
            self.causes.append(error)
            return
        for each, path in paths.items():
            if not xml.can_carry(each.key) and not self._has_ended():
                try:
                    self._client.delete_object(path, stop=self._window)
                except AuroraObjectsError as error:
                    self.left[each] = error.value

    def _has_ended(self) -> bool:
        return bool(self.causes) or self._window.is_set()


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
    failures: Mapping[Named, str],
    cause: AuroraObjectsError | None,
    bucket: str,
    driver: Any,
    advice: str,
) -> DeleteFailedError:
    """Return the one exception for all objects that could not be deleted."""
    reasons: dict[str, list[str]] = {}
    for (key, version_id), said in islice(failures.items(), 10):
        version = f" (version {version_id})" if version_id else ""
        reasons.setdefault(said.rstrip("."), []).append(f"{key!r}{version}")
    shown = [f"{', '.join(those)}: {said}" for said, those in reasons.items()]
    if len(failures) > 10:
        shown.append(f"and {len(failures) - 10} more")
    many = "objects" if len(failures) > 1 else "object"
    error = DeleteFailedError(
        f"{len(failures)} {many} in container {bucket!r} could not be deleted: {'; '.join(shown)}"
        f"{advice}",
        driver=driver,
        bucket=bucket,
    )
    if cause:
        error.code, error.request_id, error.history = cause.code, cause.request_id, cause.history
        error.http_status = error.http_code = cause.http_status
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
