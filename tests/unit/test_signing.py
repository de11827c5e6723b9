"""_s3.signing: Signature Version 4, against Amazon's own examples and against botocore."""

import hashlib
from datetime import datetime, timezone
from urllib.parse import unquote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from libcloud_aurora._s3.signing import (
    EMPTY_SHA256,
    Signer,
    canonical_query,
    hide_dots,
    quote_path,
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
ACCESS = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2013, 5, 24, tzinfo=timezone.utc)
HOST = "examplebucket.s3.amazonaws.com"
BODY_SHA256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

EXAMPLES = [
    pytest.param(
        "GET",
        "",
        "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        "/test.txt",
        {"Range": "bytes=0-9"},
        EMPTY_SHA256,
        id="GET Object",
    ),
    pytest.param(
        "PUT",
        "",
        "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        "/test%24file.text",
        {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        BODY_SHA256,
        id="PUT Object",
    ),
    pytest.param(
        "GET",
        "lifecycle=",
        "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        "/",
        {},
        EMPTY_SHA256,
        id="GET Bucket Lifecycle",
    ),
    pytest.param(
        "GET",
        "max-keys=2&prefix=J",
        "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        "/",
        {},
        EMPTY_SHA256,
        id="Get Bucket (List Objects)",
    ),
]


def signature_of(authorization):
    return authorization.rpartition("Signature=")[2]


def boto_headers(method, url, headers, sha256, token=None):
    """Sign with botocore as an independent second opinion."""
    request = AWSRequest(method=method, url=url, headers=headers, data=b"")
    request.headers["X-Amz-Content-SHA256"] = sha256
    auth = S3SigV4Auth(BotoCredentials(ACCESS, SECRET, token), "s3", "us-east-1")
    request.context["timestamp"] = "20130524T000000Z"
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request).replace("UNSIGNED-PAYLOAD", sha256)
    return canonical, auth.signature(auth.string_to_sign(request, canonical), request)


@pytest.mark.parametrize(
    ("method", "query", "digest", "signature", "path", "headers", "sha256"), EXAMPLES
)
def test_amazons_examples(method, query, digest, signature, path, headers, sha256):
    """Signing every header, Amazon's four examples give Amazon's four signatures."""
    names = {"host": HOST, "x-amz-content-sha256": sha256, "x-amz-date": "20130524T000000Z"}
    names |= {name.lower(): value for name, value in headers.items()}
    ordered = sorted(names)
    lines = [method, path, query, *(f"{name}:{names[name]}" for name in ordered), ""]
    canonical = "\n".join([*lines, ";".join(ordered), sha256])
    signer = Signer(ACCESS, SECRET)
    assert signer.signature(canonical, "20130524T000000Z") == signature
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("method", "query", "digest", "signature", "path", "headers", "sha256"), EXAMPLES[2:]
)
def test_amazons_examples_as_they_are_sent(method, query, digest, signature, path, headers, sha256):
    """Where Amazon signs what we sign, the whole Authorization header is Amazon's."""
    added = Signer(ACCESS, SECRET).headers(
        method=method,
        path=path,
        query=query,
        headers={"Host": HOST, "User-Agent": "not signed"},
        payload_sha256=sha256,
        now=NOW,
    )
    assert added == {
        "x-amz-date": "20130524T000000Z",
        "x-amz-content-sha256": sha256,
        "Authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        ),
    }


def test_amazons_example_of_signed_chunks():
    """Amazon's example: 65 KiB in two chunks and the empty one, each with Amazon's signature."""
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    added = {"x-amz-date": "20130524T000000Z", "Authorization": f"Signature={seed}"}
    chunks = [[memoryview(b"a" * 65536)], [memoryview(b"a" * 1000), memoryview(b"a" * 24)]]
    sent = b"".join(Signer(ACCESS, SECRET).chunks(chunks, added))
    assert sent == (
        b"10000;chunk-signature="
        b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a"
        * 65536
        + b"\r\n400;chunk-signature="
        b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a"
        * 1024
        + b"\r\n0;chunk-signature="
        b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )


