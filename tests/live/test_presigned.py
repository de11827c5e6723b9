"""Presigned URLs, used by programs that know nothing of the driver: curl and plain requests."""

import subprocess
from datetime import datetime, timedelta, timezone

import pytest
import requests
from live.keys import KEYS
from live.operations import foreign_object
from live.oracle import stored_body, stored_keys

from libcloud_aurora._s3.signing import Signer

METHODS = ("PUT", "HEAD", "GET", "DELETE")
CURL_OPTIONS = {
    # Without the Content-Type that curl would add by itself.
    "PUT": ("--request", "PUT", "--data-binary", "hello", "--header", "Content-Type:"),
    "HEAD": ("--head",),
    "GET": (),
    "DELETE": ("--request", "DELETE"),
}


def with_curl(method, url, *options):
    """Return the status and the body or headers of an answer that curl got."""
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--globoff", "--max-time", "20"),
            *("--write-out", "\n%{http_code}"),
            *(*CURL_OPTIONS[method], *options, url),
        ],
        capture_output=True,
        check=True,
    )
    text, _, status = done.stdout.decode().rpartition("\n")
    return int(status), text


def with_requests(method, url):
    """Return the status and the body or headers of an answer that requests got."""
    body = b"hello" if method == "PUT" else None
    answer = requests.request(method, url, data=body, timeout=20)
    return answer.status_code, answer.text or str(answer.headers)


@pytest.mark.parametrize("client", [with_curl, with_requests])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_method_reaches_exactly_its_object(driver, s3, bucket, client, key):
    """What a URL puts, looks at, fetches and deletes is the object of this name and no other."""
    s3.put_object(Bucket=bucket.name, Key="a", Body=b"neighbour")
    item = foreign_object(bucket, key)
    urls = {
        method: driver.ex_get_object_presigned_url(item, ex_method=method) for method in METHODS
    }

    assert client("PUT", urls["PUT"])[0] == 200
    assert stored_body(s3, bucket, key) == b"hello"
    status, headers = client("HEAD", urls["HEAD"])
    assert status == 200
    assert "5d41402abc4b2a76b9719d911017c592" in headers  # the ETag
    assert client("GET", urls["GET"]) == (200, "hello")
    assert client("DELETE", urls["DELETE"])[0] == 204
    assert stored_keys(s3, bucket.name) == ["a"]


@pytest.mark.parametrize("header", ["Content-Type: text/x-a", "x-amz-meta-a: b"])
def test_headers_that_the_url_does_not_sign(cluster, driver, s3, bucket, header):
    """A PUT may bring headers of its own, up to 18; 20.2.4 takes only those that the URL signs."""
    item = foreign_object(bucket, "a key")
    url = driver.ex_get_object_presigned_url(item, ex_method="PUT")
    refused = cluster.version >= (20, 2, 4)
    assert with_curl("PUT", url, "--header", header)[0] == (403 if refused else 200)
    assert stored_keys(s3, bucket.name) == ([] if refused else ["a key"])


@pytest.mark.parametrize("client", [with_curl, with_requests])
def test_a_url_is_for_one_method(driver, s3, bucket, client):
    """A URL for one method is refused with any other, and the object stays as it is."""
    s3.put_object(Bucket=bucket.name, Key="a key", Body=b"shared")
    item = foreign_object(bucket, "a key")
    for signed in METHODS:
        url = driver.ex_get_object_presigned_url(item, ex_method=signed)
        others = [client(method, url)[0] for method in METHODS if method != signed]
        assert others == [403] * 3
    assert stored_body(s3, bucket, "a key") == b"shared"


@pytest.mark.parametrize("expiry", [1 / 3600, 168])
def test_expiry(driver, s3, bucket, expiry):
    """URLs may live from one second to seven days."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"shared")
    answer = 0, ""
    for _ in range(20):  # a busy machine may take longer than a second to use one
        url = driver.ex_get_object_presigned_url(foreign_object(bucket, "key"), ex_expiry=expiry)
        if (answer := with_requests("GET", url))[0] == 200:
            break
    assert answer == (200, "shared")


def test_expired(driver, cluster, s3, bucket):
    """A URL made two hours ago for one hour does not work any more."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"shared")
    path, host = f"/{bucket.name}/key", f"127.0.0.1:{cluster.port}"
    signer = Signer(cluster.owner.access_key, cluster.owner.secret_key)
    for age, status in ((timedelta(minutes=30), 200), (timedelta(hours=2), 403)):
        query = signer.presigned_query(
            method="GET",
            path=path,
            headers={"host": host},
            expires_seconds=3600,
            now=datetime.now(timezone.utc) - age,
        )
        assert with_requests("GET", f"http://{host}{path}?{query}")[0] == status


