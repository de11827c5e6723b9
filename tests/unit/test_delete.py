"""Many objects deleted with few requests."""

import gc
import pickle
import threading
import weakref

import pytest
from libcloud.storage.base import Container, Object
from unit.memory_s3 import Answer, error
from workers import wait_for_workers

from libcloud_aurora import errors

MIB = 1_048_576
ODD = ["a b", "a%2Fb", "ctl\x01x", "\ufffe", "cr\rx", "<&>", " lead", "trail ", "📷", "/", ".."]


def test_odd_keys_are_deleted_and_no_others(s3, driver, container):
    """Keys of all kinds are deleted, those that XML cannot carry with requests of their own."""
    for key in [*ODD, "crx", "lead", "kept"]:
        s3.put(key, b"x")
    driver.ex_delete_objects(container, ODD)
    assert sorted(s3.buckets["photos"]) == ["crx", "kept", "lead"]
    assert (len(s3.sent("POST")), len(s3.sent("DELETE"))) == (1, 2)


@pytest.mark.parametrize(("count", "requests"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (2300, 3)])
def test_a_request_deletes_up_to_1000(s3, driver, container, count, requests):
    """No request names more than 1,000 keys, and none is sent for nothing."""
    keys = [f"k{number}" for number in range(count)]
    for key in keys:
        s3.put(key, b"")
    driver.ex_delete_objects(container, iter(keys))
    assert s3.buckets["photos"] == {}
    assert len(s3.sent("POST")) == requests


@pytest.mark.parametrize("code", ["BadRequest", "InvalidRange"])
@pytest.mark.parametrize(("most", "requests"), [(3, 7), (1, 15), (0, 4)])
def test_where_an_operator_allows_fewer(s3, driver, container, code, most, requests):
    """Fewer go with each request, in their order; where none is taken, the refusal is raised."""
    keys = [f"k{number}" for number in range(8)]
    for key in keys:
        s3.put(key, b"")

    def refuse(seen):
        if seen.method == "POST" and seen.body.count(b"<Key>") > most:
            return error(400, code)
        return None

    s3.faults.append(refuse)
    if most:
        driver.ex_delete_objects(container, keys)
    else:
        with pytest.raises(errors.AuroraObjectsError, match=code):
            driver.ex_delete_objects(container, keys)
    assert list(s3.buckets["photos"]) == (keys if most == 0 else [])
    assert len(s3.sent("POST")) == requests


@pytest.mark.parametrize("letter", ["k", "&", "ż", "\r"])
def test_no_request_is_larger_than_the_server_takes(s3, driver, container, letter):
    """Keys that are long, or that XML makes longer, go in bodies below 1 MiB."""
    length = 1020 // len(letter.encode())
    keys = [f"{number:04d}{letter * length}" for number in range(1000)]
    for key in keys:
        s3.put(key, b"")
    driver.ex_delete_objects(container, keys)
    assert s3.buckets["photos"] == {}
    assert max(len(sent.body) for sent in s3.sent("POST")) <= MIB


def test_keys_xml_cannot_carry_need_no_common_request(s3, driver, container):
    """A batch of such keys only is deleted by single requests."""
    s3.put("\x01", b"")
    driver.ex_delete_objects(container, ["\x01"])
    assert (s3.buckets["photos"], s3.sent("POST")) == ({}, [])


def test_objects_and_names_are_taken(s3, driver, container):
    """Objects and names may be mixed; what is not there counts as deleted."""
    s3.put("a", b"")
    s3.put("b", b"")
    driver.ex_delete_objects(container, [container.list_objects()[0], "b", "missing"])
    assert s3.buckets["photos"] == {}


@pytest.mark.parametrize("keys", [["a", ""], ["\x01", "k" * 1025], ["a", "b\udc80"]])
def test_an_impossible_name_deletes_nothing_of_its_batch(s3, driver, container, keys):
    """An impossible name is an error before anything of its batch is deleted."""
    s3.put("a", b"")
    with pytest.raises(errors.InvalidObjectNameError):
        driver.ex_delete_objects(container, keys)
    assert list(s3.buckets["photos"]) == ["a"]


def test_a_missing_container_is_an_error(s3, driver, container):
    """Deleting from a container that is gone says so."""
    del s3.buckets["photos"]
    with pytest.raises(errors.ContainerNotFoundError):
        driver.ex_delete_objects(container, ["a"])


