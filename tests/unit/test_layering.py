"""The layout: five bands, imports point down between them, and no cycle within one."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import libcloud_aurora

PACKAGE = Path(libcloud_aurora.__file__).parent
#: From the top down: a band imports from itself and from those after it.
BANDS = [
    {"__init__", "driver"},
    {"_transfer"},
    {"_client"},
    {"_wire"},
    {"_s3", "parts", "config", "errors"},
]
MODULES = [
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
]


@cache
def tree(module):
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())


def band(module):
    """Return the number of a module's band, from the top."""
    (number,) = [number for number, rooms in enumerate(BANDS) if module.partition(".")[0] in rooms]
    return number


def imported(module):
    """Return the modules of the package that one of them imports, wherever the import stands."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {module_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {
                module_of(f"{node.module}.{alias.name}") or module_of(node.module)
                for alias in node.names
            }
    return found - {None}


def module_of(name):
    """Return the module that an import names, ``None`` for what is no module of the package."""
    for place in (name, f"{name}.__init__"):
        module = place.removeprefix("libcloud_aurora.")
        if place.startswith("libcloud_aurora.") and module in MODULES:
            return module
    return None


def test_every_module_has_one_band():
    """Each module belongs to one of the five bands, and no band is empty."""
    assert {band(module) for module in MODULES} == set(range(5))


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    """A module imports from its own band and from those below."""
    assert [name for name in imported(module) if band(name) < band(module)] == []


def test_no_band_has_a_cycle():
    """Within a band, no module imports itself by way of others."""
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_modules_say_what_they_are(module):
    """Every module begins with a docstring."""
    assert ast.get_docstring(tree(module))


def test_only_libcloud_and_requests_are_needed():
    """The package imports libcloud, requests with its urllib3, and the standard library."""
    needed = set()
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.partition(".")[0])
    foreign = needed - set(sys.stdlib_module_names) - {"libcloud_aurora", "typing_extensions"}
    assert foreign == {"libcloud", "requests", "urllib3"}


def test_the_driver_is_one_class():
    """Of all classes that the driver is made of, one is this package's."""
    own = [
        kind
        for kind in libcloud_aurora.AuroraObjectsStorageDriver.__mro__
        if kind.__module__.startswith("libcloud_aurora")
    ]
    assert own == [libcloud_aurora.AuroraObjectsStorageDriver]
