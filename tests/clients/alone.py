"""Storage modules of programs whose packages would import gigabytes: each is taken alone."""

import importlib
import importlib.machinery
import sys
import types

#: The packages whose own ``__init__`` is left out, and what of them the modules ask for.
PACKAGES = {
    "composer": [],
    "composer.utils": [],
    "composer.utils.object_store": ["libcloud_object_store"],
    "txtai": [],
    "txtai.util": ["library", "resolver"],
}


def take(patch):
    """Let the storage modules be imported as if all of their packages had been."""
    for name in PACKAGES:
        parent, _, last = name.rpartition(".")
        path = sys.modules[parent].__path__ if parent else None
        spec = importlib.machinery.PathFinder.find_spec(last, path)
        package = types.ModuleType(name)
        package.__path__ = spec.submodule_search_locations
        patch.setitem(sys.modules, name, package)
    for name, rooms in PACKAGES.items():
        for room in rooms:
            vars(sys.modules[name]).update(vars(importlib.import_module(f"{name}.{room}")))
    store = sys.modules["composer.utils.object_store"].LibcloudObjectStore
    sys.modules["composer.utils"].LibcloudObjectStore = store