@pytest.mark.parametrize("method", METHODS)
def test_default_port(make_driver, cluster, s3, bucket, method):
    """A URL without a port works where the server is on the default one."""
    s3.put_object(Bucket=bucket.name, Key="a/../b", Body=b"hello")
    driver = make_driver(host="localhost", port=None)
    url = driver.ex_get_object_presigned_url(foreign_object(bucket, "a/../b"), ex_method=method)
    assert url.startswith(f"http://localhost/{bucket.name}/")
    status, _ = with_curl(method, url, "--connect-to", f"localhost:80:127.0.0.1:{cluster.port}")
    assert status == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_https_on_another_port(make_driver, cluster, bucket, host):
    """A URL is for https if the driver is, and names a port that is not the default."""
    driver = make_driver(secure=True, host=host, port=cluster.tls_port)
    item = foreign_object(bucket, "żółw 📷")
    for method, status in (("PUT", 200), ("HEAD", 200), ("GET", 200), ("DELETE", 204)):
        url = driver.ex_get_object_presigned_url(item, ex_method=method)
        assert url.startswith(f"https://{host}:{cluster.tls_port}/")
        assert with_curl(method, url, "--cacert", str(cluster.ca_file))[0] == status


QUOTED = "%C5%BC%C3%B3%C5%82w%20%22%F0%9F%93%B7%22.txt"


@pytest.mark.parametrize("client", [with_curl, with_requests])
def test_the_response_has_the_headers_that_the_url_wants(driver, s3, bucket, client):
    """Headers of the response are the URL's; a file name beyond ASCII is there in two forms."""
    s3.put_object(Bucket=bucket.name, Key="a/../b", Body=b"shared", ContentType="text/plain")
    wanted = {
        "Content-Disposition": 'attachment; filename="żółw \\"📷\\".txt"',
        "Content-Type": "text/x-other; charset=utf-8",
        "Content-Language": "nl",
        "Cache-Control": "no-store",
    }
    item = foreign_object(bucket, "a/../b")
    arguments = {"ex_expiry": timedelta(minutes=5), "ex_response_headers": wanted}
    url = driver.ex_get_object_presigned_url(item, **arguments)
    assert client("GET", url) == (200, "shared")
    url = driver.ex_get_object_presigned_url(item, ex_method="HEAD", **arguments)
    _, headers = client("HEAD", url)
    for value in ("text/x-other; charset=utf-8", "no-store", "nl", QUOTED):
        assert value in headers
    assert requests.head(url, timeout=20).headers["Content-Disposition"] == (
        f"attachment; filename=\"___w ___.txt\"; filename*=UTF-8''{QUOTED}"
    )


def test_curl_saves_under_the_name_that_the_url_wants(driver, s3, bucket, tmp_path):
    """``curl --remote-header-name`` takes the name in ASCII, which stands before the other one."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"shared")
    headers = {"Content-Disposition": 'attachment; filename="a ż.txt"'}
    url = driver.ex_get_object_presigned_url(
        foreign_object(bucket, "key"), ex_response_headers=headers
    )
    options = ("--remote-name", "--remote-header-name", "--output-dir", str(tmp_path))
    assert with_curl("GET", url, *options)[0] == 200
    assert (tmp_path / "a _.txt").read_bytes() == b"shared"


def test_a_put_brings_the_content_type_that_the_url_signs(driver, s3, bucket):
    """A signed Content-Type is stored, and another one, or none, is refused everywhere."""
    item = foreign_object(bucket, "a key")
    url = driver.ex_get_object_presigned_url(item, ex_method="PUT", ex_content_type="image/x; a=b")
    for headers in ({}, {"Content-Type": "text/plain"}):
        assert requests.put(url, b"hello", headers=headers, timeout=20).status_code == 403
    assert stored_keys(s3, bucket.name) == []
    assert with_curl("PUT", url, "--header", "Content-Type: image/x; a=b")[0] == 200
    head = s3.head_object(Bucket=bucket.name, Key="a key")
    assert (head["ContentType"], head["ContentLength"]) == ("image/x; a=b", 5)
    same = {"Content-Type": "image/x; a=b"}
    assert requests.put(url, b"hello", headers=same, timeout=20).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Cache-Control: no-store",
        "Content-Disposition: inline",
        "Content-Encoding: x-y",
        "Content-Language: nl",
        "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==",
        "Expires: Thu, 01 Dec 2033 16:00:00 GMT",
        "If-None-Match: *",
    ],
)
def test_headers_that_need_no_signature(driver, s3, bucket, header):
    """What the documentation says may come with any presigned PUT is taken by every server."""
    item = foreign_object(bucket, "a key")
    url = driver.ex_get_object_presigned_url(item, ex_method="PUT")
    assert with_curl("PUT", url, "--header", header)[0] == 200
    assert stored_body(s3, bucket, "a key") == b"hello"
