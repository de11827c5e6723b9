"""_cdn: AuroraObjects has no CDN, and says so whichever way it is asked."""

import pytest
from libcloud.common.types import LibcloudError
from libcloud.storage.base import Container, Object

from libcloud_aurora import CDNNotSupportedError

CONTAINER_CALLS = ["enable_container_cdn", "get_container_cdn_url"]
OBJECT_CALLS = ["enable_object_cdn", "get_object_cdn_url"]


@pytest.fixture
def photos(driver):
    return Container("photos", {}, driver)


@pytest.fixture
def obj(photos, driver):
    return Object("k", 1, None, {}, {}, photos, driver)


def refuses(call, *args, **kwargs):
    with pytest.raises(CDNNotSupportedError, match="AuroraObjects has no CDN") as caught:
        call(*args, **kwargs)
    assert isinstance(caught.value, LibcloudError)
    assert isinstance(caught.value, NotImplementedError)
    assert "ex_get_object_presigned_url()" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", CONTAINER_CALLS)
def test_calls_about_containers_are_refused(driver, photos, name):
    """By position, by keyword and with extras, the container calls say that there is no CDN."""
    call = getattr(driver, name)
    assert name in refuses(call, photos)
    refuses(call, container=photos)
    refuses(call, photos, ex_expiry=1)


@pytest.mark.parametrize("name", OBJECT_CALLS)
def test_calls_about_objects_are_refused(driver, obj, name):
    """By position, by keyword and with the S3 drivers' extras, the object calls do as well."""
    call = getattr(driver, name)
    assert name in refuses(call, obj)
    refuses(call, obj=obj)
    refuses(call, obj, ex_expiry=24.0, ex_method="PUT")


def test_containers_and_objects_refuse_too(photos, obj):
    """Through Container and Object it is the same error."""
    for call in (photos.enable_cdn, photos.get_cdn_url, obj.enable_cdn, obj.get_cdn_url):
        refuses(call)


def test_nothing_is_sent(s3, photos):
    """A refusal needs no server."""
    refuses(photos.get_cdn_url)
    assert s3.requests == []