def test_what_is_left_is_listed(s3, driver, container):
    """One exception tells all keys that are left, and why, after the others are deleted."""
    rows = "".join(
        f"<Error><Key>k{n}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        for n in range(12)
    )
    s3.fail(1, Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode()), method="POST")
    s3.fail(1, error(403, "AccessDenied"), method="DELETE")
    with pytest.raises(errors.DeleteFailedError, match="13 objects") as caught:
        driver.ex_delete_objects(container, [*(f"k{n}" for n in range(12)), "\x01"])
    failures = caught.value.failures
    assert failures["k0"] == "AccessDenied no"
    assert "AccessDenied" in failures["\x01"]
    assert len(failures) == 13
    assert str(caught.value).endswith("; and 3 more")
    assert pickle.loads(pickle.dumps(caught.value)).failures == failures  # noqa: S301


def test_access_denied_to_a_whole_request_is_said_of_its_objects(s3, driver, container):
    """Where the server refuses the request, its objects are left, and the text says what helps."""
    s3.fail(1, error(403, "AccessDenied"), method="POST")
    with pytest.raises(errors.DeleteFailedError, match="2 objects") as caught:
        driver.ex_delete_objects(container, ["a", "b"])
    assert "s3:DeleteObject" in str(caught.value)
    assert str(caught.value).endswith("arn:aws:s3:::photos; delete_object() works without that")
    assert str(caught.value).count("failed: AccessDenied") == 1
    assert list(caught.value.failures) == ["a", "b"]
    assert isinstance(caught.value.__cause__, errors.AccessDeniedError)


def test_access_denied_to_each_object_is_the_cause(s3, driver, container):
    """Where the server refuses each object, access is the cause, and is named once."""
    rows = "<Error><Key>k</Key><Code>AccessDenied</Code><Message>AccessDenied</Message></Error>"
    s3.fail(1, Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode()), method="POST")
    with pytest.raises(errors.DeleteFailedError, match=r"'k': AccessDenied$") as caught:
        driver.ex_delete_objects(container, ["k"])
    assert isinstance(caught.value.__cause__, errors.AccessDeniedError)


def test_a_few_failures_are_all_named(s3, driver, container):
    """Up to ten failures are in the text, without a word about more."""
    rows = "<Error><Key>k</Key><Code>AccessDenied</Code></Error>"
    s3.fail(1, Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode()), method="POST")
    with pytest.raises(errors.DeleteFailedError, match=r"'k': AccessDenied$"):
        driver.ex_delete_objects(container, ["k"])


@pytest.mark.parametrize("body", [b"", b"<html/>", b"<Error><Code>InternalError</Code></Error>"])
def test_an_answer_that_is_none_is_tried_again(s3, driver, container, body):
    """An answer that is not S3 is not taken for success."""
    s3.put("k", b"")
    s3.fail(1, Answer(200, body), method="POST")
    driver.ex_delete_objects(container, ["k"])
    assert s3.buckets["photos"] == {}
    s3.fail(9, Answer(200, body), method="POST")
    with pytest.raises(errors.AuroraObjectsError):
        driver.ex_delete_objects(container, ["k"])


@pytest.mark.parametrize("prefix", [None, "a/"])
def test_a_container_can_be_emptied(s3, driver, container, prefix):
    """All objects, or those of a prefix, are deleted, over several pages."""
    for number in range(1200):
        s3.put(f"a/{number}", b"")
    s3.put("b", b"")
    driver.ex_empty_container(container, prefix)
    assert list(s3.buckets["photos"]) == ([] if prefix is None else ["b"])


@pytest.mark.parametrize("objects", ["name", b"name", [b"name"], [None], [7]])
def test_what_is_no_list_of_names_deletes_nothing(s3, driver, container, objects):
    """A single name is not taken for a list of letters, nor bytes for a name: a TypeError."""
    for key in ("n", "a", "m", "e"):
        s3.put(key, b"")
    with pytest.raises(TypeError, match="objects must"):
        driver.ex_delete_objects(container, objects)
    assert len(s3.buckets["photos"]) == 4


@pytest.mark.parametrize("key", ["A", "\x01"])
def test_a_request_names_each_key_once(s3, driver, container, key):
    """A key given many times is sent once with a request, in the place where it came first."""
    driver.ex_delete_objects(container, ["first", *[key] * 50, "first", "last"])
    (together,) = s3.sent("POST")
    sent = [each for each in ("first", "A", "last") if f"<Key>{each}<".encode() in together.body]
    assert together.body.count(b"<Key>") == len(sent)
    assert sent == ["first", *[key] * (key == "A"), "last"]
    assert len(s3.sent("DELETE")) == (key != "A")


