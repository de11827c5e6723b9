"""libcloud's own tests of its driver for AuroraObjects, as installed, run with this driver."""

import sys
import types
from pathlib import Path

import pytest

import libcloud_aurora
from libcloud_aurora._wire.connection import AuroraObjectsConnection

secrets = types.ModuleType("libcloud.test.secrets")
secrets.STORAGE_S3_PARAMS = ("key", "secret")
sys.modules[secrets.__name__] = secrets  # libcloud's developers write one of their own

from libcloud.test.storage import test_aurora, test_s3  # noqa: E402

CONTRIBUTING = (Path(__file__).parents[2] / "CONTRIBUTING.rst").read_text()
#: What expects something else; CONTRIBUTING.rst says why.
DIFFERENT = {
    "test_create_container_success",
    "test_download_object_as_stream_data_is_not_buffered_in_memory",
    "test_download_object_invalid_file_size",
    "test_download_object_range_as_stream_success",
    "test_download_object_range_success",
    "test_get_object_container_doesnt_exist",
    "test_get_object_no_content_type_and_etag_in_response_headers",
    "test_get_object_unable_to_determine_object_size",
    "test_upload_big_object_via_stream",
    "test_upload_object_invalid_ex_storage_class",
}


class Connection(AuroraObjectsConnection):
    """A connection of the tests' own, because they replace its transport for good."""


class Driver(libcloud_aurora.AuroraObjectsStorageDriver):
    """
    The driver, without pauses between attempts, and with one request at a time.

    A mock of libcloud's replaces a method of ``requests`` for as long as its request takes. Of two
    at once, the one that ends last may put back what the other had put there.
    """

    connectionCls = Connection

    def __init__(self, *args, **kwargs):
        super().__init__(*args, retry_delay=0, ex_max_concurrency=1, **kwargs)


@pytest.fixture(autouse=True)
def _differences(request):
    """Let the tests fail that expect something else, and only those."""
    if request.node.name in DIFFERENT:
        request.applymarker(pytest.mark.xfail(reason="see CONTRIBUTING.rst"))


class TestLibcloud(test_aurora.AuroraObjectsTests):
    """All tests of libcloud's driver."""

    driver_type = Driver

    def setUp(self):
        test_s3.S3Tests.setUp(self)


def test_differences_are_explained():
    """Each test that expects something else is named in CONTRIBUTING.rst, and no other."""
    tests = {name for name in dir(TestLibcloud) if name.startswith("test_")}
    assert {name for name in tests if f"``{name}``" in CONTRIBUTING} == DIFFERENT
