"""What it costs that a file survives a power cut: many small ones, downloaded with and without."""

import os
import statistics
import time

from campaigns.site import BUCKET, noise, running

SIZE = 4096
BATCH = 50


def run(count):
    """Download so many files each way, in batches that take turns; seconds for all of them."""
    seconds = {True: [], False: []}
    with running() as site:
        driver = site.connect()
        container = driver.get_container(BUCKET)
        body = noise(SIZE)
        item = driver.upload_object_via_stream(iter([body]), container, "small")
        for batch in range(count // BATCH):
            for durable in (batch % 2 == 0, batch % 2 == 1):
                directory = site.directory / f"{batch}-{durable}"
                directory.mkdir()
                os.sync()
                for number in range(BATCH):
                    began = time.monotonic()
                    driver.download_object(item, directory / str(number), ex_durable=durable)
                    seconds[durable].append(time.monotonic() - began)
    with_sync, without = (statistics.median(seconds[durable]) for durable in (True, False))
    return {
        "files each way": len(seconds[True]),
        "median with ex_durable=True, ms": round(1000 * with_sync, 2),
        "median with ex_durable=False, ms": round(1000 * without, 2),
        "all with ex_durable=True, s": round(sum(seconds[True]), 1),
        "all with ex_durable=False, s": round(sum(seconds[False]), 1),
    }
