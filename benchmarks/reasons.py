"""Why a peer is faster: sentences for the page, by a pattern of names of workloads.

They are kept by hand; a test asks for one wherever the committed results have a faster peer.
"""

from fnmatch import fnmatch

#: The first pattern that fits counts.
REASONS = {
    "far-upload-stream": (
        "obstore needs three rounds as well, but does not ask what is stored. The driver did when "
        "this was measured, which took one round trip more. It does not any more."
    ),
    "loopback-download-*": (
        "The MD5 that is compared with the ETag takes 0.36 s of CPU time for 256 MiB; no peer "
        "compares. A stream comes in many ranges besides, which makes it several times faster over "
        "a network, and costs time where there is none."
    ),
    "growth-upload-*": (
        "Not known: boto3 is faster with more CPU time. Each size was uploaded once, and something "
        "else may have run beside it."
    ),
    "growth-download-*": "The MD5 that is compared with the ETag, as for 256 MiB.",
    "small-put": "The runs of both overlap; most of the time is the server's.",
    "small-*": (
        "obstore is compiled: a request costs it 0.4 to 0.6 ms less CPU time than Python, and the "
        "client shares two cores with the server."
    ),
    "look-up": "As for small objects: 0.4 ms of Python for each request.",
}


def reason(loss):
    """Return why a peer is faster, or an empty text."""
    return next((why for form, why in REASONS.items() if fnmatch(loss.scenario, form)), "")
