"""A file that was found right before: what need not be asked again, and what always is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import promotion
from promotion import config
from promotion.config import known
from promotion.errors import ConfigError
from tests.support.written import dump, env, file

RIGHT = dump(file(heartbeat="5m"))
SHAPE = dump(file(heartbeat="5m", colour="red"))
"""Has a key that the schema does not know."""
BRANCH = dump(file(env("dev"), env("qa", from_="dev", branch="env/dev"), colour="red"))
"""The same, and two environments on one branch, which no schema sees."""


def place(folder: Path, text: str) -> Path:
    path = folder / "environments.yaml"
    path.write_text(text)
    return path


def problems(path: Path, cache: Path) -> list[str]:
    """Without the file's name."""
    with pytest.raises(ConfigError) as caught:
        config.load(path, cache)
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def vouched(folder: Path) -> Path:
    """The one place where the verdict about a file is kept."""
    (kept,) = folder.glob("*.checked")
    return kept


def test_only_the_schema_is_not_asked_again(tmp_path: Path) -> None:
    """Whoever forges a verdict keeps it from that very text, and from nothing else that is asked."""
    path = place(tmp_path, BRANCH)
    assert len(problems(path, tmp_path)) == 2
    known.keep(tmp_path, path, BRANCH.encode())
    (one,) = problems(path, tmp_path)
    assert "env/dev" in one
    place(tmp_path, SHAPE)
    assert "colour" in problems(path, tmp_path)[0]


def test_a_file_that_is_right_is_asked_once(tmp_path: Path) -> None:
    """And is the same pipeline then."""
    path = place(tmp_path, RIGHT)
    first = config.load(path, tmp_path)
    assert known.is_known(tmp_path, path, RIGHT.encode())
    assert config.load(path, tmp_path) == first == config.load(path)


def test_a_folder_whose_name_is_no_text_is_no_trouble(tmp_path: Path) -> None:
    """Names are bytes."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = place(folder, RIGHT)
    assert config.load(path, tmp_path).applications == config.load(path).applications
    assert known.is_known(tmp_path, path, RIGHT.encode())


def test_a_file_that_is_wrong_is_told_every_time(tmp_path: Path) -> None:
    """Also after it was right, and beside a file that is."""
    path = place(tmp_path, RIGHT)
    config.load(path, tmp_path)
    place(tmp_path, SHAPE)
    assert problems(path, tmp_path) == problems(path, tmp_path) == problems(path, tmp_path / "none")


@pytest.mark.parametrize("said", [b"", b"\xff\0", b"0" * 64, None], ids=["empty", "bytes", "another", "folder"])
def test_a_verdict_that_is_damaged_says_nothing(said: bytes | None, tmp_path: Path) -> None:
    """The schema is asked, and whatever is in the way of keeping its answer is no trouble."""
    path = place(tmp_path, RIGHT)
    config.load(path, tmp_path)
    kept = vouched(tmp_path)
    kept.unlink()
    if said is None:
        kept.mkdir()
    else:
        kept.write_bytes(said)
    place(tmp_path, SHAPE)
    assert "colour" in problems(path, tmp_path)[0]
    place(tmp_path, RIGHT)
    assert config.load(path, tmp_path) == config.load(path)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [("schema.json", '"heartbeat": {', '"pulse": {'), ("__init__.py", promotion.__version__, "99.0")],
    ids=["schema", "version"],
)
def test_another_promotion_asks_again(module: str, old: str, new: str, tmp_path: Path) -> None:
    """What one version allowed another may not."""
    ours = Path(promotion.__file__).parent
    other = shutil.copytree(ours, tmp_path / "promotion", ignore=shutil.ignore_patterns("__pycache__"))
    changed = (other / module).read_text("utf-8").replace(old, new, 1)
    assert changed != (ours / module).read_text("utf-8")
    path = place(tmp_path, SHAPE)
    known.keep(tmp_path, path, SHAPE.encode())
    code = (
        "import sys; from pathlib import Path; from promotion import config\n"
        "try: config.load(Path(sys.argv[1]), Path(sys.argv[1]).parent)\n"
        "except config.ConfigError as exc: print(*exc.problems)"
    )
    words = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == ""
    (other / module).write_text(changed, "utf-8")
    assert "colour" in subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
