"""A real one-node Ceph, in a temporary directory, for as long as somebody needs it.

:class:`Cluster` starts one monitor, one OSD that keeps its data in memory, and one radosgw, and
makes two users: an owner and a stranger. It needs no root, only the installed daemons::

    with Cluster() as cluster:
        print(cluster.endpoint, cluster.owner.access_key, cluster.owner.secret_key)

``python -m live.ceph`` (in ``tests/``) does the same for a shell, until Ctrl-C.

The daemons are children in sessions of their own: a Ctrl-C in the terminal reaches only the program
that tests, and the kernel kills the daemons when that program dies, however it dies. The kernel
counts the *thread* that started them as their parent: start a cluster in a thread that lives on.
"""

import argparse
import atexit
import contextlib
import functools
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from live.ceph_files import CONFIGURATION, keyring, write_certificate

PROGRAMS = (
    "ceph-mon",
    "ceph-osd",
    "radosgw",
    "radosgw-admin",
    "monmaptool",
    "ceph",
    "ceph-authtool",
    "rados",
    "setpriv",
)
INSTALL = "apt-get install ceph-mon ceph-osd radosgw ceph-common"
STORAGE_CLASS = "COLD"  # what the cluster knows beside STANDARD
START_SECONDS = 60  # per step; a whole start takes about 10


class User(NamedTuple):
    """The keys of one radosgw user."""

    name: str
    access_key: str
    secret_key: str


class CephError(Exception):
    """A daemon or a command of the cluster failed; the text ends with the tail of its log."""


