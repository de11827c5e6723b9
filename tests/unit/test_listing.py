"""Pages of containers, objects and uploads, in constant memory."""

import random
import threading
import tracemalloc
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libcloud.storage.base import Container
from unit.memory_s3 import Answer, error

from libcloud_aurora import errors

ODD = [
    "/",
    "//x",
    "a b",
    "a%2Fb",
    "a+b",
    "a/../b",
    "a//b",
    "ctl\x01x",
    "tab\t",
    "cr\r",
    "nl\n",
    "\ufffe",
    "\uffff",
    "é",
    "e\u0301",
    "📷",
    "]]>",
    "<&>'\"",
    " lead",
    "trail ",
    "..",
    "~",
    "null",
    "z" * 1024,
]


pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture(params=[1, 10], ids=["sequential", "ahead"])
def any_driver(request, new_driver):
    return new_driver(ex_max_concurrency=request.param)


@pytest.fixture
def photos(s3, any_driver):
    return Container(name="photos", extra={}, driver=any_driver)


def names(objects):
    return [obj.name for obj in objects]


def page(*keys, truncated=False, extra="", size="<Size>1</Size>"):
    rows = "".join(f"<Contents><Key>{key}</Key>{size}</Contents>" for key in keys)
    state = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
    return Answer(200, f"<ListBucketResult>{state}{rows}{extra}</ListBucketResult>".encode())


def test_containers_are_listed(s3, driver):
    """All containers come with their creation date, if the server tells it."""
    body = (
        b"<ListAllMyBucketsResult><Buckets><Bucket><Name>a</Name><CreationDate>d</CreationDate>"
        b"</Bucket><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>"
    )
    s3.fail(1, Answer(200, body))
    found = driver.list_containers()
    assert [(each.name, each.extra) for each in found] == [
        ("a", {"creation_date": "d"}),
        ("b", {"creation_date": None}),
    ]
    assert isinstance(found[0], Container)


def test_an_empty_container_has_no_objects(s3, photos):
    """Nothing is listed of an empty container, with one request."""
    assert photos.list_objects() == []
    assert len(s3.requests) == 1


def test_a_missing_container_is_an_error_at_the_first_step(s3, driver):
    """The iterator of a missing container raises when it is first asked."""
    objects = driver.iterate_container_objects(Container("none", {}, driver))
    with pytest.raises(errors.ContainerNotFoundError):
        next(objects)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_odd_keys_are_listed_once_and_in_order(s3, photos, step):
    """Keys of all kinds come back as they are, once, in UTF-8 order, whatever the page size."""
    for key in ODD:
        s3.put(key, b"x")

    def small(request):
        request.params["max-keys"] = str(min(step, int(request.params.get("max-keys", step))))

    s3.faults.append(small)
    assert names(photos.list_objects()) == sorted(ODD, key=str.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sets(st.text("/ab\x01é📷", min_size=1, max_size=4), max_size=25),
    st.integers(1, 4),
    st.sampled_from(["", "a", "a/", "/"]),
    st.sampled_from(["", "/", "b", "a/"]),
    st.text("/ab\x01", max_size=2),
    st.none() | st.integers(0, 6),
)
def test_any_listing_is_complete(s3, photos, keys, step, prefix, delimiter, start, limit):
    """Prefix, delimiter, start and limit select exactly what they say, over any keys and pages."""
    s3.buckets["photos"].clear()
    for key in keys:
        s3.put(key, b"x")

    def small(request):
        request.params["max-keys"] = str(min(step, int(request.params.get("max-keys", step))))

    s3.faults[:] = [small]
    expected = [
        key
        for key in sorted(keys, key=str.encode)
        if key.startswith(prefix)
        and key.encode() > start.encode()
        and not (delimiter and delimiter in key[len(prefix) :])
    ]
    found = photos.driver.list_container_objects(
        photos, prefix, ex_delimiter=delimiter, ex_start_after=start, ex_limit=limit
    )
    assert names(found) == expected[:limit]


def test_common_prefixes_are_directories(s3, photos):
    """The names up to the first delimiter come once each."""
    for key in ("a/1", "a/2", "b/c/1", "top", "b/2", "é/x"):
        s3.put(key, b"x")
    driver = photos.driver
    assert list(driver.ex_iterate_common_prefixes(photos)) == ["a/", "b/", "é/"]
    assert list(driver.ex_iterate_common_prefixes(photos, "b/")) == ["b/c/"]
    assert names(driver.iterate_container_objects(photos, ex_delimiter="/")) == ["top"]


def test_prefixes_select(s3, photos):
    """prefix, by position or keyword, and its deprecated name select."""
    for key in ("a1", "a2", "b1"):
        s3.put(key, b"x")
    driver = photos.driver
    assert names(photos.list_objects("a")) == ["a1", "a2"]
    assert names(photos.iterate_objects(prefix="b")) == ["b1"]
    with pytest.warns(DeprecationWarning, match="ex_prefix"):
        assert names(driver.list_container_objects(photos, ex_prefix="b")) == ["b1"]


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True])
def test_impossible_limits_are_refused(s3, driver, photos, limit):
    """A limit that is no number of objects is a ValueError that names it."""
    with pytest.raises(ValueError, match="ex_limit"):
        driver.list_container_objects(photos, ex_limit=limit)