def test_keys_given_again_do_not_fill_a_request(s3, driver, container):
    """A request carries 1,000 different keys, however often each is given."""
    driver.ex_delete_objects(container, [f"k{number % 1000}" for number in range(5000)])
    assert [sent.body.count(b"<Key>") for sent in s3.sent("POST")] == [1000]


def test_an_object_of_another_container_deletes_nothing_of_its_batch(s3, driver, container):
    """An object of another container is refused by name, before its namesake here is deleted."""
    s3.put("a", b"")
    elsewhere = Object("a", 0, None, {}, {}, Container("other", {}, driver), driver)
    with pytest.raises(ValueError, match="'a' is in container 'other', not in 'photos'"):
        driver.ex_delete_objects(container, ["a", elsewhere])
    assert list(s3.buckets["photos"]) == ["a"]
    homeless = Object("a", 0, None, {}, {}, None, driver)
    same = Object("a", 0, None, {}, {}, Container("photos", {}, None), None)
    driver.ex_delete_objects(container, [homeless, same])
    assert s3.buckets["photos"] == {}


def test_a_request_that_fails_for_good_hides_no_earlier_failure(s3, new_driver, container):
    """What was left before a request failed for good is listed with that request's keys."""
    driver = new_driver(ex_max_concurrency=1)  # one request after the other
    rows = "<Error><Key>k7</Key><Code>AccessDenied</Code></Error>"
    s3.fail(1, Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode()), method="POST")
    s3.faults.append(
        lambda request: (
            error(403, "QuotaExceeded")
            if request.method == "POST" and b"<Key>k1000<" in request.body
            else None
        )
    )
    keys = [*(f"k{number}" for number in range(1002)), "\x01"]
    with pytest.raises(errors.DeleteFailedError, match="4 objects") as caught:
        driver.ex_delete_objects(container, keys)
    assert list(caught.value.failures) == ["k7", "k1000", "k1001", "\x01"]
    assert "QuotaExceeded" in caught.value.failures["\x01"]
    assert caught.value.__cause__.code == caught.value.code == "QuotaExceeded"
    assert caught.value.http_status == 403
    assert len(caught.value.history) == 1
    assert "policy" not in str(caught.value)
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded") as caught:
        driver.ex_delete_objects(container, keys)
    assert not isinstance(caught.value, errors.DeleteFailedError)


@pytest.mark.parametrize("last", ["", 7])
def test_what_fails_to_come_hides_no_earlier_failure(s3, driver, container, last):
    """What was left before a name is refused is listed, and the refusal is its cause."""
    rows = "<Error><Key>k7</Key><Code>AccessDenied</Code></Error>"
    s3.fail(1, Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode()), method="POST")
    with pytest.raises(errors.DeleteFailedError, match=r"1 object .*were not requested") as caught:
        driver.ex_delete_objects(
            container, [*(f"k{number}" for number in range(1000)), "more", last]
        )
    assert list(caught.value.failures) == ["k7"]
    assert isinstance(caught.value.__cause__, (errors.InvalidObjectNameError, TypeError))


@pytest.mark.parametrize(("settings", "most"), [({}, 4), ({"ex_max_concurrency": 2}, 2)])
def test_a_few_requests_delete_at_once(s3, new_driver, container, settings, most):
    """The server is busy with a thousand objects for a while, and can delete others meanwhile."""
    lock, together, most_seen, now = threading.Lock(), threading.Barrier(most), [0], [0]

    def meet(request):
        if request.method == "POST":
            with lock:
                now[0] += 1
                most_seen[0] = max(most_seen[0], now[0])
            together.wait(60)
            with lock:
                now[0] -= 1

    keys = [f"k{number}" for number in range(2 * most * 1000)]
    for key in keys:
        s3.put(key, b"")
    s3.faults.append(meet)
    new_driver(**settings).ex_delete_objects(container, keys)
    assert s3.buckets["photos"] == {}
    assert most_seen == [most]