@functools.cache
def missing_programs():
    """Return the names of the Ceph programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def new_key():
    """Return a cephx key of the kind that this Ceph wants."""
    command = ["ceph-authtool", "--gen-print-key"]
    return subprocess.check_output(command, text=True, cwd="/").strip()


class Cluster:
    """One monitor, one OSD in memory and one radosgw on ports of 127.0.0.1 that are theirs alone.

    :param options: more settings of radosgw, as in ``ceph.conf``:
        ``{"rgw_crypt_require_ssl": "false"}``.
    :param frontend: more words for radosgw's beast frontend, such as ``"tcp_nodelay=1"``.
    :param tls: also serve https on :attr:`tls_port`, with a certificate for 127.0.0.1,
        ``localhost`` and the service's own name that the authority in :attr:`ca_file` has signed.
    :param memory: bytes the OSD may hold before writes hang.
    """

    def __init__(self, options=None, *, frontend="", tls=False, memory=6 << 30):
        self.host = "127.0.0.1"
        self.port = self.tls_port = self.directory = None
        self.owner = User("owner", "OWNER" + secrets.token_hex(8).upper(), secrets.token_hex(20))
        self.stranger = User("other", "OTHER" + secrets.token_hex(8).upper(), secrets.token_hex(20))
        self._options = options or {}
        self._frontend = frontend
        self._tls = tls
        self._memory = memory
        self._daemons, self._ports = [], contextlib.ExitStack()

    @functools.cached_property
    def version(self):
        """The version of the Ceph that runs, such as ``(16, 2, 15)``."""
        # "ceph version 16.2.15 (618f440892089921c3e944a991122ddc44e60516) pacific (stable)"
        text = subprocess.check_output(["radosgw", "--version"], text=True, cwd="/")
        return tuple(int(number) for number in text.split()[2].split("."))

    @property
    def endpoint(self):
        """The address of the plain http endpoint."""
        return f"http://{self.host}:{self.port}"

    @property
    def ca_file(self):
        """The path of the authority's certificate (only with ``tls``)."""
        return self.directory / "ca.pem"

    @property
    def radosgw_pid(self):
        """The process id of the running radosgw."""
        return self._daemons[-1].pid

    def start(self):
        """Start everything and return the cluster; on failure nothing is left behind."""
        missing = missing_programs()
        if missing:
            raise CephError(f"not installed: {', '.join(missing)}; {INSTALL}")
        self.directory = Path(tempfile.mkdtemp(prefix="ceph-"))
        atexit.register(self.stop)
        try:
            self._configure()
            self._start_monitor()
            self._start_osd()
            self._create_users()
            self._add_storage_class()
            self._start_radosgw()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """End the daemons and remove the directory; a second call does nothing."""
        atexit.unregister(self.stop)
        for daemon in reversed(self._daemons):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)  # all data is in memory: nothing to flush
            daemon.wait()
        self._daemons.clear()
        self._ports.close()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def restart_radosgw(self, number):
        """End radosgw by a signal, and start it again."""
        daemon = self._daemons.pop()
        daemon.send_signal(number)
        try:
            daemon.wait(START_SECONDS)
        finally:
            daemon.kill()
            daemon.wait()
        self._start_radosgw()

    def admin(self, *arguments):
        """Run ``radosgw-admin``."""
        self._run("radosgw-admin", *arguments)

    def rados(self, pool, *arguments):
        """Run ``rados`` on a pool and return the lines that it prints."""
        return self._run("rados", "-p", pool, *arguments).decode(errors="replace").splitlines()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc_info):
        self.stop()

    def _configure(self):
        self.port = self._ports.enter_context(held_port())
        frontends = f"beast endpoint=127.0.0.1:{self.port}"
        if self._tls:
            self.tls_port = self._ports.enter_context(held_port())
            frontends += f" ssl_endpoint=127.0.0.1:{self.tls_port}"
            frontends += f" ssl_certificate={write_certificate(self.directory)}"
        self._fsid, self._mon_port = str(uuid.uuid4()), self._ports.enter_context(held_port())
        for name in ("mon", "osd", "rgw", "crash"):
            (self.directory / name).mkdir()
        text = CONFIGURATION.format(
            fsid=self._fsid,
            mon_port=self._mon_port,
            directory=self.directory,
            memory=self._memory,
            frontends=f"{frontends} {self._frontend}",
            options="\n".join(f"{name} = {value}" for name, value in self._options.items()),
        )
        (self.directory / "ceph.conf").write_text(text)
        (self.directory / "keyring").write_text(keyring(new_key))
        shutil.copy(self.directory / "keyring", self.directory / "osd" / "keyring")

    def _start_monitor(self):
        monmap = str(self.directory / "monmap")
        address = f"[v2:127.0.0.1:{self._mon_port}]"
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", self._fsid, monmap)
        keys = str(self.directory / "keyring")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)
        self._spawn("ceph-mon", "-f", "-i", "a", log="mon.a")

    def _start_osd(self):
        osd_id = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", str(START_SECONDS), "osd", "new", osd_id)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd_id)
        self._spawn("ceph-osd", "-f", "-i", "0", log="osd.0")

    def _start_radosgw(self):
        daemon = self._spawn("radosgw", "-f", "-n", "client.rgw", log="client.rgw")
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.host, self.port):
            for started in self._daemons:
                if started.poll() is not None:
                    raise CephError(f"{started.args} ended early\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise CephError(f"no answer from {self.endpoint}\n{self._log_tail()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(0.1)

    def _create_users(self):
        for user in (self.owner, self.stranger):
            keys = ("--access-key", user.access_key, "--secret", user.secret_key)
            names = ("--uid", user.name, "--display-name", user.name)
            self.admin("user", "create", *names, *keys)

    def _add_storage_class(self):
        names = ("--placement-id", "default-placement", "--storage-class", STORAGE_CLASS)
        pool = ("--data-pool", "default.rgw.cold.data")
        for command in (
            ("zonegroup", "placement", "add", "--rgw-zonegroup", "default", *names),
            ("zone", "placement", "add", "--rgw-zone", "default", *names, *pool),
        ):
            self.admin(*command)

    def _command(self, program, *arguments):
        return [program, "-c", str(self.directory / "ceph.conf"), *arguments]

    def _run(self, program, *arguments):
        command = self._command(program, *arguments)
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2 * START_SECONDS,
            cwd="/",
        )
        if done.returncode:
            raise CephError(f"{command}: {done.stdout.decode()[-2000:]}\n{self._log_tail()}")
        return done.stdout

    def _spawn(self, *command, log):
        with open(self.directory / f"{log}.out", "wb") as output:
            daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command(*command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",  # from which Debian 13's OSD finds its plugins
            )
        self._daemons.append(daemon)
        return daemon

    def _log_tail(self, lines=25):
        texts = []
        for path in sorted([*self.directory.glob("*.log"), *self.directory.glob("*.out")]):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            texts.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(texts)


@contextlib.contextmanager
def held_port():
    """Yield a TCP port of 127.0.0.1 that the system gives to nobody else for a ``with`` block.

    Linux lets a server with SO_REUSEADDR, as Ceph's are, listen on a port that is bound like this.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def answers(host, port):
    """Tell whether an HTTP server answers 200."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def main():
    """Run a cluster until Ctrl-C and print what a client needs to know."""
    parser = argparse.ArgumentParser(prog="python -m live.ceph", description=main.__doc__)
    parser.add_argument("--frontend", default="", help="more words for the beast frontend")
    parser.add_argument("--tls", action="store_true", help="over https")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cluster(frontend=arguments.frontend, tls=arguments.tls) as cluster:
        variables = {
            "AURORA_ENDPOINT": cluster.endpoint,
            "AURORA_ACCESS_KEY": cluster.owner.access_key,
            "AURORA_SECRET_KEY": cluster.owner.secret_key,
        }
        if arguments.tls:
            variables["AURORA_ENDPOINT"] = f"https://{cluster.host}:{cluster.tls_port}"
            variables["AURORA_CA_BUNDLE"] = cluster.ca_file
        lines = [f"export {name}={value}" for name, value in variables.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
