"""rclone, a program written in Go; Debian's package, without a configuration file."""

from benchmarks.peers.programs import ProgramPeer


class Client(ProgramPeer):
    copy, pipe = "copyto", "rcat"

    def __init__(self, target):
        environment = {
            "AWS_CA_BUNDLE": "",  # with it, this version refuses to start; SSL_CERT_FILE suffices
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_S3_PROVIDER": "Ceph",
            "RCLONE_S3_ACCESS_KEY_ID": target.access_key,
            "RCLONE_S3_SECRET_ACCESS_KEY": target.secret_key,
            "RCLONE_S3_ENDPOINT": target.endpoint,
        }
        super().__init__(target, ["rclone"], environment, f":s3:{target.bucket}/")

    def put_directory(self, directory, prefix, threads):
        self.run("copy", directory, self.url(prefix), "--transfers", threads)

    def get_directory(self, prefix, directory, threads):
        self.run("copy", self.url(prefix), directory, "--transfers", threads)

    def list_keys(self, prefix):
        return self.lines("lsf", "-R", self.url(prefix))

    def delete_keys(self, prefix, keys):
        self.run("delete", self.url(prefix))
