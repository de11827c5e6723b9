"""Why goals are missed: name of a goal to sentences of reStructuredText for the page.

``python -m benchmarks.reasons`` prints the missed goals that have none here, ready to be filled in,
and the reasons here that no missed goal needs. A test compares the same with the newest results.
"""

_RIVAL = (
    "obstore needs three rounds as well, but does not ask what is stored: the answer of this "
    "radosgw to CompleteMultipartUpload has an empty ETag, and the HEAD that proves which parts "
    "the object was made of takes one round trip more, which is longer than the difference or "
    "most of it. A radosgw that answers with the ETag, as newer ones do, is not asked."
)
_ROUNDS = (
    "Parts of a stream are held in memory until they are stored. Ten at once keep the promise "
    "of 64 MiB and need three rounds for 26 parts; thirteen would need two."
)
_SHA256 = (
    "Of this driver's CPU time nearly one half is the SHA-256 of each byte, without which "
    "radosgw would store what was damaged on its way, and a third is the kernel's copying. The "
    "rest, Python's, would have to shrink to a third of what it is."
)
_MD5 = (
    "The MD5 that is compared with the ETag takes 0.36 s of CPU time for 256 MiB, more than the"
    " whole goal; no peer compares. Without it (``ex_verify=False``) the driver takes a third "
    "of its CPU time and two thirds of its time."
)
_MD5_OF_STREAMS = (
    "The MD5 that is compared with the ETag takes 0.36 s for 256 MiB, in the thread that hands "
    "the bytes out; no peer compares. What remains is 130 requests of 2 MiB: they make "
    "streaming over a network several times faster than one request does, and cost time where "
    "there is no network."
)

WHY: dict[str, str] = {
    "near-upload-file: ≥ 0.8 of the limit": (
        "The limit is reached by connections that are open and full from the first moment to "
        "the last. A round trip each goes to opening a connection, to the first request and to "
        "every further one, and the server shares the machine. Ten connections, with which the "
        "goal was set, could at best take 1.28 s. 26 parts of 5 MiB over 16 connections are two"
        " rounds, the second with ten parts; beginning the upload, completing it and asking "
        "what is stored take three round trips more."
    ),
    "near-upload-stream: time ≤ 1 × best of all": _RIVAL,
    "near-upload-stream: ≥ 0.8 of the limit": _ROUNDS,
    "near-download-file: ≥ 0.8 of the limit": (
        "The limit is reached by connections that are open and full from the first moment to "
        "the last. A round trip each goes to opening a connection, to the first request and to "
        "every further one, and the server shares the machine. Ten connections, with which the "
        "goal was set, could at best take 1.28 s. The first range is asked for alone, for its "
        "answer says which version all others belong to."
    ),
    "near-download-stream: ≥ 0.8 of the limit": (
        "Ranges of 2 MiB keep the memory of ten below 32 MiB. A connection carries one in 0.2 s"
        " and then waits for a round trip, and the first ranges are few until the consumer "
        "keeps up."
    ),
    "far-upload-file: ≥ 0.8 of the limit": (
        "The limit is reached by connections that are open and full from the first moment to "
        "the last. A round trip each goes to opening a connection, to the first request and to "
        "every further one, and the server shares the machine. Ten connections, with which the "
        "goal was set, could at best take 2.56 s. 26 parts of 5 MiB over 16 connections are two"
        " rounds, the second with ten parts; beginning the upload, completing it and asking "
        "what is stored take three round trips more."
    ),
    "far-upload-stream: time ≤ 1 × best of all": _RIVAL,
    "far-upload-stream: ≥ 0.8 of the limit": _ROUNDS,
    "far-download-file: ≥ 0.8 of the limit": (
        "The limit is reached by connections that are open and full from the first moment to "
        "the last. A round trip each goes to opening a connection, to the first request and to "
        "every further one, and the server shares the machine. Ten connections, with which the "
        "goal was set, could at best take 2.56 s. The first range is asked for alone, for its "
        "answer says which version all others belong to."
    ),
    "far-download-stream: ≥ 0.8 of the limit": (
        "Ranges of 2 MiB keep the memory of ten below 32 MiB. A connection carries one in 0.4 s"
        " and then waits for a round trip, and the first ranges are few until the consumer "
        "keeps up."
    ),
    "loopback-upload-file: CPU ≤ 0.5 × boto3": _SHA256,
    "loopback-upload-file: CPU ≤ 1 × minio": (
        "The file is read while it is sent, in chunks of 1 MiB that are signed one by one, so "
        "that no part is held: half the memory and less time, for a little more work in Python."
    ),
    "loopback-download-file: CPU ≤ 0.5 × boto3": _MD5,
    "loopback-download-file: time ≤ 1 × best in Python": _MD5,
    "loopback-download-file: time ≤ 1.1 × best native": _MD5,
    "loopback-download-stream: CPU ≤ 0.5 × boto3": _MD5_OF_STREAMS,
    "loopback-download-stream: time ≤ 1 × best in Python": _MD5_OF_STREAMS,
    "loopback-download-stream: time ≤ 1.1 × best native": _MD5_OF_STREAMS,
    "small-put: time ≤ 1 × best in Python": (
        "The difference is a few percent, within what runs differ by: nearly all of the time is"
        " radosgw's."
    ),
}