def test_one_request_at_a_time_starts_no_thread(s3, new_driver, container):
    """With ex_max_concurrency=1 objects are deleted in the caller's thread, in their order."""
    threads, keys = [], [f"k{number}" for number in range(2500)]
    s3.faults.append(lambda request: threads.append(threading.current_thread()))
    new_driver(ex_max_concurrency=1).ex_delete_objects(container, keys)
    assert threads == [threading.main_thread()] * 3
    assert [b"<Key>k1000<" in sent.body for sent in s3.sent("POST")] == [False, True, False]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_a_request_that_fails_for_good_none_is_sent(s3, new_driver, container, concurrency):
    """Nor are further objects asked for; requests under way are waited for."""
    asked = []

    def keys():
        for number in range(100_000):
            asked.append(number)
            yield f"k{number}"

    s3.fail(99, error(403, "QuotaExceeded"), method="POST")
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        new_driver(ex_max_concurrency=concurrency).ex_delete_objects(container, keys())
    assert len(s3.sent("POST")) <= concurrency
    assert len(asked) <= (concurrency + 2) * 1000 + 1  # one waits, and one is dropped


def test_where_half_of_a_request_fails_for_good_the_other_is_not_sent(s3, driver, container):
    """What a smaller request meets ends the deletion, as if the larger one had met it."""

    def refuse(seen):
        if seen.method == "POST":
            return error(400, "BadRequest") if b"<Key>d<" in seen.body else error(403, "Quota")
        return None

    s3.faults.append(refuse)
    with pytest.raises(errors.AuroraObjectsError, match="Quota"):
        driver.ex_delete_objects(container, ["a", "b", "c", "d"])
    assert len(s3.sent("POST")) == 2


@pytest.mark.parametrize("odd", [False, True], ids=["together", "one by one"])
def test_ctrl_c_ends_a_deletion(s3, new_driver, container, keyboard, odd):
    """It waits for no pause between attempts, and nothing more is sent."""
    keys = ["\x01" * number for number in range(1, 9)] if odd else ["k"]

    def press(request):
        if request.method in ("POST", "DELETE"):
            keyboard.press()
            return error(503, "SlowDown")
        return None

    s3.faults.append(press)
    with pytest.raises(KeyboardInterrupt):
        new_driver(retry_delay=3600, backoff=1).ex_delete_objects(container, keys)
    assert len(s3.sent("POST") + s3.sent("DELETE")) == 1


def test_what_the_caller_raises_ends_a_deletion(s3, driver, container):
    """An exception of the caller's own comes once the requests under way have been made."""

    def keys():
        yield from (f"k{number}" for number in range(1500))
        raise KeyError("mine")

    for number in range(1500):
        s3.put(f"k{number}", b"")
    with pytest.raises(KeyError, match="mine"):
        driver.ex_delete_objects(container, keys())
    assert len(s3.buckets["photos"]) == 500


@pytest.mark.parametrize("first", ["AccessDenied", "QuotaExceeded"])
def test_requests_that_fail_at_once_are_all_told(s3, driver, container, first):
    """Whichever is the first, the objects of each are named, with its reason."""
    together, told = threading.Barrier(2), threading.Event()

    def refuse(seen):
        if seen.method != "POST":
            return None
        code = "AccessDenied" if b"<Key>k0<" in seen.body else "QuotaExceeded"
        together.wait(60)
        if code != first:
            told.wait(0.2)
        return error(403, code)

    s3.faults.append(refuse)
    with pytest.raises(errors.DeleteFailedError) as caught:
        driver.ex_delete_objects(container, [f"k{number}" for number in range(2000)])
    assert len(caught.value.failures) == 2000
    assert "AccessDenied" in caught.value.failures["k0"]
    assert "QuotaExceeded" in caught.value.failures["k1999"]


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("fails", ["a request", "a name", "both"])
def test_a_deletion_that_has_failed_is_let_go(s3, new_driver, container, concurrency, fails):
    """Nothing waits for the garbage collector, such as a thread of the caller's listing."""

    class Names:
        def __iter__(self):
            yield from (f"k{number}" for number in range(1500))
            if fails != "a request":
                yield ""

    if fails != "a name":
        s3.fail(99, error(403, "QuotaExceeded"), method="POST")
    driver, names = new_driver(ex_max_concurrency=concurrency), Names()
    alive = weakref.ref(names)
    gc.disable()
    try:
        with pytest.raises(errors.AuroraObjectsError):
            driver.ex_delete_objects(container, names)
        del names
        assert alive() is None
    finally:
        gc.enable()


def test_a_container_that_cannot_be_emptied_leaves_no_thread(s3, driver, container):
    """Its listing ends with the call, even while somebody has the exception."""
    for number in range(12_000):
        s3.put(f"k{number:05}", b"")
    s3.fail(99, error(403, "QuotaExceeded"), method="POST")
    with pytest.raises(errors.AuroraObjectsError) as caught:
        driver.ex_empty_container(container)
    wait_for_workers()
    assert caught.value.code == "QuotaExceeded"
