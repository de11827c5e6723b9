"""The files that a one-node Ceph starts from."""

NAMES = ("127.0.0.1", "localhost", "o.auroraobjects.eu")  # whom the certificate is for

CONFIGURATION = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_port}/0]
public network = 127.0.0.0/8
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
run dir = {directory}
admin socket = {directory}/$name.asok
pid file = {directory}/$name.pid
log file = {directory}/$name.log
log to stderr = false
crash dir = {directory}/crash
keyring = {directory}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon data avail crit = 0
mon warn on pool no redundancy = false

[mon]
mon data = {directory}/mon

[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = {memory}

[client.rgw]
rgw data = {directory}/rgw
rgw frontends = {frontends}
rgw dns name = localhost
rgw gc obj min wait = 2
rgw gc processor period = 2
rgw gc processor max time = 2
rgw lc debug interval = -1
{options}
"""


def keyring(new_key):
    """Return a keyring with a fresh key and all rights for every daemon of the cluster.

    :param new_key: makes a cephx key.
    """
    rights = {
        "mon.": {"mon": "allow *"},
        "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
        "client.rgw": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    }
    lines = []
    for name, capabilities in rights.items():
        lines += [f"[{name}]", f"\tkey = {new_key()}"]
        lines += [f'\tcaps {daemon} = "{right}"' for daemon, right in capabilities.items()]
    return "\n".join(lines) + "\n"


def write_certificate(directory):
    """Write ``ca.pem`` and a certificate with its key for the names; return the latter's path."""
    from servers.certificates import Authority  # only TLS needs the cryptography package

    Authority(directory).server_context(*NAMES)
    return next(directory.glob("server-*.pem"))
