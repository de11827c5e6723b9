"""Sphinx configuration; nothing here needs the network."""

import os
import sys
from pathlib import Path

import libcloud_aurora

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]  # the second for benchmarks

project = "libcloud-aurora"
author = "The libcloud-aurora authors"
project_copyright = "2026, the libcloud-aurora authors"
version = release = libcloud_aurora.__version__

extensions = [
    "benchmark_page",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "tables",
]
exclude_patterns = ["_build", "_extensions"]
nitpicky = True

autoclass_content = "both"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "groupwise"

html_theme = "furo"
html_title = f"libcloud-aurora {release}"
html_show_sphinx = False
pygments_dark_style = (
    "one-dark"  # furo's own underlines the names of modules, as if they were links
)
html_static_path = ["_static"]
html_css_files = ["pages.css"]
# The same pages work from a directory, without a server and without the network.
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

nitpick_ignore_regex = [
    # The inventories of Python, Apache Libcloud and requests are on the network.
    (r"py:.*", r"(collections\.abc|datetime|io|os|libcloud|requests)\..*"),
    # libcloud's inherited docstrings name its types without their modules.
    (r"py:class", r"(Object|Container|S3MultipartUpload)"),
    # Its connection is libcloud's kind, and has no page of its own.
    (r"py:class", r"libcloud_aurora\._wire\.connection\.AuroraObjectsConnection"),
]
