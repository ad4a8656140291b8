"""Disks that are full or read-only, on either side: told with one line, nothing torn, and over when there is room again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.robustness.conftest import Figures, scaled
from tests.robustness.play import Play, python

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

SMALL = """\
import resource, sys
from promotion.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sys.exit(main(sys.argv[2:]))
"""
READ_ONLY = {"says": (2, 75)}
"""A cache that cannot be written is the set-up's fault (2), unless git says it first (75)."""


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Moves a folder, made if it is not there, to a file system of a few MiB."""
    place.mkdir(exist_ok=True)
    aside = place.with_name(f"{place.name}.aside")
    done = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(place)], capture_output=True, check=False)
        if os.geteuid() == 0 and shutil.which("mount")
        else None
    )
    if done is None or done.returncode:
        pytest.skip(
            "only root can mount a small disk" if done is None else f"cannot mount: {done.stderr.decode().strip()}"
        )
    subprocess.run(["umount", str(place)], check=True)
    place.rename(aside)
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(place)], check=True)
    try:
        shutil.copytree(aside, place, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(place: Path, left: int) -> Iterator[None]:
    """All of a disk is taken but `left` bytes."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 65536):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - left))
    try:
        yield
    finally:
        filler.unlink()


def tries(play: Play, figures: Figures, full: Path) -> None:
    """Rounds on a full disk, then with room again."""
    chance = figures.chance
    for number in range(scaled(60, 3)):
        word = f"change {number}"
        play.change(word)
        with filled(full, chance.choice((0, 4096, 8192, 20_000, 60_000, 200_000))):
            for words in chance.sample((("run", "--sync"), ("promote", "qa"), ("observe",)), 2):
                said = play.run(*words)
                assert said.status in (0, 3, 4, 75), f"{words}: {said.status} {said.err}"
        figures(**{"full disks": 1, "rounds": play.converge()})
        assert play.has("prod", word)
        assert play.violations() == []
    play.judged()


@pytest.fixture
def play(tmp_path: Path) -> Play:
    play = Play.create(tmp_path / "play")
    play.change("first")
    play.converge()
    return play


def test_a_full_disk_of_the_cache(play: Play, figures: Figures) -> None:
    with small_disk(play.cache):
        tries(play, figures, play.cache)


def test_a_full_disk_of_the_server(play: Play, figures: Figures) -> None:
    # Without reflogs: Git appends to them between the renames of one transaction, and stops half way where it cannot.
    play.shop.origin.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(play.shop.origin.path / "logs")
    with small_disk(play.shop.origin.path):
        tries_of_a_server(play, figures)


def tries_of_a_server(play: Play, figures: Figures) -> None:
    """As `tries`, but people push while there is room."""
    chance, server = figures.chance, play.shop.origin.path
    for number in range(scaled(60, 3)):
        word = f"change {number}"
        for words in (("repack", "-adq"), ("prune", "--expire=now")):  # else what piles up fills the small disk
            play.shop.origin.git(*words)
        play.change(word)
        with filled(server, chance.choice((0, 4096, 8192, 20_000, 60_000))):
            for words in chance.sample((("run", "--sync"), ("promote", "qa"), ("observe",)), 2):
                said = play.run(*words)
                assert said.status in (0, 3, 4, 75), f"{words}: {said.status} {said.err}"
        figures(**{"full disks": 1, "rounds": play.converge()})
        assert play.has("prod", word)
        assert play.violations() == []
    play.judged()


def test_a_read_only_cache(play: Play) -> None:
    """Nothing is written, one line says why, and it is over when it is over."""
    with small_disk(play.cache):
        play.change("second")
        subprocess.run(["mount", "-o", "remount,ro", str(play.cache)], check=True)
        said = play.run("run", "--sync")
        subprocess.run(["mount", "-o", "remount,rw", str(play.cache)], check=True)
        assert said.status in READ_ONLY["says"]
        assert "read-only" in said.err.lower()
        play.converge()
        assert play.has("prod", "second")
        play.judged()


def test_files_that_cannot_grow(play: Play, figures: Figures) -> None:
    """A limit on the size of files is a full disk that needs no rights: git and we are stopped anywhere in a file."""
    play.shop.origin.git("config", "core.logAllRefUpdates", "false")  # a line of a reflog that was cut tells nothing
    shutil.rmtree(play.shop.origin.path / "logs")
    for number in range(scaled(100, 4)):
        word = f"change {number}"
        play.change(word)
        most = figures.chance.choice((0, 10, 100, 300, 600, 1000, 2000, 4000, 8000))
        process = python(SMALL, str(most), "-c", str(play.shop.file), "run", "--sync")
        _, err = process.communicate(timeout=600)
        assert process.returncode in (0, 75), f"{most} bytes: {process.returncode} {err}"
        figures(**{"full disks": 1, "rounds": play.converge()})
        assert play.has("prod", word), most
        assert play.violations() == [], most
    play.judged()