@pytest.mark.parametrize(("limit", "pages"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (2300, 3)])
def test_no_more_than_the_limit_is_fetched(s3, photos, limit, pages):
    """A limit is sent to the server, so that no more pages are fetched than it needs."""
    for number in range(2300):
        s3.put(f"k{number:04d}", b"")
    found = photos.driver.list_container_objects(photos, ex_limit=limit)
    assert names(found) == [f"k{number:04d}" for number in range(limit)]
    assert len(s3.requests) == pages


def test_objects_have_what_the_server_says(s3, photos):
    """Size, hash, time, class and owner of a listed object are there."""
    s3.put("k", b"abc")
    (obj,) = photos.list_objects()
    assert (obj.size, obj.hash) == (3, "900150983cd24fb0d6963f7d28e17f72")
    assert obj.extra["last_modified"] == "2026-07-01T12:00:00.000Z"
    assert obj.extra["owner"]["id"] == "me"
    assert (obj.container, obj.driver) == (photos, photos.driver)


@pytest.mark.parametrize(
    "answers",
    [
        [page(truncated=True)],
        [page("a", truncated=True), page(truncated=True)],
        [page("a", truncated=True)] * 20,
        [page("b", truncated=True), page("a", truncated=True)] * 20,
    ],
    ids=["empty", "empty later", "the same", "backwards"],
)
def test_pages_that_lead_nowhere_end(s3, photos, answers):
    """A truncated page without keys, or with the same again, never makes an endless listing."""
    s3.faults.append(lambda request: answers.pop(0) if answers else page())
    try:
        found = names(photos.list_objects())
    except errors.AuroraObjectsError:
        found = []
    assert len(found) <= 3
    assert len(s3.requests) <= 8


