"""The layout: imports point down one list, modules and functions stay short."""

import ast
import sys
from pathlib import Path

import pytest

import libcloud_aurora

PACKAGE = Path(libcloud_aurora.__file__).parent
#: From the foundation up: each module imports only from those before it.
ORDER = [
    "config",
    "parts",
    "_rows",
    "_xml",
    "_clock",
    "_secrets",
    "_encryption",
    "errors",
    "_failures",
    "_signing",
    "_bodies",
    "_paths",
    "_values",
    "_threads",
    "_retry",
    "_parallel",
    "_buffers",
    "_files",
    "_sources",
    "_file_parts",
    "_verify",
    "_pools",
    "_transport",
    "_response",
    "connection",
    "_keyed",
    "_version",
    "_resume",
    "_download",
    "_stream",
    "_target",
    "_listing",
    "_upload",
    "_copy",
    "_delete",
    "_resources",
    "_settings",
    "_foundation",
    "_containers",
    "_reading",
    "_wanted",
    "_multipart",
    "_browsing",
    "_extensions",
    "_cdn",
    "driver",
    "__init__",
]


def tree(name):
    return ast.parse((PACKAGE / f"{name}.py").read_text())


def imported(name):
    """Return the modules of the package that one of them imports, wherever the import stands."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "libcloud_aurora":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("libcloud_aurora."):
                found.add(node.module.partition(".")[2])
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("libcloud_aurora") for alias in node.names)
    return found


def functions():
    for name in ORDER:
        for node in ast.walk(tree(name)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield pytest.param(node, id=f"{name}.{node.name}:{node.lineno}")


def body_lines(node):
    """Return the number of lines of a function's body, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_list_is_complete():
    """Every module of the package has its place in the list."""
    assert sorted(path.stem for path in PACKAGE.glob("*.py")) == sorted(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_point_down(name):
    """A module imports only from modules before it."""
    above = imported(name) - set(ORDER[: ORDER.index(name)])
    assert above == set()


@pytest.mark.parametrize("name", ORDER)
def test_modules_are_short(name):
    """No module has more than 300 lines."""
    assert len((PACKAGE / f"{name}.py").read_text().splitlines()) <= 300


@pytest.mark.parametrize("node", list(functions()))
def test_functions_are_short(node):
    """No function body has more than 40 lines."""
    assert body_lines(node) <= 40


def test_most_functions_are_very_short():
    """Half of the functions have a body of eight lines or fewer."""
    lengths = sorted(body_lines(parameter.values[0]) for parameter in functions())
    assert lengths[len(lengths) // 2] <= 8


@pytest.mark.parametrize("name", ORDER)
def test_modules_say_what_they_are(name):
    """Every module begins with a docstring."""
    assert ast.get_docstring(tree(name))


def test_only_libcloud_and_requests_are_needed():
    """The package imports libcloud, requests with its urllib3, and the standard library."""
    needed = set()
    for name in ORDER:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.partition(".")[0])
    foreign = needed - set(sys.stdlib_module_names) - {"libcloud_aurora", "typing_extensions"}
    assert foreign == {"libcloud", "requests", "urllib3"}
