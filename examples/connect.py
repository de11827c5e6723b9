"""Connect to AuroraObjects with the keys found in the environment, and end in one line."""

import os
import sys
from urllib.parse import urlsplit

from libcloud.common.types import LibcloudError
from libcloud.storage.providers import get_driver

import libcloud_aurora  # registers the driver


def connect(**settings):
    """
    Return a driver for ``AURORA_ACCESS_KEY`` and ``AURORA_SECRET_KEY``.

    ``AURORA_ENDPOINT`` names another radosgw, such as ``http://127.0.0.1:9000``, and
    ``AURORA_CA_BUNDLE`` a file with the certificates of the authorities to trust.
    """
    try:
        keys = os.environ["AURORA_ACCESS_KEY"], os.environ["AURORA_SECRET_KEY"]
    except KeyError as missing:
        raise SystemExit(
            f"Set AURORA_ACCESS_KEY and AURORA_SECRET_KEY ({missing} is not set)."
        ) from None
    endpoint = os.environ.get("AURORA_ENDPOINT")
    if endpoint:
        settings.update(address(endpoint))
    bundle = os.environ.get("AURORA_CA_BUNDLE")
    if bundle:
        settings["ex_verify_ssl"] = bundle
    try:
        return get_driver("auroraobjects")(*keys, **settings)
    except ValueError as error:
        raise SystemExit(f"The driver cannot be created: {error}.") from None


def address(endpoint):
    """Return the driver's arguments for the URL of an S3 server."""
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
        raise SystemExit(f"AURORA_ENDPOINT must look like http://127.0.0.1:9000, not {endpoint!r}.")
    return {"secure": url.scheme == "https", "host": url.hostname, "port": url.port}


def run(main, *, interrupted="interrupted"):
    """
    Call a program's ``main`` and exit with what it returns.

    An error of the driver or of the disk is one line on standard error, and so is a Ctrl-C; then
    the exit code is 1.
    """
    try:
        sys.exit(main())
    except (LibcloudError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(interrupted)