def test_amazons_example_of_a_presigned_url():
    """Amazon's example of a GET that is signed in its query has Amazon's signature."""
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    query = Signer(ACCESS, SECRET).presigned_query(
        method="GET", path="/test.txt", headers={"host": HOST}, expires_seconds=86_400, now=NOW
    )
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
        "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_spaces_count_once_in_a_presigned_url():
    """radosgw signs runs of spaces within a header as one, in a presigned URL as well."""
    one, more = (
        Signer(ACCESS, SECRET).presigned_query(
            method="PUT",
            path="/b/k",
            headers={"host": HOST, "content-type": f"text/plain;{spaces}charset=utf-8"},
            expires_seconds=1,
            now=NOW,
        )
        for spaces in (" ", "   ")
    )
    assert one == more


@pytest.mark.parametrize("token", [None, "session/token+x="])
def test_botocore_presigns_the_same(token):
    """For a path that needs encoding, with a token and without, botocore signs the same query."""
    query = Signer(ACCESS, SECRET, token=token).presigned_query(
        method="PUT", path="/b/a%20%C5%BC", headers={"host": "h:8080"}, expires_seconds=1, now=NOW
    )
    request = AWSRequest(method="PUT", url=f"http://h:8080/b/a%20%C5%BC?{query}")
    request.context["timestamp"] = "20130524T000000Z"
    credentials = BotoCredentials(ACCESS, SECRET, token)
    auth = S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=1)
    request.url = request.url.partition("&X-Amz-Signature=")[0]
    signature = auth.signature(
        auth.string_to_sign(request, auth.canonical_request(request)), request
    )
    assert query.rpartition("X-Amz-Signature=")[2] == signature
    assert ("X-Amz-Security-Token=session%2Ftoken%2Bx%3D" in query) == bool(token)


@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(
    ("method", "path", "query", "headers"),
    [
        ("GET", "/b/k", "", {}),
        ("PUT", "/b/a%20b%2Bc%25%24%21%27%28%29%2A", "", {"Content-Type": "text/plain; x=y"}),
        ("GET", "/b/a//b/../c/./d", "", {}),
        ("GET", "/b/%C5%BC%F0%9F%93%B7~-_.", "", {}),
        ("GET", "/b/%01%09%0A", "prefix=a%2Fb%20%2B~&uploads=", {}),
        ("PUT", "/b/k", "partNumber=1&uploadId=2~x_y", {"x-amz-meta-name": "a  b   c "}),
        ("PUT", "/b/k", "", {"x-amz-meta-b": "2", "X-Amz-Meta-A": "1", "x-amz-acl": "private"}),
        ("POST", "/b", "delete=", {"Content-Type": "application/xml", "Content-MD5": "abc=="}),
    ],
)
def test_botocore_signs_the_same(method, path, query, headers, token):
    """For paths, queries and headers that need encoding, botocore makes the same signature."""
    url = f"https://o.auroraobjects.eu{path}" + (f"?{query}" if query else "")
    canonical, signature = boto_headers(method, url, headers, EMPTY_SHA256, token)
    assert canonical.split("\n")[1] == path
    added = Signer(ACCESS, SECRET, token=token).headers(
        method=method,
        path=path,
        query=query,
        headers={
            "Host": "o.auroraobjects.eu",
            "User-Agent": "x",
            "Accept-Encoding": "y",
            **headers,
        },
        payload_sha256=EMPTY_SHA256,
        now=NOW,
    )
    assert signature_of(added["Authorization"]) == signature
    assert added.get("x-amz-security-token") == token


def test_every_header_radosgw_wants_is_signed():
    """Signed are host, content-type and every x-amz-* header, and nothing a proxy may change."""
    added = Signer(ACCESS, SECRET, token="t").headers(
        method="PUT",
        path="/b/k",
        query="",
        headers={
            "Host": "h",
            "Content-Type": "c",
            "X-Amz-Meta-Z": "z",
            "x-amz-acl": "a",
            "User-Agent": "u",
            "Range": "r",
            "Content-Length": "1",
        },
        payload_sha256=EMPTY_SHA256,
        now=NOW,
    )
    names = added["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == (
        "content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-z;"
        "x-amz-security-token"
    )


def test_header_values_are_signed_as_they_go_over_the_wire():
    """A value dressed as latin-1 is signed by its bytes; runs of blanks count once."""
    dressed = "ż  x".encode().decode("latin-1")

    def sign(value):
        return Signer(ACCESS, SECRET).headers(
            method="PUT",
            path="/b/k",
            query="",
            headers={"Host": "h", "x-amz-meta-a": value},
            payload_sha256=EMPTY_SHA256,
            now=NOW,
        )["Authorization"]

    assert sign(dressed) == sign("ż x".encode().decode("latin-1"))
    assert sign(dressed) != sign("z x")


