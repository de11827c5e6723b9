"""Over https certificates are verified, against the authority that the driver is given."""

import pytest
from libcloud.common.types import LibcloudError
from live.oracle import MIB, noise


@pytest.fixture
def over_tls(make_driver, cluster):
    """Drivers for the cluster's https endpoint."""

    def make(**settings):
        return make_driver(secure=True, port=cluster.tls_port, **settings)

    return make


def test_private_authority(over_tls, cluster, bucket, tmp_path):
    """With the authority's certificate transfers work over https."""
    driver = over_tls(ex_verify_ssl=str(cluster.ca_file))
    item = driver.upload_object_via_stream(iter([noise(12 * MIB)]), bucket, "key")
    driver.download_object(item, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == noise(12 * MIB)
    assert b"".join(driver.download_object_as_stream(item)) == noise(12 * MIB)


def test_unknown_authority(over_tls):
    """Without it the connection is refused at once, with a reason."""
    with pytest.raises(LibcloudError, match=r"(?i)certificate") as caught:
        over_tls().list_containers()
    assert len(caught.value.history) <= 1


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_no_verification(over_tls, bucket):
    """``ex_verify_ssl=False`` connects to anything, for this driver only."""
    assert over_tls(ex_verify_ssl=False).get_container(bucket.name).name == bucket.name
    with pytest.raises(LibcloudError, match=r"(?i)certificate"):
        over_tls().get_container(bucket.name)
