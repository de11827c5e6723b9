"""AuroraObjects has no CDN: each of libcloud's CDN calls says so, however it is spelt."""

import pytest
from libcloud.common.types import LibcloudError

import libcloud_aurora

CALLS = {
    "enable_container_cdn": lambda d, c, o: d.enable_container_cdn(c),
    "enable_container_cdn, keyword": lambda d, c, o: d.enable_container_cdn(container=c),
    "Container.enable_cdn": lambda d, c, o: c.enable_cdn(),
    "enable_object_cdn": lambda d, c, o: d.enable_object_cdn(o),
    "enable_object_cdn, keyword": lambda d, c, o: d.enable_object_cdn(obj=o),
    "Object.enable_cdn": lambda d, c, o: o.enable_cdn(),
    "get_container_cdn_url": lambda d, c, o: d.get_container_cdn_url(c),
    "get_container_cdn_url, keyword": lambda d, c, o: d.get_container_cdn_url(container=c),
    "Container.get_cdn_url": lambda d, c, o: c.get_cdn_url(),
    "get_object_cdn_url": lambda d, c, o: d.get_object_cdn_url(o),
    "get_object_cdn_url, keyword": lambda d, c, o: d.get_object_cdn_url(obj=o),
    "get_object_cdn_url, expiry": lambda d, c, o: d.get_object_cdn_url(o, ex_expiry=24),
    "get_object_cdn_url, expiry by position": lambda d, c, o: d.get_object_cdn_url(o, 24),
    "get_object_cdn_url, method": lambda d, c, o: d.get_object_cdn_url(o, ex_method="PUT"),
    "Object.get_cdn_url": lambda d, c, o: o.get_cdn_url(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_cdn_calls(counted, proxy, s3, new_bucket, call):
    """A CDN call is a ``LibcloudError`` and a ``NotImplementedError``, and sends nothing."""
    container = counted.get_container(new_bucket())
    item = counted.upload_object_via_stream(iter([b"x"]), container, "key")
    before = len(proxy.requests)
    with pytest.raises(libcloud_aurora.CDNNotSupportedError, match="CDN") as caught:
        call(counted, container, item)
    assert isinstance(caught.value, LibcloudError)
    assert isinstance(caught.value, NotImplementedError)
    assert "ex_get_object_presigned_url" in str(caught.value)
    assert len(proxy.requests) == before
