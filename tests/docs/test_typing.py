"""What the page about type checking says of mypy and pyright, asked of both."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser

PAGE = Path(__file__).parents[2] / "docs" / "typing.rst"
#: What a checker refuses, as the page says.
REFUSED = """\
libcloud = get_driver("auroraobjects")("key", "secret")
libcloud.upload_object("a", container, "b", ex_progress=show)
libcloud.upload_object(Path("a"), container, "b")
with libcloud: print()
obj.download("a", ex_resume=True)
obj.download(Path("a"))
container.upload_object(Path("a"), "b")
obj.driver.get_object("a", "b", ex_customer_key=b"")
driver.upload_object("a", container, "b", ex_progres=show)
driver.iterate_container_objects(container, ex_limitt=1)
"""
#: What a checker accepts, as the page says.
ACCEPTED = """\
AuroraObjectsStorageDriver("key", "secret", ex_part_sizes=1)
driver.upload_object_via_stream([b"a"], container, "b", ex_progress=show_stream)
print(cast("dict[str, Any]", obj.extra)["etag"])
"""
USES = f"""\
from typing import Any, cast


def show_stream(done: int, total: int | None) -> None:
    print(done, total)


def use(driver: AuroraObjectsStorageDriver, container: Container, obj: Object) -> None:
{"".join(f"    {line}{chr(10)}" for line in (REFUSED + ACCEPTED).splitlines())}"""


def mypy(path):
    """Return the lines in which ``mypy --strict`` finds an error."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", path.parent, path]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=240)
    assert done.returncode < 2, done.stdout + done.stderr
    return {int(number) for number in re.findall(r":(\d+): error:", done.stdout)}


def pyright(path):
    """Return the lines in which pyright finds an error in its strict mode."""
    # basedpyright is pyright from a wheel with its own node: it downloads nothing when it runs.
    path.with_name("pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "basedpyright", "--outputjson"]
    command += ["--project", path.parent, "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=240)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1, done.stdout + done.stderr
    return {each["range"]["start"]["line"] + 1 for each in found["generalDiagnostics"]}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_program_passes_and_mistakes_do_not(checker, tmp_path):
    """The program passes as it stands; of its uses, exactly those that the page names do not."""
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(PAGE)
    program = next(iter(document.examples())).parsed
    text = program + USES
    path = tmp_path / "program.py"
    path.write_text(text)
    lines = text.splitlines()
    refused = {lines.index(f"    {line}") + 1 for line in REFUSED.splitlines()[1:]}

    assert 30 <= len(program.splitlines()) <= 45
    assert checker(path) == refused
