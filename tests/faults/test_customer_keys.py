"""No key of a customer (SSE-C) in any log line, error, file or object, nor left in a driver."""

from __future__ import annotations

import base64
import gc
import logging
import os
import pickle
import traceback
import types

import pytest
from faults.scene import LARGE, SMALL, content
from faults.test_secrets import texts_of
from libcloud.common.types import LibcloudError
from servers import plan
from servers.plan import FAULTS
from workers import wait_for_workers

from libcloud_aurora.errors import EncryptionKeyError


@pytest.fixture
def key():
    """A key that nothing else than this test holds."""
    return os.urandom(32)


@pytest.fixture
def obj(scene, key):
    """An object of several parts that is encrypted with the key."""
    driver = scene.driver()
    container = scene.container(driver)
    obj = driver.upload_object_via_stream(
        [content(LARGE)], container, "encrypted", ex_customer_key=key
    )
    driver.close()
    scene.proxy.requests.clear()
    return obj


def forms_of(key):
    """Return what somebody could read a key from."""
    encoded = base64.b64encode(key).decode()
    forms = [encoded, encoded.rstrip("="), key.hex(), key.hex().upper(), key.hex(" "), repr(key)]
    forms += [base64.urlsafe_b64encode(key).decode(), encoded.replace("+", "%2B")]
    return [*forms, key.decode("latin-1"), key.decode("utf-8", "replace")]


def holds(data, key):
    """Tell whether a text, or bytes, hold a key in any form."""
    if isinstance(data, str):
        return any(form in data for form in forms_of(key))
    forms = [form.encode("utf-8", "replace") for form in forms_of(key)]
    return any(form in data for form in [key, *forms])


def transfers(scene, driver, obj, key):
    """Yield every method that takes a key, as a call."""
    container, directory = scene.container(driver), scene.directory
    large, small = scene.file("large", content(LARGE)), scene.file("small", content(SMALL))
    sealed = {"ex_customer_key": key}

    def save(**how):
        driver.download_object(obj, str(directory / "target"), True, **sealed, **how)

    yield lambda: driver.upload_object(large, container, "file-a", **sealed)
    yield lambda: driver.upload_object(large, container, "file-b", ex_resume=True, **sealed)
    yield lambda: driver.upload_object(small, container, "file-c", **sealed)
    yield lambda: driver.upload_object_via_stream([content(LARGE)], container, "a", **sealed)
    yield lambda: driver.get_object(container.name, obj.name, **sealed)
    yield save
    yield lambda: save(ex_resume=True)
    yield lambda: list(driver.download_object_as_stream(obj, **sealed))
    yield lambda: list(driver.download_object_range_as_stream(obj, 5, 9, **sealed))
    yield lambda: driver.ex_copy_object(
        obj, container, "copy", ex_source_customer_key=key, **sealed
    )


def run(scene, driver, obj, key):
    """Call every method, and return the errors."""
    errors = []
    for call in transfers(scene, driver, obj, key):
        try:
            call()
        except LibcloudError as error:
            errors.append(error)
    return errors


def files(scene):
    """Yield the content of every file that is left, the unfinished ones too, and remove these."""
    for path in scene.directory.rglob("*"):
        yield path.read_bytes()
        if path.name.endswith((".part", ".journal")):
            path.unlink()


def assert_untold(errors, scene, caplog, key):
    """Check every text, pickle and file."""
    for error in errors:
        assert not any(holds(text, key) for text in texts_of(error))
        assert not holds(pickle.dumps(error), key)
    logged = [r for r in caplog.records if not r.name.startswith("boto")]
    assert not holds("\n".join(r.getMessage() for r in logged), key)
    assert not any(holds(repr(r.__dict__), key) for r in logged)
    assert not any(holds(data, key) for data in files(scene))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_failures_tell_no_key(scene, caplog, obj, key, fault):
    """Whatever fails in whatever method, nobody can read the key anywhere."""
    caplog.set_level(logging.DEBUG)
    timeout = 0.2 if fault in (plan.STALL, plan.TRICKLE) else 10
    driver = scene.driver(ex_max_attempts=2, timeout=timeout)
    scene.proxy.plan = plan.always(fault)
    scene.may_leave_empty_uploads = True
    errors = run(scene, driver, obj, key)
    sent = [
        request.headers.get("x-amz-server-side-encryption-customer-key")
        for request in scene.proxy.requests
    ]
    assert base64.b64encode(key).decode() in sent
    assert_untold(errors, scene, caplog, key)
    remove_uploads(scene)


