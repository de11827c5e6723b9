"""The code and the claims of README.rst and of the pages in docs/."""

import ast
import importlib
import inspect
import operator
import re
import tarfile
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
DOCS = [path for path in (ROOT / "docs").rglob("*.rst") if "_build" not in path.parts]
PAGES = sorted([ROOT / "README.rst", *DOCS])
PROGRAMS = ROOT / "docs" / "programs.rst"  # needs the programs: tests/clients runs it
README = (ROOT / "README.rst").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text()

sybil = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT), pattern="*.rst")
PAGES_WITH_CODE = [
    path for path in PAGES if path != PROGRAMS and list(sybil.parse(path).examples())
]


@pytest.mark.parametrize("path", PAGES_WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path, cls, driver, container, tmp_path, monkeypatch):
    """Every Python block of a page runs, from the first to the last, against an S3 server."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk.img").write_bytes(bytes(range(256)) * 4096 * 12)
    if path.stem == "backup":
        with (
            driver.ex_open(container, "wb", object_name="photos.tar.gz") as file,
            tarfile.open(fileobj=file, mode="w|gz") as archive,
        ):
            archive.add("disk.img")
    document = sybil.parse(path)
    document.namespace.update(cls=cls, driver=driver, container=container)

    for example in document.examples():
        example.evaluate()


def test_every_program_is_run_by_its_own_tier():
    """Each section of the page of programs is run by one module of tests/clients."""
    text = PROGRAMS.read_text()
    sections = re.findall(r"^(\S.*)\n-+$", text, re.MULTILINE)
    modules = [path.read_text() for path in (ROOT / "tests" / "clients").glob("test_*.py")]
    run = [re.search(r'^SECTION = "(.*)"$', module, re.MULTILINE)[1] for module in modules]

    assert sections
    assert sorted(run) == sorted(sections)
    assert "code-block:: python" not in text[: text.index(f"\n{sections[0]}\n")]


def test_every_program_says_what_it_needs():
    """Each section installs what its tests install, and its container is named as one to make."""
    before, *sections = re.split(r"^\S.*\n-+\n", PROGRAMS.read_text(), flags=re.MULTILINE)
    commands = re.compile(r"^    \$ pip install (?:\.|--no-deps) (.*)$", re.MULTILINE)
    installed = [" ".join(commands.findall(each)) for each in sections]
    modules = [path.read_text() for path in (ROOT / "tests" / "clients").glob("test_*.py")]
    containers = [re.search(r'^CONTAINER = "(.*)"$', each, re.MULTILINE)[1] for each in modules]
    tox = (ROOT / "pyproject.toml").read_text()
    tox = tox.partition("[tool.tox.env.clients]")[2].partition("[tool.tox.env.lint]")[0]

    assert all(installed)
    assert set(re.sub("'|<[0-9]+", "", " ".join(installed)).split()) == set(
        re.findall(r'"([\w-]+(?:\[libcloud\])?)[<>]', tox)
    )
    assert set(containers) == set(re.findall(r"``(\w+)``", before))


def test_every_extra_that_is_named_exists():
    """Whatever a page installs of this project, the project has."""
    named = re.findall(r"'\.\[(.*?)\]'", " ".join(path.read_text() for path in PAGES))
    extras = (ROOT / "pyproject.toml").read_text().partition("optional-dependencies]")[2]

    assert named
    for name in {name for names in named for name in names.split(",")}:
        assert re.search(rf"^{name} = \[$", extras, re.MULTILINE), name


def shown_code(path):
    """Yield each block of code that a page shows, those included from other files, too."""
    text = path.read_text()
    for block in re.finditer(
        r"^( *)\.\. code-block:: .*\n\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE
    ):
        yield textwrap.dedent(block[2])
    for included in re.finditer(r"literalinclude:: (.*)\n.*\n   :(.*): (.*)\n", text):
        source = (path.parent / included[1]).read_text()
        if included[2] == "pyobject":
            [definition] = [
                node for node in ast.parse(source).body if getattr(node, "name", "") == included[3]
            ]
            source = ast.get_source_segment(source, definition)
        yield source


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_is_narrow(path):
    """No line of code on a page has more than 79 columns."""
    lines = [line for block in shown_code(path) for line in block.splitlines()]

    assert [line for line in lines if len(line) > 79] == []


PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_are_shown_in_the_colours_of_the_page(path):
    """A picture is on a page, says what it shows, and leaves its colours to the style sheet."""
    picture = ElementTree.parse(path).getroot()  # noqa: S314
    classes = {name for each in picture.iter() for name in each.get("class", "").split()}
    style = (ROOT / "docs" / "_static" / "pages.css").read_text()
    page = "".join(page.read_text() for page in PAGES)

    assert page.count(f":file: pictures/{path.name}\n") == 1
    assert picture.get("role") == "img"
    assert picture.get("aria-label")
    attributes = {name for each in picture.iter() for name in each.attrib}
    assert not {"fill", "stroke", "style"} & attributes
    for name in classes:
        assert f".{name}" in style, name


def test_every_block_says_its_language():
    """No block of code escapes the tests because it names no language, or an unknown one."""
    blocks = [re.findall(r"\.\. code(?:-block)?::(.*)", path.read_text()) for path in PAGES]

    assert {language.strip() for found in blocks for language in found} <= {
        "python",
        "console",
        "nginx",
    }


@pytest.mark.parametrize("page", ["README.rst", "docs/index.rst"])
def test_claim_is_the_same_everywhere(page):
    """README and the landing page open with one claim."""
    claim = "moves data of any size in parallel, retries what fails and verifies what arrives."

    assert claim in " ".join((ROOT / page).read_text().split())[:500]


def test_readme_has_exactly_two_commands():
    """README names two commands, and the Makefile has both."""
    commands = re.findall(r"^ +\$ (.*)$", README, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()

    assert commands == ["make demo", "make test"]
    for command in commands:
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)


def test_settings_page_has_every_argument(cls):
    """The settings page lists each argument of the driver with its default, and no other."""
    page = (ROOT / "docs" / "settings.rst").read_text()
    rows = re.findall(r"^   \* - ``(.*)``\n     - ?(.*)$", page, re.MULTILINE)
    listed = {name: default.strip("`") for names, default in rows for name in names.split("``, ``")}
    parameters = inspect.signature(cls).parameters.values()

    assert listed == {
        p.name: "" if p.default is p.empty else str(p.default)
        for p in parameters
        if p.kind is not p.VAR_KEYWORD
    }


def package_modules():
    """Return the modules of the package, as CONTRIBUTING names them."""
    package = ROOT / "libcloud_aurora"
    paths = [path.relative_to(package).with_suffix("") for path in package.rglob("*.py")]
    return [path.as_posix() for path in paths if path.name != "__init__" or len(path.parts) == 1]


def test_contributing_names_every_module():
    """CONTRIBUTING has a line for each module of the package, and for no other."""
    rows = re.findall(r"^``([a-z_/0-9]+)`` {2,}\S", CONTRIBUTING, re.MULTILINE)

    assert sorted(rows) == sorted(package_modules())


def test_contributing_names_what_there_is():
    """Whatever CONTRIBUTING says is in a module is there."""
    modules = {module.rpartition("/")[2]: module for module in package_modules()}
    named = re.findall(r"``([\w.]+)``\s\(``(?:\w+/)?(\w+)``\)", CONTRIBUTING)

    assert len(named) > 10
    for name, module in named:
        dotted = modules[module].replace("/", ".")
        operator.attrgetter(name)(importlib.import_module(f"libcloud_aurora.{dotted}"))