@pytest.mark.parametrize(
    "bad",
    [
        Answer(200, b""),
        Answer(200, b"<html>login</html>"),
        Answer(200, b"<ListBucketResult><Contents><Key>a</Key>"),
        Answer(200, b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>"),
        page("a", size=""),
        page("a", size="<Size>big</Size>"),
        page("a", size="<Size>-1</Size>"),
        error(200, "InternalError"),
    ],
    ids=["empty", "html", "cut", "no key", "no size", "size", "negative", "error"],
)
def test_a_damaged_page_is_fetched_again(s3, photos, bad):
    """A page that is no page is fetched again, and an error that says what came if it stays so."""
    s3.put("k", b"x")
    s3.fail(2, bad)
    assert names(photos.list_objects()) == ["k"]
    s3.faults.clear()
    s3.fail(99, bad)
    with pytest.raises(
        errors.AuroraObjectsError, match=r"response is not S3|InternalError"
    ) as caught:
        photos.list_objects()
    assert len(caught.value.history) == 5


def test_a_later_page_that_fails_is_an_error(s3, photos):
    """A listing that cannot be completed is an error, never a short list."""
    for number in range(1500):
        s3.put(f"k{number:04d}", b"")
    s3.faults.append(
        lambda request: error(403, "AccessDenied") if "marker" in request.params else None
    )
    with pytest.raises(errors.AccessDeniedError):
        photos.list_objects()


def test_nothing_outlasts_a_listing_that_is_left(s3, photos, still_working):
    """Who stops in the middle has caused one page ahead at most, which is waited for."""
    for number in range(5000):
        s3.put(f"k{number:04d}", b"")
    objects = photos.iterate_objects()
    assert names(islice(objects, 3)) == ["k0000", "k0001", "k0002"]
    objects.close()
    fetched = len(s3.requests)
    assert fetched <= 2
    assert still_working() == []
    assert len(s3.requests) == fetched


class Endless:
    """A container of ten million keys, of which each page is made when it is asked for."""

    COUNT = 10_000_000

    def __call__(self, request):
        marker = request.params.get("marker", "k-1")
        first = int(marker[1:]) + 1
        last = min(first + int(request.params["max-keys"]), self.COUNT)
        keys = [f"k{number:08d}" for number in range(first, last)]
        return page(*keys, truncated=last < self.COUNT)


def test_ten_million_keys_take_constant_memory(s3, photos):
    """Memory does not grow with the number of keys; the last of ten million are reached."""
    s3.faults.append(Endless())
    objects = photos.iterate_objects()
    tracemalloc.start()
    assert sum(1 for _ in islice(objects, 3000)) == 3000
    s3.requests.clear()
    tracemalloc.reset_peak()
    begin = tracemalloc.get_traced_memory()[0]
    assert sum(1 for _ in islice(objects, 5000)) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    objects.close()
    assert peak - begin < 2_000_000  # 5,000 objects take more than 3 MB
    tail = photos.driver.iterate_container_objects(photos, ex_start_after="k09998499")
    last = ""
    count = 0
    for obj in tail:
        assert obj.name > last
        last, count = obj.name, count + 1
    assert (count, last) == (1500, "k09999999")


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_uploads_are_listed_once(s3, photos, step):
    """Uploads in progress come once each, several of one key as well, whatever the page size."""
    keys = [*random.Random(1).sample(ODD, len(ODD)), "same", "same", "same"]
    for key in keys:
        s3.begin(key, initiated="2026-07-01T12:00:00.000Z")

    def small(request):
        request.params["max-uploads"] = str(step)

    s3.faults.append(small)
    found = list(photos.driver.ex_iterate_multipart_uploads(photos))
    assert sorted(upload.key for upload in found) == sorted(keys)
    assert len({upload.id for upload in found}) == len(keys)
    assert found[0].created_at == "2026-07-01T12:00:00.000Z"


def test_uploads_are_selected_by_prefix(s3, photos):
    """Prefix and delimiter are sent to the server."""
    s3.begin("a/1")
    s3.begin("b/2")
    found = photos.driver.ex_iterate_multipart_uploads(photos, prefix="a/", delimiter="/")
    assert [upload.key for upload in found] == ["a/1"]
    assert s3.requests[-1].params["delimiter"] == "/"


@pytest.mark.parametrize("rows", ["", "<Upload><Key>k</Key><UploadId>u</UploadId></Upload>"])
def test_pages_of_uploads_that_lead_nowhere_end(s3, photos, rows):
    """A truncated page of uploads without rows, or with the same again, ends the listing."""
    body = (
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
        f"{rows}</ListMultipartUploadsResult>"
    )
    s3.faults.append(lambda request: Answer(200, body.encode()))
    try:
        found = list(photos.driver.ex_iterate_multipart_uploads(photos))
    except errors.AuroraObjectsError:
        found = []
    assert len(found) <= 2
    assert len(s3.requests) <= 8


def test_an_upload_without_owner_is_listed(s3, photos):
    """Initiator and owner are None where the server does not name them."""
    s3.begin("k")
    (upload,) = photos.driver.ex_iterate_multipart_uploads(photos)
    assert (upload.initiator, upload.owner) == (None, None)


def test_a_limit_counts_objects_and_pages_are_whole_with_a_delimiter(s3, photos):
    """With a delimiter a limit costs no request per common prefix, and gives no object too many."""
    for number in range(60):
        s3.put(f"d{number:02d}/x", b"")
    for name in ("z1", "z2", "z3"):
        s3.put(name, b"")
    s3.requests.clear()
    assert names(photos.driver.iterate_container_objects(photos, ex_delimiter="/", ex_limit=2)) == [
        "z1",
        "z2",
    ]
    assert len(s3.requests) == 1


def test_a_listing_that_is_left_does_not_try_again(s3, container, new_driver):
    """Who leaves waits for one attempt to fetch the page ahead, not for all its retries."""
    for number in range(1500):
        s3.put(f"k{number:04d}", b"")
    driver = new_driver(retry_delay=3600)
    failed = threading.Event()

    def fail(request):
        if "marker" in request.params:
            failed.set()
            return error(503, "SlowDown")
        return None

    s3.faults.append(fail)
    objects = driver.iterate_container_objects(driver.get_container("photos"))
    next(objects)
    assert failed.wait(10)
    objects.close()
    assert len([sent for sent in s3.sent("GET") if "marker" in sent.params]) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"prefix": "\ud800"}, "prefix"),
        ({"ex_delimiter": "\ud800"}, "ex_delimiter"),
        ({"ex_start_after": "\ud800"}, "ex_start_after"),
    ],
)
def test_text_without_utf_8_is_refused(s3, driver, container, arguments, name):
    """What has no UTF-8 form cannot be asked for: ValueError names the argument."""
    s3.requests.clear()
    with pytest.raises(ValueError, match=f"{name} is not valid Unicode"):
        driver.list_container_objects(container, **arguments)
    assert s3.requests == []


@pytest.mark.parametrize("name", ["prefix", "ex_delimiter", "ex_start_after"])
def test_what_is_no_text_is_refused_by_name(s3, driver, container, name):
    """A TypeError names the argument, and nothing is sent."""
    s3.requests.clear()
    with pytest.raises(TypeError, match=f"^{name} must be text, not bytes"):
        driver.list_container_objects(container, **{name: b"x"})
    assert s3.requests == []


@pytest.mark.parametrize("name", ["prefix", "delimiter"])
def test_uploads_are_not_asked_for_by_what_is_no_text(s3, driver, container, name):
    """What selects uploads needs a UTF-8 form as well: ValueError names the argument."""
    s3.requests.clear()
    with pytest.raises(ValueError, match=f"^{name} is not valid Unicode"):
        list(driver.ex_iterate_multipart_uploads(container, **{name: "\ud800"}))
    with pytest.raises(ValueError, match=r"^prefix is not valid Unicode"):
        driver.ex_cleanup_all_multipart_uploads(container, "\ud800")
    assert s3.requests == []


def test_common_prefixes_need_a_delimiter(s3, driver, container):
    """Without a delimiter there are no common prefixes: ValueError says so."""
    with pytest.raises(ValueError, match="ex_delimiter must not be empty"):
        driver.ex_iterate_common_prefixes(container, ex_delimiter="")