def remove_uploads(scene):
    """Remove what an upload that is to be resumed has left."""
    scene.proxy.plan = plan.never()
    driver = scene.driver()
    driver.ex_cleanup_all_multipart_uploads(scene.container(driver))


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("form", ["xml", "html", "text", "json"])
def test_servers_that_echo_the_request(scene, caplog, obj, key, status, form):
    """A server or proxy that shows the request's headers in its error shows the key to nobody."""
    caplog.set_level(logging.DEBUG, "libcloud_aurora")

    def choose(request):
        said = {name: value for name, value in request.headers.items() if "ncryption" in name}
        lines = "\n".join(f"{name}: {value}" for name, value in said.items())
        body = {
            "xml": f"<Error><Code>Odd</Code><Message>{lines}</Message></Error>",
            "html": f"<html><body><pre>{lines}</pre></body></html>",
            "text": lines,
            "json": repr(said),
        }[form]
        return plan.document("echo", body.encode(), status)

    scene.proxy.plan = plan.Plan(choose)
    errors = run(scene, scene.driver(ex_max_attempts=2), obj, key)
    assert len(errors) == 10
    assert_untold(errors, scene, caplog, key)


def test_wrong_keys_tell_no_key(scene, caplog, obj, key):
    """Neither the right key nor the wrong one is told."""
    caplog.set_level(logging.DEBUG)
    wrong = os.urandom(32)
    errors = run(scene, scene.driver(), obj, wrong)
    assert {type(error) for error in errors} == {EncryptionKeyError}
    for each in (key, wrong):
        assert_untold(errors, scene, caplog, each)


def test_refused_arguments_tell_no_key(scene, obj, key):
    """A key that is too long, as text or in headers, is refused without being shown."""
    driver = scene.driver()
    encoded = base64.b64encode(key).decode()
    name = "x-amz-server-side-encryption-customer-key"
    for wrong in (
        {"ex_customer_key": key + b"x"},
        {"ex_customer_key": key.hex()},
        {"headers": {name: encoded + "\n"}},
        {"headers": {name: encoded, f"{name}-MD5": "x"}},
        {"headers": {name: encoded}, "ex_customer_key": os.urandom(32)},
    ):
        with pytest.raises(ValueError, match=r"headers|ex_customer_key") as caught:
            driver.upload_object_via_stream([b""], obj.container, "x", **wrong)
        shown = "".join(traceback.format_exception(caught.value))
        assert not holds(f"{shown} {caught.value!r} {caught.value.__cause__!r}", key)


@pytest.mark.parametrize(
    "fault", [plan.ANSWER_500, plan.RESET, plan.CUT_UP], ids=lambda fault: fault.name
)
def test_locals_in_tracebacks(scene, obj, key, fault):
    """A traceback that shows local variables has no header that carries the key."""
    driver = scene.driver(ex_max_attempts=1)
    scene.proxy.plan = plan.always(fault)
    scene.may_leave_empty_uploads = True
    for error in run(scene, driver, obj, key):
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert base64.b64encode(key).decode() not in "".join(shown.format())
    remove_uploads(scene)


def test_locals_in_tracebacks_where_nobody_listens(scene, obj, key):
    """A traceback of a refused connection has no header that carries the key either."""
    driver = scene.driver(port=1, ex_max_attempts=1)
    errors = run(scene, driver, obj, key)
    assert len(errors) == 10
    for error in errors:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert base64.b64encode(key).decode() not in "".join(shown.format())


def reachable(roots):
    """Yield everything that objects hold, but not the modules that they are made of."""
    apart = (type, types.ModuleType, types.FrameType, logging.Logger, logging.Handler)
    stack, seen = list(roots), set()
    while stack:
        each = stack.pop()
        if id(each) in seen or isinstance(each, apart):
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, types.FunctionType):
            stack += [each.__closure__, each.__defaults__, each.__kwdefaults__]
        else:
            stack += gc.get_referents(each)


@pytest.mark.parametrize("fault", [None, plan.ANSWER_500, plan.RESET], ids=["none", "500", "reset"])
def test_a_driver_keeps_no_key(scene, obj, key, fault):
    """After a transfer, whatever its end, the driver holds no key, and its threads are gone."""
    driver = scene.driver(ex_max_attempts=2)
    if fault:
        scene.proxy.plan = plan.always(fault)
        scene.may_leave_empty_uploads = True
    assert bool(run(scene, driver, obj, key)) is bool(fault)
    list(files(scene))
    wait_for_workers()
    gc.collect()
    held = reachable([driver, vars(driver), driver.connection])
    texts = [each for each in held if isinstance(each, (str, bytes, bytearray))]
    assert any(scene.backend.secret == text for text in texts)
    assert [text for text in texts if holds(text, key)] == []
    remove_uploads(scene)


def test_objects_hold_no_key(scene, obj, key):
    """What uploads, copies and HEADs return holds no key, nor does its pickle."""
    driver = scene.driver()
    found = driver.get_object(scene.bucket, obj.name, ex_customer_key=key)
    copy = driver.ex_copy_object(
        found, found.container, "copy", ex_source_customer_key=key, ex_customer_key=key
    )
    for each in (obj, found, copy):
        assert not holds(repr(vars(each)), key)
        assert not holds(pickle.dumps(each), key)
