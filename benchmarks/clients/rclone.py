"""rclone, a program written in Go; Debian's package."""

import shutil

from benchmarks.programs import Program


def connect(target):
    """Prepare the command line; without a configuration file everything is in the environment."""
    environment = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Ceph",
        "RCLONE_S3_ACCESS_KEY_ID": target.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": target.secret_key,
        "RCLONE_S3_ENDPOINT": target.endpoint,
    }
    binary = shutil.which("rclone")
    if binary is None:
        raise FileNotFoundError("rclone is not installed")
    return Program([binary], environment, f":s3:{target.bucket}/")


def upload_file(handle, path, key):
    """Upload a file."""
    handle.run("copyto", path, handle.url(key))


def upload_stream(handle, source, key):
    """Upload standard input."""
    handle.run("rcat", handle.url(key), feed=source)


def download_file(handle, key, path):
    """Save an object."""
    handle.run("copyto", handle.url(key), path)


def download_stream(handle, key):
    """Read standard output."""
    return handle.run("cat", handle.url(key))


def put_directory(handle, directory, prefix, threads):
    """Upload all files of a directory."""
    handle.run("copy", directory, handle.url(prefix), "--transfers", threads)


def get_directory(handle, prefix, directory, threads):
    """Save all objects with a prefix."""
    handle.run("copy", handle.url(prefix), directory, "--transfers", threads)


def list_keys(handle, prefix):
    """List objects."""
    return handle.run("lsf", "-R", handle.url(prefix), lines=True)


def delete_keys(handle, prefix, keys):
    """Delete all objects with a prefix."""
    handle.run("delete", handle.url(prefix))
