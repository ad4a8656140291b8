"""What somebody gets who installs Promotion without our lock: the pins of pyproject.toml must be enough."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from promotion import __version__

ROOT = Path(__file__).resolve().parent.parent
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of Git alone: what a build could pick up by chance from this directory is not there."""
    path = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    return path


@pytest.fixture(scope="module")
def python(checkout: Path, tmp_path_factory: pytest.TempPathFactory, machine_environment: Mapping[str, str]) -> Path:
    """A new virtual environment into which plain `pip install .` has put Promotion and whatever pip chose for it."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=True)
    run(place / "bin/python", *PIP, "install", "--quiet", str(checkout), env=machine_environment)
    return place / "bin/python"


def run(python: Path, *args: str, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run the interpreter of a virtual environment; what it says is the failure's text."""
    plain = {name: value for name, value in env.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run([python, *args], cwd=cwd, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_plain_pip_install_works_in_a_clean_environment(python: Path, tmp_path: Path) -> None:
    """All dependencies fit together, the command is there, and both packages import from any directory."""
    run(python, *PIP, "check", env=os.environ)
    said = subprocess.run(
        [python.parent / "promotion", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert __version__ in said.stdout
    where = run(
        python, "-c", "import promotion, flows; print(promotion.__file__, flows.__file__)", env=os.environ, cwd=tmp_path
    )
    assert [Path(file).is_relative_to(python.parent.parent) for file in where.split()] == [True, True]


@pytest.mark.timeout(600)
def test_the_pins_hold_what_prefect_needs(python: Path) -> None:
    """With newer ones `prefect deploy` fails, the server dies at its start, or no schedule ever fires."""
    code = "from importlib.metadata import version as v; print(*(v(n) for n in ('prefect', 'fastapi', 'sqlalchemy')))"
    versions = [tuple(map(int, text.split(".")[:2])) for text in run(python, "-c", code, env=os.environ).split()]
    prefect, fastapi, sqlalchemy = versions
    assert prefect == (3, 8)
    assert fastapi < (0, 151)
    assert sqlalchemy < (2, 1)


@pytest.mark.timeout(600)
def test_the_wheel_holds_the_packages_the_schema_and_the_licence(
    checkout: Path, tmp_path: Path, machine_environment: Mapping[str, str]
) -> None:
    """Everything that is needed at run time and nothing else: no tests, no benchmarks."""
    run(
        Path(sys.executable),
        *PIP,
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(checkout),
        env=machine_environment,
    )
    (wheel,) = tmp_path.glob("promotion-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "promotion/schema.json" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"promotion", "flows"}
    sources = {
        str(path.relative_to(checkout)) for top in ("promotion", "flows") for path in (checkout / top).rglob("*.py")
    }
    assert sources <= set(names)
