"""Every file of examples/, run as a user runs it, against a real radosgw."""

import os
import re

import pytest
from example_runs import (
    Account,
    checksums,
    make_many,
    make_tree,
    press_ctrl_c,
    run,
    running,
    tree,
)


@pytest.fixture
def environment(cluster):
    """Return an environment with the keys of the cluster's owner."""
    keys = cluster.owner.access_key, cluster.owner.secret_key
    return Account(cluster.endpoint, *keys).environment()


def test_instantiate(environment):
    """The documented two lines make a driver."""
    assert run("instantiate.py", environment=environment) == ""


def test_upload_list_and_download(environment, bucket, tmp_path):
    """Files and streams that go up are listed and come down with the same bytes."""
    source, copy = tmp_path / "źródło", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * 50_000)

    run("upload_file.py", source, bucket.name, "żółw/1", environment=environment)
    run(
        *("stream_upload.py", bucket.name, "żółw/2"),
        stdin=source.read_bytes(),
        environment=environment,
    )
    listing = run("list_objects.py", bucket.name, "żółw/", environment=environment)
    for name in ("żółw/1", "żółw/2"):
        output = run("download_and_verify.py", bucket.name, name, copy, environment=environment)
        assert "verified" in output
        assert copy.read_bytes() == source.read_bytes()

    assert "25,600,000  bytes in 2 objects" in listing


def test_check_server(environment, driver, bucket, s3):
    """The server tells what it can do, with an object to ask about and without."""
    assert "nothing more can be asked" in run(
        "check_server.py", bucket.name, environment=environment
    )
    driver.upload_object_via_stream(iter([b"x" * 5000]), bucket, "żółw/../1")
    before = s3.list_objects(Bucket=bucket.name)["Contents"]
    says = run("check_server.py", bucket.name, environment=environment)
    assert re.search("its clock, compared with this one +[+-][0-2] s", says)
    assert re.search("its first bytes +4096 received", says)
    assert re.search("its parts, if the server says +", says)
    assert s3.list_objects(Bucket=bucket.name)["Contents"] == before


def test_backup_and_restore(environment, bucket, tmp_path):
    """A backup that is restored is the source: every file, every directory, every byte."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "restored"

    run("backup_directory.py", source, bucket.name, "żółw", environment=environment)
    run(
        *("backup_directory.py", "--restore", restored, bucket.name, "żółw"),
        environment=environment,
    )

    assert tree(restored) == tree(source)


def test_wrong_credentials_are_one_line(environment):
    """A secret key that is wrong is one line on standard error, and the exit code is 1."""
    environment["AURORA_SECRET_KEY"] = "wrong"

    says = run("list_objects.py", environment=environment, expect=1)

    assert re.fullmatch(r"InvalidCredentialsError: .*\n", says)


@pytest.mark.parametrize(
    ("variable", "code"), [("AURORA_CA_BUNDLE", 0), ("SSL_CERT_FILE", 0), ("REQUESTS_CA_BUNDLE", 1)]
)
def test_authority_comes_from_the_environment(environment, cluster, bucket, variable, code):
    """The examples and libcloud have a variable for an authority each; that of requests is idle."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        environment.pop(name, None)
    environment["AURORA_ENDPOINT"] = f"https://localhost:{cluster.tls_port}"
    environment[variable] = str(cluster.ca_file)

    says = run("list_objects.py", environment=environment, expect=code)

    assert (bucket.name if code == 0 else "CERTIFICATE_VERIFY_FAILED") in says


def test_demo(environment, driver):
    """The demonstration ends well on a radosgw and leaves nothing behind."""
    output = run("demo.py", environment=environment)

    assert "SHA-256 of each is the source's" in output
    assert "CDNNotSupportedError" in output
    names = [found.name for found in driver.iterate_containers()]
    assert not [name for name in names if name.startswith("libcloud-aurora-demo")]


def test_thousands_of_small_files(environment, bucket, tmp_path):
    """2,000 files go up and come back, every byte as it was."""
    source, back = make_many(tmp_path / "source", 2000), tmp_path / "back"

    output = run("parallel_upload.py", source, bucket.name, environment=environment)
    run(*("parallel_upload.py", source, bucket.name, "--restore-to", back), environment=environment)
    sums = run("dask_checksums.py", bucket.name, "source/3", environment=environment)

    assert "2,000 files done, 0 failed" in output
    assert tree(back / "source") == tree(source)
    assert sums.splitlines() == [line for line in checksums(source) if "  source/3" in line]


def test_sync_both_ways(environment, bucket, tmp_path):
    """300 files go up and come down; a second run does nothing, a third what has changed."""
    source, copy = make_many(tmp_path / "photos", 300), tmp_path / "copy"
    (source / "large").write_bytes(bytes(range(256)) * 50_000)

    def sync(direction, directory):
        command = ("sync_directory.py", direction, directory, bucket.name, "photos", "--delete")
        return run(*command, environment=environment)

    for direction, directory in (("up", source), ("down", copy)):
        assert "301 transferred, 0 unchanged, 0 deleted, 0 failed" in sync(direction, directory)
        assert "0 transferred, 301 unchanged, 0 deleted, 0 failed" in sync(direction, directory)
    assert tree(copy) == tree(source)

    (source / "3 żółw" / "3.txt").write_bytes(b"4" * 3)  # of the same size
    (source / "5 żółw" / "5.txt").unlink()
    for direction, directory in (("up", source), ("down", copy)):
        assert "1 transferred, 299 unchanged, 1 deleted, 0 failed" in sync(direction, directory)
    assert tree(copy) == tree(source)


def test_ctrl_c_leaves_nothing_half_done(environment, driver, bucket, tmp_path):
    """A Ctrl-C in the middle of uploads in parts ends soon; no object and no part is left of it."""
    for number in range(8):
        with open(tmp_path / f"{number}.img", "wb") as file:
            os.truncate(file.fileno(), 1024**3)  # so that none can be complete by then

    with running("parallel_upload.py", tmp_path, bucket.name, environment=environment) as process:
        while not list(driver.ex_iterate_multipart_uploads(bucket)):
            assert process.poll() is None
        assert press_ctrl_c(process)[-1].startswith("interrupted: ")

    assert list(driver.ex_iterate_multipart_uploads(bucket)) == []
    assert bucket.list_objects() == []
