"""Many objects deleted with few requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from libcloud_aurora import _xml
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._secrets import redact
from libcloud_aurora.errors import AuroraObjectsError, DeleteFailedError

#: Keys of one request; radosgw Jewel silently forgets any more, later ones refuse them.
BATCH_SIZE = 1000
#: Bytes of one request's rows; radosgw refuses a body over 1 MiB (``rgw_max_put_param_size``).
MAX_BODY_SIZE = 1_000_000


def read_failures(response: AuroraResponse) -> _xml.Page:
    """Read an answer to DeleteObjects."""
    return response.page(root="DeleteResult", row="Error")


def delete_keys(
    request: Callable[..., AuroraResponse],
    bucket_path: str,
    keys: Iterable[str],
    quote_key: Callable[[str], str],
) -> tuple[dict[str, str], AuroraObjectsError | None]:
    """
    Delete objects, up to 1,000 with a request; keys that XML cannot carry go singly.

    :return: The keys that are left, and what the server said of each; and the failure that ended
        it, if one did. Keys that come after it were not tried.
    :raises AuroraObjectsError: if a request fails for good, and nothing else is known to be left.
    """
    failures: dict[str, str] = {}
    for batch in batches(keys):
        paths = {key: f"{bucket_path}/{quote_key(key)}" for key in batch}
        try:
            failures.update(_delete_together(request, bucket_path, batch))
        except AuroraObjectsError as error:
            if not failures:
                raise
            return {**failures, **dict.fromkeys(batch, error.value)}, error
        for key in batch:
            if not _xml.can_carry(key):
                try:
                    request(paths[key], method="DELETE")
                except AuroraObjectsError as error:
                    failures[key] = error.value
    return failures, None


def _delete_together(
    request: Callable[..., AuroraResponse], bucket_path: str, batch: Iterable[str]
) -> dict[str, str]:
    """Delete those keys that XML can carry, and return what is left of them."""
    together = [key for key in batch if _xml.can_carry(key)]
    if not together:
        return {}
    body = _xml.delete_objects(together)
    response = request(
        bucket_path, method="POST", params={"delete": ""}, data=body, accept=read_failures
    )
    return {
        row.get("Key", ""): redact(f"{row.get('Code')} {row.get('Message', '')}".strip())
        for row in response.accepted.rows
    }


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
        row_size = _xml.delete_row_size(key)
        if batch and (len(batch) == BATCH_SIZE or size + row_size > MAX_BODY_SIZE):
            yield list(batch)
            batch, size = {}, 0
        batch[key] = None
        size += row_size
    if batch:
        yield list(batch)


def failed(failures: dict[str, str], bucket: str, driver: Any) -> DeleteFailedError:
    """Return the one exception for all objects that could not be deleted."""
    shown = "; ".join(f"{key!r}: {said}" for key, said in islice(failures.items(), 10))
    more = f"; and {len(failures) - 10} more" if len(failures) > 10 else ""
    error = DeleteFailedError(
        f"{len(failures)} objects in container {bucket!r} could not be deleted: {shown}{more}",
        driver=driver,
        bucket=bucket,
    )
    error.failures = failures
    return error


def names_of(objects: Iterable[Any], bucket: str) -> Iterator[str]:
    """
    Yield the names of libcloud objects, or the names themselves.

    :param bucket: The container they are deleted from.
    :raises TypeError: if it is a single name, whose letters are no names, or holds something else.
    :raises ValueError: at an object of another container, whose namesake would be deleted.
    """
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
