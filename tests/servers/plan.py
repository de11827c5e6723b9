"""What the proxy may do to a request, and when: faults are values, plans are callables."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

MULTIPART_NAMES = {"PUT": "part", "DELETE": "abort", "POST": "complete", "GET": "list-parts"}
BUCKET_NAMES = {
    "PUT": "create-bucket",
    "DELETE": "delete-bucket",
    "HEAD": "head-bucket",
    "GET": "list",
    "POST": "delete-objects",
}


@dataclass
class Request:
    """One request as it came over the wire, and what became of it."""

    method: str
    target: str
    headers: Mapping[str, str]
    number: int = 0
    started: float = field(default_factory=time.monotonic)
    fault: str = ""
    #: Of the answer, set once the server has acted; 0 until then.
    status: int = 0
    bytes_up: int = 0
    bytes_down: int = 0

    @property
    def path(self) -> str:
        """The path as sent, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated name the last value."""
        parsed = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in parsed.items()}

    @property
    def body_length(self) -> int:
        """The announced length of the body in bytes."""
        return int(self.headers.get("Content-Length") or 0)

    @property
    def byte_range(self) -> str:
        """The Range header, or an empty string."""
        return self.headers.get("Range") or ""

    @property
    def part(self) -> int:
        """The number of the part that this request sends, or 0."""
        return int(self.query["partNumber"]) if self.operation == "part" else 0

    @property
    def operation(self) -> str:
        """The S3 operation in one word, such as ``part`` or ``head``."""
        query, method = self.query, self.method
        if "uploadId" in query:
            return MULTIPART_NAMES.get(method, method.lower())
        if "attributes" in query:
            return "attributes"
        if "uploads" in query:
            return "initiate" if method == "POST" else "list-uploads"
        bucket, _, key = self.path.lstrip("/").partition("/")
        if bucket and not key:
            return BUCKET_NAMES.get(method, method.lower())
        return method.lower() if key else "list-buckets"


@dataclass(frozen=True)
class Fault:
    """One way to break a request; ``needs`` is "up", "down" or "" for any request."""

    name: str
    kind: str
    needs: str = ""
    operation: str = ""
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    stage: str = ""
    call: Callable[[Request], object] | None = None

    def applies(self, request: Request) -> bool:
        """Whether this request has the body, or is the operation, that the fault breaks."""
        if self.operation and request.operation != self.operation:
            return False
        if self.needs == "up":
            return request.body_length > 0
        if self.needs == "down":
            return request.method in {"GET", "POST"}
        return True

    def after(self, seconds: str) -> Fault:
        """Return the same answer with a Retry-After header."""
        return self.saying("Retry-After", seconds)

    def saying(self, name: str, value: str) -> Fault:
        """Return the same answer with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def masking(self) -> Fault:
        """Return the same answer, given after the server has acted, in place of the server's."""
        return replace(self, name=f"{self.name} after acting", kind="mask")


def error_answer(name: str, status: int, code: str, *, kind: str = "answer", **more) -> Fault:
    """Make a fault that answers with an S3 error document."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected'
        f"</Message><RequestId>tx-injected</RequestId></Error>"
    ).encode()
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", "tx-injected"))
    return Fault(name, kind, status=status, body=body, headers=headers, **more)


ANSWER_503 = error_answer("503", 503, "SlowDown")
ANSWER_500 = error_answer("500", 500, "InternalError")
ANSWER_429 = error_answer("429 with Retry-After", 429, "TooManyRequests").after("0")
EARLY_503 = error_answer("503 before the body is read", 503, "SlowDown", kind="early")
RESET = Fault("reset before the answer", "reset")
CUT_UP = Fault("reset in the middle of an upload", "cut-up", needs="up")
CUT_DOWN = Fault("reset in the middle of a download", "cut-down", needs="down")
FIN_DOWN = Fault("download ended early", "fin-down", needs="down")
LOSE = Fault("answer lost", "lose")
FLIP_UP = Fault("bit flipped going up", "flip-up", needs="up")
FLIP_DOWN = Fault("bit flipped coming down", "flip-down", needs="down")
STALL = Fault("stall", "stall")
SLOW = Fault("slow server", "slow")
TRICKLE = Fault("trickle", "trickle")
RESTART = Fault("restart of the server", "restart")
STALL_UP = Fault("stall in the middle of an upload", "stall-up", needs="up")
COMPLETE_ERROR = error_answer(
    "200 with an error to Complete", 200, "InternalError", operation="complete"
)
HTML_502 = Fault(
    "HTML 502",
    "answer",
    status=502,
    body=b"<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>",
    headers=(("Content-Type", "text/html"),),
)
FAULTS = (
    ANSWER_503,
    ANSWER_500,
    ANSWER_429,
    EARLY_503,
    RESET,
    CUT_UP,
    CUT_DOWN,
    FIN_DOWN,
    LOSE,
    FLIP_UP,
    FLIP_DOWN,
    STALL,
    TRICKLE,
    SLOW,
    RESTART,
    COMPLETE_ERROR,
    HTML_502,
)


def document(name: str, body: bytes, status: int = 200) -> Fault:
    """Make a fault that answers with these bytes instead of the server."""
    return Fault(name, "answer", status=status, body=body)


def hook(stage: str, call: Callable[[Request], object]) -> Fault:
    """Call at ``head``, ``body`` (half read), ``answer`` (not yet sent) or ``half`` (half sent)."""
    return Fault(f"hook at {stage}", "hook", stage=stage, call=call)


class Hold:
    """What a hook may call to keep requests back until they are released."""

    def __init__(self):
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, request: Request) -> None:
        self.reached.set()
        self.released.wait()


class Plan:
    """A callable that says which fault a request gets, and counts the faults it gave."""

    def __init__(self, choose: Callable[[Request], Fault | None]):
        self.choose = choose
        self.fired = 0
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Fault | None:
        with self.lock:
            fault = self.choose(request)
            self.fired += fault is not None
            return fault


def never() -> Plan:
    """Break nothing: count only."""
    return Plan(lambda request: None)


def anything(request: Request) -> bool:
    """Hold for every request."""
    return True


def is_any(*operations: str) -> Callable[[Request], bool]:
    """Make a condition that holds for requests of these operations."""
    return lambda request: request.operation in operations


def always(fault: Fault, when: Callable[[Request], bool] = anything) -> Plan:
    """Break every request that the fault can break."""
    return Plan(lambda request: fault if fault.applies(request) and when(request) else None)


def times(count: int, fault: Fault, when: Callable[[Request], bool] = anything) -> Plan:
    """Break the first ``count`` requests for which ``when`` holds."""
    left = iter(range(count))

    def choose(request: Request) -> Fault | None:
        matches = fault.applies(request) and when(request)
        return fault if matches and next(left, None) is not None else None

    return Plan(choose)


def once(fault: Fault, when: Callable[[Request], bool] = anything) -> Plan:
    """Break the first request for which ``when`` holds."""
    return times(1, fault, when)


def every_eighth(fault: Fault, seed: int) -> Plan:
    """Break one of every eight requests that the fault can break, which one drawn from the seed."""
    draw = random.Random(seed)
    window: list[bool] = []

    def choose(request: Request) -> Fault | None:
        if not fault.applies(request):
            return None
        if not window:
            window.extend(draw.sample([True] + [False] * 7, 8))
        return fault if window.pop() else None

    return Plan(choose)


def in_turn(*plans: Plan) -> Plan:
    """Ask each plan in turn; the first fault counts."""

    def choose(request: Request) -> Fault | None:
        return next((fault for plan in plans if (fault := plan(request))), None)

    return Plan(choose)
