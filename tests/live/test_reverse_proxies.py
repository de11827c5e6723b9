"""Behind haproxy as cephadm sets it up, and nginx as the documentation does: over https."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from live.ceph import held_port
from live.conftest import is_ci
from live.oracle import MIB, noise

from libcloud_aurora import errors

HAPROXY = """
global
    maxconn 1000
defaults
    mode http
    option http-server-close
    option redispatch
    retries 3
    timeout connect 5s
    timeout http-request 1s
    timeout http-keep-alive 5s
    timeout client 30s
    timeout server 30s
frontend service
    bind 127.0.0.1:{port} ssl crt {certificate}
    default_backend radosgw
backend radosgw
    option forwardfor
    server one 127.0.0.1:{server}
"""
NGINX = """
{user}
daemon off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    upstream radosgw {{ server 127.0.0.1:{server}; }}
{block}
}}
"""
PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "other-servers.rst"
KEYS = ["a//b", "a/../b", "./c", "/d", "e%2Fe", "f f+f", "żółw 📷", "g?g&g=#", "h/"]


class Front(NamedTuple):
    """A proxy that runs."""

    port: int
    process: subprocess.Popen
    sign: signal.Signals

    def reload(self):
        """Let new processes take over; the old ones finish what they are at."""
        self.process.send_signal(self.sign)


@pytest.fixture(scope="module", params=["haproxy", "nginx"])
def front(request, cluster, tmp_path_factory):
    """A proxy in front of the cluster."""
    program = shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        (pytest.fail if is_ci() else pytest.skip)(f"apt-get install {request.param}")
    directory = tmp_path_factory.mktemp(request.param)
    (certificate,) = cluster.directory.glob("server-*.pem")
    with held_port() as port:
        known = {"port": port, "server": cluster.port, "certificate": certificate}
        if request.param == "haproxy":
            text, command, sign = HAPROXY.format(**known), ["-W", "-f"], signal.SIGUSR2
        else:
            block = re.search(r"code-block:: nginx\n\n(.*?)\n\n\*", PAGE.read_text(), re.DOTALL)[1]
            assert "listen 443 ssl;" in block
            block = block.replace("listen 443", f"listen 127.0.0.1:{port}")
            known |= {"block": block, "directory": directory}
            known["user"] = "user root;" if os.geteuid() == 0 else ""
            text, command, sign = NGINX.format(**known), ["-c"], signal.SIGHUP
        (directory / "configuration").write_text(text)
        command = ["setpriv", "--pdeathsig", "TERM", program, *command, directory / "configuration"]
        with open(directory / "output", "wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 10
            while not listens(port):
                assert time.monotonic() < deadline
                with contextlib.suppress(subprocess.TimeoutExpired):
                    assert process.wait(0.05) is None, (directory / "output").read_text()
            yield Front(port, process, sign)
        finally:
            process.terminate()
            process.wait(30)


def listens(port):
    """Tell whether somebody accepts connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def behind(make_driver, cluster, front):
    """Return drivers that reach the cluster through the proxy."""

    def make(**settings):
        return make_driver(
            secure=True, port=front.port, ex_verify_ssl=str(cluster.ca_file), **settings
        )

    return make


def test_what_is_signed_arrives(behind, bucket, cluster):
    """Odd keys, much metadata, copies, listings, deletions and presigned URLs all work."""
    driver = behind()
    container = driver.get_container(bucket.name)
    fields = {"a_b": "1", "a.b": "2", **{f"n{number}": "v" * 1000 for number in range(11)}}
    for key in KEYS:
        extra = {"meta_data": fields}
        driver.upload_object_via_stream([key.encode()], container, key, extra=extra)
        obj = driver.get_object(bucket.name, key)
        assert b"".join(driver.download_object_as_stream(obj)) == key.encode()
        assert {name.replace("_", "-") for name in obj.meta_data} == {
            name.replace("_", "-")
            for name in fields  # Ceph 16 has no other
        }
        copy = driver.ex_copy_object(obj, container, f"{key}-copy")
        url = driver.ex_get_object_presigned_url(copy)
        assert requests.get(url, verify=str(cluster.ca_file), timeout=30).content == key.encode()
    names = [*KEYS, *(f"{key}-copy" for key in KEYS)]
    assert sorted(obj.name for obj in container.list_objects()) == sorted(names)
    driver.ex_delete_objects(container, names)
    assert container.list_objects() == []


def test_reloads_break_no_transfer(behind, bucket, front, tmp_path):
    """A proxy that is reloaded again and again delays parts and ranges, and loses nothing."""
    driver = behind(ex_max_attempts=10)
    container, body = driver.get_container(bucket.name), noise(48 * MIB)
    (tmp_path / "file").write_bytes(body)

    def reload(done, total):
        if done - seen[-1] > 8 * MIB:
            seen.append(done)
            front.reload()

    seen = [0]
    obj = driver.upload_object(str(tmp_path / "file"), container, "k", ex_progress=reload)
    assert len(seen) > 2
    seen = [0]
    driver.download_object(obj, str(tmp_path / "copy"), ex_progress=reload)
    assert len(seen) > 2
    assert (tmp_path / "copy").read_bytes() == body


def test_an_early_refusal_is_read(behind, bucket, cluster):
    """The server refuses a body before it has read it; a proxy may close while it is sent."""
    # haproxy itself loses about every third of these answers, and the attempt is made again.
    driver = behind(user=cluster.owner._replace(secret_key="wrong"), ex_max_attempts=12)
    with pytest.raises(errors.InvalidCredentialsError):
        driver.upload_object_via_stream([noise(5 * MIB)], bucket, "k")
