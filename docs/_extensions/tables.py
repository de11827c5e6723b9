"""Parts of the documentation that are generated from the code, so that they cannot drift."""

from collections.abc import Iterator

from libcloud.common.types import LibcloudError
from sphinx.util.docutils import SphinxDirective

from libcloud_aurora import errors
from libcloud_aurora._wire.failures import DAMAGE_CODES

#: Bases that say nothing to somebody who writes an ``except`` clause.
UNINTERESTING = {"ContainerError", "ObjectError", "ProviderError"}


class ErrorTable(SphinxDirective):
    """Every error class, its other bases, and the S3 codes that raise it."""

    def run(self):
        """Return the parsed table."""
        titles = ("Exception", "Also caught as", "S3 codes")
        return self.parse_text_to_nodes(list_table(titles, error_rows()))


class RetryTable(SphinxDirective):
    """Every failure that is retried."""

    def run(self):
        """Return the parsed table."""
        return self.parse_text_to_nodes(list_table(("Failure", "Recognized by"), retry_rows()))


class ErrorClasses(SphinxDirective):
    """The documentation of every error class."""

    def run(self):
        """Return the parsed ``autoexception`` directives."""
        lines = [
            # Not from __init__, which NetworkError would seem to have from requests.
            f".. autoexception:: {errors.__name__}.{kind.__name__}\n   :class-doc-from: class\n"
            for kind in error_classes()
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def list_table(titles, rows):
    """Return a table as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"   {'  -' if column else '* -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join(lines)


def error_rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each error class, in the order of the module."""
    for kind in error_classes():
        codes = [code for code, known in errors.MEANINGS.items() if known.error is kind]
        meaning = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
        yield f"{reference(kind)}\n\n       {meaning}", literals(other_bases(kind)), literals(codes)


def retry_rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind of failure that is retried."""
    codes = sorted(code for code, known in errors.MEANINGS.items() if known.is_transient)
    silent = (errors.NetworkError, errors.NetworkTimeoutError, errors.MalformedAnswerError)
    yield "The response has one of these codes", literals(codes)
    yield "The response has one of these statuses", literals(sorted(errors.TRANSIENT_STATUSES))
    yield "A PUT with a body, which may have been cut off, gets this code", literals(["NoSuchKey"])
    damage = literals(sorted(DAMAGE_CODES))
    yield "A part of an upload, which is signed chunk by chunk, gets one of these codes", damage
    yield "There is no response, or it is not S3", ", ".join(reference(kind) for kind in silent)


def error_classes():
    """Return the error classes in the order of the module."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [
        kind
        for kind in classes
        if issubclass(kind, LibcloudError) and kind.__module__ == errors.__name__
    ]


def other_bases(kind):
    """Return the names of libcloud's, requests' and Python's classes that catch an error too."""
    names = [base.__name__ for base in kind.__mro__ if base.__module__ != errors.__name__]
    return [name for name in names[: names.index("Exception")] if name not in UNINTERESTING]


def reference(kind):
    """Return a link to a class."""
    return f":class:`~{kind.__module__}.{kind.__qualname__}`"


def literals(values):
    """Return values as literals with commas."""
    return ", ".join(f"``{value}``" for value in values)


def setup(app):
    """Register the directives."""
    app.add_directive("error-table", ErrorTable)
    app.add_directive("error-classes", ErrorClasses)
    app.add_directive("retry-table", RetryTable)
    return {"parallel_read_safe": True}