@pytest.mark.parametrize("text", ["voilà", "Å", "à", "Š x", "\u0420", "\u00a0", "\u0085"])
def test_letters_that_look_like_blanks_are_signed(text):
    """A value is signed with all bytes of its letters; 0xA0 and 0x85 at an end are no blanks."""
    dressed = text.encode().decode("latin-1")
    signer = Signer(ACCESS, SECRET)
    lines = ["PUT", "/b/k", "", "host:h", f"x-amz-content-sha256:{EMPTY_SHA256}"]
    lines += ["x-amz-date:20130524T000000Z", f"x-amz-meta-a:{dressed}", ""]
    lines += ["host;x-amz-content-sha256;x-amz-date;x-amz-meta-a", EMPTY_SHA256]
    expected = signer.signature("\n".join(lines), "20130524T000000Z")
    for value in (dressed, f" \t{dressed}\t "):
        added = signer.headers(
            method="PUT",
            path="/b/k",
            query="",
            headers={"Host": "h", "x-amz-meta-a": value},
            payload_sha256=EMPTY_SHA256,
            now=NOW,
        )
        assert signature_of(added["Authorization"]) == expected


def test_the_region_is_part_of_the_scope():
    """Another region is signed for when one is given."""
    added = Signer(ACCESS, SECRET, region="eu-1").headers(
        method="GET", path="/", query="", headers={}, payload_sha256=EMPTY_SHA256, now=NOW
    )
    assert "/20130524/eu-1/s3/aws4_request" in added["Authorization"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a b", "a%20b"),
        ("a+b%2F", "a%2Bb%252F"),
        ("../a//./b/", "../a//./b/"),
        ("~-_.", "~-_."),
        ("!$&'()*,:;=@", "%21%24%26%27%28%29%2A%2C%3A%3B%3D%40"),
        ("ż\x01\n", "%C5%BC%01%0A"),
    ],
)
def test_paths_are_encoded_as_radosgw_signs_them(path, expected):
    """All but unreserved characters and the slash is encoded, once, in capitals."""
    assert quote_path(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/b/../c", "/b%2F../c"),
        ("/b/./.", "/b%2F.%2F."),
        ("/b/...", "/b/..."),
        ("/b/.c/d..", "/b/.c/d.."),
        ("//", "//"),
    ],
)
def test_dots_that_others_would_resolve_are_hidden(path, expected):
    """Only before segments of one or two dots, a slash is encoded, and decodes to what it was."""
    assert hide_dots(path) == expected
    assert unquote(hide_dots(path)) == path


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ""),
        ({"uploads": ""}, "uploads="),
        ({"prefix": "a/b c+~", "max-keys": 3}, "max-keys=3&prefix=a%2Fb%20c%2B~"),
        ({"b": "1", "a": "2", "B": "3"}, "B=3&a=2&b=1"),
        ({"ż": "&="}, "%C5%BC=%26%3D"),
    ],
)
def test_queries_have_one_form(params, expected):
    """Parameters are sorted and encoded, a blank as %20, and one without value keeps its "="."""
    assert canonical_query(params) == expected


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5))
def test_any_query_is_plain_ascii_without_blanks(params):
    """Whatever the parameters hold, the query can be sent as it is."""
    try:
        query = canonical_query(params)
    except UnicodeEncodeError:
        assert any("\ud800" <= c <= "\udfff" for pair in params.items() for c in "".join(pair))
        return
    assert query.isascii()
    assert not set(query) & set(" +#?/\n")


def test_each_day_is_signed_with_its_own_key():
    """A signer that is used over midnight, and back, signs as one made that day."""

    def sign(signer, day):
        return signer.signature("request", f"201305{day}T000000Z")

    used = Signer(ACCESS, SECRET)
    signed = [sign(used, day) for day in (24, 25, 24)]
    assert signed == [sign(Signer(ACCESS, SECRET), day) for day in (24, 25, 24)]
    assert signed[0] != signed[1]


def test_a_signers_repr_holds_no_secret():
    """The repr of a signer shows the access key only."""
    text = repr(Signer(ACCESS, SECRET, token="token-value"))
    assert ACCESS in text
    assert SECRET not in text
    assert "token-value" not in text
