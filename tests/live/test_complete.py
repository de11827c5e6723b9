"""A radosgw that does not say whether it completed an upload."""

import pytest
from live.oracle import MIB, noise, stored_head
from servers import plan
from servers.proxy import Proxy

BODY = noise(6 * MIB)
ANSWERS = [
    plan.ANSWER_503,
    plan.ANSWER_503.masking(),
    plan.LOSE,
    plan.document("HTML with 200", b"<html/>"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda fault: fault.name)
def test_an_older_object_of_the_same_bytes(make_driver, cluster, s3, bucket, answer):
    """A backup of unchanged data gets what the new upload asks for, whatever Complete answers."""
    with Proxy(cluster.host, cluster.port) as proxy:
        driver = make_driver(port=proxy.port)
        container = driver.get_container(bucket.name)
        for version in ("old", "new"):
            extra = {"content_type": f"text/{version}", "meta_data": {"v": version}}
            driver.upload_object_via_stream(iter([BODY]), container, "key", extra)
            proxy.plan = plan.once(answer, plan.is_any("complete"))
    head = stored_head(s3, bucket, "key")
    assert (head["ContentType"], head["Metadata"]) == ("text/new", {"v": "new"})
