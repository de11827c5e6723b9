"""What a server can do: one probe for each row of the page "Which servers", and the page."""

import hashlib
import itertools
import re
from pathlib import Path

import pytest
from live.oracle import MIB, noise
from written import GOOD, NONE, Page, list_table

from libcloud_aurora.errors import AuroraObjectsError

PAGE = Page("servers.rst", "WRITE_SERVERS", Path(__file__).with_name("servers.json"))
KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))
#: CRC32 of "checked", in base64.
CHECKED = {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": "rQO6gw=="}

numbers = itertools.count(1)
#: The rows: what is asked, and the function that finds out.
PROBES = {}


def probe(question):
    """Make a function the answer to a row's question."""
    return lambda function: PROBES.setdefault(question, function)


class Server:
    """One container on the server that is asked, and a driver for it."""

    def __init__(self, driver, container):
        self.driver = driver
        self.container = container

    def ask(self, method, key="", params=None, headers=None, data=b""):
        """Send one request, signed, and return its status, headers and body."""
        path = self.driver._get_container_path(self.container) + (key and f"/{key}")
        try:
            response = self.driver.connection.request(
                path, params, data, headers, method, retry_failed=False
            )
        except AuroraObjectsError as error:
            return error.http_status, {}, error.code or ""
        return response.status, response.headers, response.body

    def put(self, body=b"checked", **extra):
        """Store an object of a name that no other has."""
        return self.driver.upload_object_via_stream(
            iter([body]), self.container, f"object-{next(numbers)}", **extra
        )

    def begun(self, key, headers=None):
        """Begin an upload of one part, and return the response, and what completes it."""
        _, answered, body = self.ask("POST", key, {"uploads": ""}, headers)
        upload = {"uploadId": re.search("<UploadId>(.*?)</UploadId>", body)[1]}
        etag = hashlib.md5(b"checked", usedforsecurity=False).hexdigest()
        self.ask("PUT", key, {**upload, "partNumber": 1}, None, b"checked")
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
        return answered, upload, document


def yes(condition):
    return "yes" if condition else "no"


@probe("uploads in parts, and what they hold, byte by byte")
def _parts(server):
    body = noise(11 * MIB)
    obj = server.put(body)
    return yes(b"".join(server.driver.download_object_as_stream(obj)) == body)


@probe("keys with ``..``, ``//`` and control characters")
def _keys(server):
    names = ["dots/../x", "slashes//x", "control\x01x"]
    for name in names:
        server.driver.upload_object_via_stream(iter([b"x"]), server.container, name)
    sizes = {each.name: each.size for each in server.container.list_objects()}
    return yes([sizes.get(name) for name in names] == [1, 1, 1])


@probe("encryption with your own key (SSE-C), in parts")
def _encryption(server):
    obj = server.put(noise(6 * MIB), ex_customer_key=KEY)
    stream = server.driver.download_object_as_stream(obj, ex_customer_key=KEY)
    return yes(b"".join(stream) == noise(6 * MIB))


@probe("copies from one such key to another")
def _between_keys(server):
    obj = server.put(b"secret", ex_customer_key=KEY)
    keys = {"ex_source_customer_key": KEY, "ex_customer_key": OTHER_KEY}
    try:
        server.driver.ex_copy_object(obj, server.container, f"copy-{next(numbers)}", **keys)
    except AuroraObjectsError:
        return "no"
    return "yes"


@probe("a checksum (CRC32) that is kept with an object")
def _checksum(server):
    status, answered, _ = server.ask("PUT", "sum", None, CHECKED, b"checked")
    return yes(status == 200 and "x-amz-checksum-crc32" in answered)


@probe("checksums of parts, and of the whole")
def _part_checksums(server):
    asked = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
    answered, upload, _ = server.begun("sums", asked)
    server.ask("DELETE", "sums", upload)
    return yes(answered.get("x-amz-checksum-algorithm") == "CRC32")


@probe("the layout of an object's parts (``partNumber``)")
def _layout(server):
    obj = server.put(noise(11 * MIB))
    _, answered, _ = server.ask("HEAD", obj.name, {"partNumber": 1})
    return yes(answered.get("x-amz-mp-parts-count") == "3")


@probe("``If-None-Match: *`` for an object of one part")
def _only_new(server):
    obj = server.put()
    return yes(server.ask("PUT", obj.name, None, {"If-None-Match": "*"}, b"x")[0] == 412)


@probe("``If-Match`` for an object of one part")
def _only_same(server):
    obj = server.put()

    def statuses(form):
        return [
            server.ask("PUT", obj.name, None, {"If-Match": form.format(etag)}, b"checked")[0]
            for etag in (obj.hash, "0" * 32)
        ]

    found = [statuses(form) == [200, 412] for form in ('"{}"', "{}")]
    return {(True, True): "yes", (False, True): "if its ETag is sent bare"}.get(tuple(found), "no")


@probe("``If-None-Match: *`` for an object in parts")
def _only_new_parts(server):
    key = server.put().name
    _, upload, document = server.begun(key)
    status = server.ask("POST", key, upload, {"If-None-Match": "*"}, document)[0]
    server.ask("DELETE", key, upload)
    return yes(status == 412)


@probe("``If-Match`` for deleting")
def _delete_same(server):
    key = server.put().name
    return yes(server.ask("DELETE", key, None, {"If-Match": f'"{"0" * 32}"'})[0] == 412)


@probe("ETag in the response that completes an upload")
def _completed(server):
    _, upload, document = server.begun("completed")
    _, _, body = server.ask("POST", "completed", upload, None, document)
    return yes(re.search(r"<ETag>[^<]*[0-9a-f]{32}-1", body))


@probe("``_`` in names of metadata")
def _metadata(server):
    obj = server.put(extra={"meta_data": {"a_b": "1"}})
    found = server.driver.get_object(server.container.name, obj.name).meta_data
    return {"a_b": "kept", "a-b": "becomes ``-``"}[next(iter(found))]


@probe("most objects of one page of a listing")
def _page_size(server):
    _, _, body = server.ask("GET", "", {"max-keys": 5000})
    return f"{int(re.search('<MaxKeys>([0-9]+)', body)[1]):,}"


def check(name, server, question):
    """
    Compare an answer with the committed one, or record it and write the page anew.

    A point release that is not recorded is held against the one of its version that is.
    """
    found = PROBES[question](server)
    record = PAGE.load()  # server to question to answer
    if PAGE.writing():
        record.setdefault(name, {})[question] = found
        order = sorted(record, key=lambda each: (each[0].islower(), each))
        record = {each: record[each] for each in order}
        PAGE.save(record, render(record))
    version = name.partition(".")[0]
    like = [each for each in record if each == name or each.partition(".")[0] == version]
    if not like:
        pytest.skip(f"{name} is not on the page; run with {PAGE.variable}=1 to see what it answers")
    assert record[name if name in record else like[0]].get(question) == found


def render(record):
    """Return the page of the docs."""
    rows = [
        [question, *(answers.get(question, "") for answers in record.values())]
        for question in PROBES
    ]
    table = list_table(["", *record], rows, colour={"yes": GOOD, "no": NONE}.get)
    return f"{INTRODUCTION}\n{table}\n{END}"


INTRODUCTION = f"""\
.. Written by the tests: make it anew with ``{PAGE.variable}=1 pytest tests/live/test_servers.py``.

.. role:: good
.. role:: none

Which servers
=============

The driver's live tests run on the three versions of Ceph below, which Debian packages. Each cell
was measured by requests to a real server. The driver does not ask for a version or guess one from a
name: it uses what a server shows it can do, and works without the rest.
"""

END = """
``moto`` is the server in a single process that the demo and the fault tests use. It is not Ceph,
and it ignores your own keys: the tests add encryption with them.

Not tested are Ceph 17 and 19, which lie between tested versions, and AuroraObjects itself, whose
version is not published. The program ``examples/check_server.py`` asks the server that you use,
given a container with at least one object. It only reads, and changes nothing:

.. code-block:: console

    $ export AURORA_ACCESS_KEY=... AURORA_SECRET_KEY=...
    $ python examples/check_server.py media
"""
