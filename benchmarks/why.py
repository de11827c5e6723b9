"""Why goals are missed: from the name of a goal to sentences of reStructuredText for the page.

``python -m benchmarks.reasons`` prints the missed goals that have no reason here, ready to be
filled in, and the reasons that no missed goal needs. A test checks that against the newest results.
"""

_RIVAL = (
    "obstore needs three rounds as well, but does not ask what is stored. This driver did when it "
    "was measured: this radosgw answers CompleteMultipartUpload with an empty ETag, and the HEAD "
    "that showed which parts the object was made of took one round trip more, which is the "
    "difference or most of it. The driver sends no such HEAD any more."
)
_ROUNDS = (
    "Parts of a stream are held in memory until they are stored. Ten at once keep the promise "
    "of 64 MiB and need three rounds for 26 parts; thirteen would need two."
)
_LIMIT = (
    "The limit is reached by connections that are open and full from the first moment to the last. "
    "Opening a connection, its first request and every further one take a round trip each, and the "
    "server shares the machine. Ten connections, for which the goal was set, could at best take "
)
_TWO_ROUNDS = (
    " 26 parts of 5 MiB over 16 connections are two rounds, the second with ten parts. Beginning "
    "the upload, completing it and asking what is stored took three more round trips; the driver "
    "no longer asks."
)
_FIRST_RANGE = (
    " The first range is fetched alone, because its response says which version of the object all "
    "others must have."
)
_SHA256 = (
    "Nearly one half of this driver's CPU time is the SHA-256 of each byte, without which radosgw "
    "would store what was damaged on its way; a third is the kernel's copying. The rest, Python's, "
    "would have to shrink to a third."
)
_MD5 = (
    "The MD5 that is compared with the ETag takes 0.36 s of CPU time for 256 MiB, more than the "
    "whole goal; no peer compares. Without it (``ex_verify=False``) the driver needs a third of "
    "its CPU time and two thirds of its time."
)
_MD5_OF_STREAMS = (
    "The MD5 that is compared with the ETag takes 0.36 s for 256 MiB, in the thread that hands "
    "the bytes out; no peer compares. The rest is 130 requests of 2 MiB. They make streaming over "
    "a network several times faster than one request does, and cost time where there is no network."
)


def _ranges_of_2_mib(seconds: str) -> str:
    return (
        "Ranges of 2 MiB keep the memory of ten below 32 MiB. A connection carries one in "
        f"{seconds} s and then waits for a round trip, and the first ranges are few until the "
        "consumer keeps up."
    )


WHY: dict[str, str] = {
    "near-upload-file: ≥ 0.8 of the limit": f"{_LIMIT}1.28 s.{_TWO_ROUNDS}",
    "near-upload-stream: time ≤ 1 × best of all": _RIVAL,
    "near-upload-stream: ≥ 0.8 of the limit": _ROUNDS,
    "near-download-file: ≥ 0.8 of the limit": f"{_LIMIT}1.28 s.{_FIRST_RANGE}",
    "near-download-stream: ≥ 0.8 of the limit": _ranges_of_2_mib("0.2"),
    "far-upload-file: ≥ 0.8 of the limit": f"{_LIMIT}2.56 s.{_TWO_ROUNDS}",
    "far-upload-stream: time ≤ 1 × best of all": _RIVAL,
    "far-upload-stream: ≥ 0.8 of the limit": _ROUNDS,
    "far-download-file: ≥ 0.8 of the limit": f"{_LIMIT}2.56 s.{_FIRST_RANGE}",
    "far-download-stream: ≥ 0.8 of the limit": _ranges_of_2_mib("0.4"),
    "loopback-upload-file: CPU ≤ 0.5 × boto3": _SHA256,
    "loopback-upload-file: CPU ≤ 1 × minio": (
        "The file is read while it is sent, in chunks of 1 MiB that are signed one by one, so "
        "that no part is held in memory: half the memory and less time, for a little more work in "
        "Python."
    ),
    "loopback-download-file: CPU ≤ 0.5 × boto3": _MD5,
    "loopback-download-file: time ≤ 1 × best in Python": _MD5,
    "loopback-download-file: time ≤ 1.1 × best native": _MD5,
    "loopback-download-stream: CPU ≤ 0.5 × boto3": _MD5_OF_STREAMS,
    "loopback-download-stream: time ≤ 1 × best in Python": _MD5_OF_STREAMS,
    "loopback-download-stream: time ≤ 1.1 × best native": _MD5_OF_STREAMS,
    "small-put: time ≤ 1 × best in Python": (
        "The difference is a few percent, within what runs differ by: nearly all of the time is "
        "radosgw's."
    ),
}
