"""Parts of the documentation that are made from the code, so that they cannot drift."""

from collections.abc import Iterator

from libcloud.common.types import LibcloudError
from sphinx.util.docutils import SphinxDirective

from libcloud_aurora import _failures, _retry, errors

#: Bases that say nothing to somebody who writes an ``except`` clause.
UNINTERESTING = {"ContainerError", "ObjectError", "ProviderError"}


class ErrorTable(SphinxDirective):
    """Every error class, what it also is, and which S3 codes become it."""

    def run(self):
        """Return the parsed table."""
        titles = ("Exception", "is also", "S3 codes")
        return self.parse_text_to_nodes(list_table(titles, error_rows()))


class RetryTable(SphinxDirective):
    """Everything that is tried again."""

    def run(self):
        """Return the parsed table."""
        return self.parse_text_to_nodes(list_table(("What happened", "Sign"), retry_rows()))


class ErrorClasses(SphinxDirective):
    """The documentation of every error class."""

    def run(self):
        """Return the parsed ``autoexception`` directives."""
        lines = [f".. autoexception:: {errors.__name__}.{k.__name__}" for k in error_classes()]
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
        codes = [code for code, mapped in errors.ERROR_CLASSES.items() if mapped is kind]
        meaning = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
        yield f"{reference(kind)}\n\n       {meaning}", literals(other_bases(kind)), literals(codes)


def retry_rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind of failure that is tried again."""
    silent = (errors.NetworkError, errors.NetworkTimeoutError, errors.MalformedAnswerError)
    yield "The answer has one of these codes", literals(sorted(_retry.TRANSIENT_CODES))
    yield "The answer has one of these statuses", literals(sorted(_retry.TRANSIENT_STATUSES))
    damage = literals(sorted(_failures.DAMAGE_CODES))
    yield "Of a part of a file, which is signed in chunks, also one of these", damage
    yield "There is no answer, or it is not S3", ", ".join(reference(kind) for kind in silent)


def error_classes():
    """Return the error classes in the order of the module."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [
        kind
        for kind in classes
        if issubclass(kind, LibcloudError) and kind.__module__ == errors.__name__
    ]


def other_bases(kind):
    """Return the names of classes of libcloud, requests and Python that catch an error, too."""
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
