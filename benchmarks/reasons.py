"""Why a peer is faster: sentences for the page, by a pattern of names of workloads.

They are kept by hand; a test asks for one wherever the committed results have a faster peer.
"""

from fnmatch import fnmatch

#: The first pattern that fits counts.
REASONS = {
    "loopback-download-*": (
        "The MD5 that this driver compares with the ETag takes 0.3 s of CPU time for 256 MiB; no "
        "peer compares. A program that uses minio-py, the fastest, and compares "
        "(``minio_verified``) takes 1.07 times as long as this driver for a file, over https and "
        "over http, and 1.11 and 1.01 for a stream. Unverified, a file takes this driver 1.15 "
        "times as long as the fastest over https and 1.28 over http, and a stream 1.19 and 1.03: a "
        "file comes over several connections, and a stream through another thread, which makes "
        "both faster over a network, but costs CPU time without one."
    ),
    "growth-upload-*": (
        "obstore is compiled: 1 GiB over https costs it 0.96 s of CPU time, and this driver 1.5 s, "
        "like boto3. boto3 sends parts of 8 MiB, and this driver of 5 MiB, which are more work for "
        "the server: with parts of 8 MiB, 1 GiB took 0.97 of boto3's time (medians of 5). The "
        "three runs of each differ: 4 GiB took this driver 14.3 to 21.2 s."
    ),
    "growth-download-*": "The MD5 that is compared with the ETag, as for 256 MiB.",
    "checksums-upload-*": (
        "radosgw 20 computes a CRC32 with a table, byte by byte: 0.7 s of its CPU time for "
        "256 MiB, a third of all, as ``perf`` shows. It does so for this driver, and for boto3 "
        "over http, which takes 1.10 and 1.13 times as long as this driver. Where neither side "
        "computes one (``aurora_unchecked``), this driver takes 0.96 to 1.08 times as long as the "
        "fastest."
    ),
    "checksums-download-*": (
        "The CRC32 takes 0.1 s of CPU time for 256 MiB, and no peer compares; several connections, "
        "or another thread, cost as much as with Ceph 16."
    ),
    "small-*": (
        "obstore is compiled: a request costs it 0.2 to 0.4 ms less CPU time than Python, and the "
        "client shares two cores with the server. So is s5cmd; it is not known why it takes less "
        "time, but more CPU time, than this driver for PUTs one after another. minio-py, the "
        "fastest in Python, takes 0.91 to 1.15 times as long as this driver, which verifies "
        "what it gets. For GETs one after another, minio-py takes many times as long, unless the "
        "server turns Nagle's algorithm off."
    ),
    "look-up": "As for small objects.",
    "tiny-chunks": "s5cmd is compiled: it takes 0.07 s of CPU time, and this driver 0.11 s.",
    "delete": (
        "obstore is given the keys, and this driver lists them first. obstore and s3fs send all "
        "five requests at once, and this driver four. Here the server's two cores decide. Where "
        "its answers take time, because each message between Ceph's daemons is delayed by up to "
        "10 ms, this driver deletes 8,000 objects in 3.9 s, and in 11.8 s if it sends one request "
        "after another."
    ),
}


def reason(name):
    """Return why a peer is faster in a workload, or an empty text."""
    return next((why for form, why in REASONS.items() if fnmatch(name, form)), "")
