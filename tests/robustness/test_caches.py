"""A clone cache that is damaged in every way is never believed: the outcome is that of a fresh clone."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from tests.robustness.conftest import Figures, scaled
from tests.robustness.play import Play
from tests.support.git import Origin

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

Damage = Callable[[Path, random.Random], object]


def files(clone: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in clone.rglob(pattern) if path.is_file())


def writable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def a_file(clone: Path, chance: random.Random) -> Path:
    return writable(chance.choice(files(clone)))


def an_object(clone: Path, chance: random.Random) -> Path:
    return writable(chance.choice([p for p in files(clone / "objects") if p.suffix != ".promisor"]))


def flip(clone: Path, chance: random.Random, choose: Damage = a_file) -> None:
    path = choose(clone, chance)
    assert isinstance(path, Path)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 20))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def flip_an_object(clone: Path, chance: random.Random) -> None:
    flip(clone, chance, an_object)


def truncate(clone: Path, chance: random.Random) -> None:
    path = chance.choice((a_file, an_object))(clone, chance)
    os.truncate(path, chance.randrange(path.stat().st_size + 1))


def delete(clone: Path, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 5))):
        an_object(clone, chance).unlink()


def delete_a_folder(clone: Path, chance: random.Random) -> None:
    shutil.rmtree(chance.choice([path for path in clone.rglob("*") if path.is_dir()]))


def loose(clone: Path) -> dict[str, Path]:
    """Loose objects by id."""
    return {path.parent.name + path.name: path for path in files(clone / "objects") if len(path.parent.name) == 2}


def swap_loose(clone: Path, chance: random.Random) -> None:
    """Every reader finds a valid object where another one should be."""
    found = loose(clone)
    kinds: dict[bytes, list[Path]] = {}
    for path in found.values():
        kinds.setdefault(zlib.decompress(path.read_bytes()).split(b" ")[0], []).append(path)
    for paths in kinds.values():
        contents = [path.read_bytes() for path in paths]
        chance.shuffle(contents)
        for path, data in zip(paths, contents, strict=True):
            writable(path).write_bytes(data)


def swap_everything(clone: Path, chance: random.Random) -> None:
    """As above, with every object of the packs unpacked first: trees, commits and blobs of all ages."""
    unpack(clone)
    swap_loose(clone, chance)


def unpack(clone: Path) -> None:
    repository = Origin(clone)
    for pack in files(clone / "objects/pack", "*.pack"):
        data = pack.read_bytes()
        for suffix in (".pack", ".idx", ".promisor", ".rev"):
            pack.with_suffix(suffix).unlink(missing_ok=True)
        with contextlib.suppress(Exception):
            repository.git("unpack-objects", "-q", input=data)


def forge(clone: Path, chance: random.Random) -> None:
    """A commit, tree or blob with another content under the same name, which is what a wrong disk block would be."""
    unpack(clone)
    oid, path = chance.choice(sorted(loose(clone).items()))
    head, _, data = zlib.decompress(path.read_bytes()).partition(b"\0")
    data = data.replace(b"1", b"2").replace(b"line", b"lime").replace(b"healthy", b"healthi")
    full = head.split(b" ")[0] + b" %d\0" % len(data) + data
    assert oid
    assert sha1(full).hexdigest()
    writable(path).write_bytes(zlib.compress(full))


def another_repository(clone: Path, chance: random.Random) -> None:
    """A valid clone of something else, which says that it is ours."""
    config = (clone / "config").read_text()
    shutil.rmtree(clone)
    other = Origin.create(clone, files={"README.md": f"foreign {chance.random()}\n"})
    other.commit("env/qa", {"health": "ok\n"}, message="foreign")
    (clone / "config").write_text(config)


def a_plain_file(clone: Path, _: random.Random) -> None:
    shutil.rmtree(clone)
    clone.write_text("gone\n")


def refs_elsewhere(clone: Path, chance: random.Random) -> None:
    repository = Origin(clone)
    names = list(repository.refs())
    commits = repository.git("rev-list", "--all").split()
    for name in names:
        repository.git("update-ref", name, chance.choice(commits))


def refs_ahead(clone: Path, chance: random.Random) -> None:
    """The clone claims to have what the remote has now, and has not."""
    origin = Origin(clone.parent.parent / "shop.git")
    lines = [f"{oid} {name}" for name, oid in origin.refs().items()]
    (clone / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n" + "\n".join(sorted(lines, key=str.split)) + "\n"
    )
    if chance.random() < 0.5:
        shutil.rmtree(clone / "refs/heads", ignore_errors=True)
        (clone / "refs/heads").mkdir(parents=True)


def garbage(name: str) -> Damage:
    def write(clone: Path, chance: random.Random) -> None:
        (clone / name).write_bytes(chance.randbytes(chance.choice((0, 1, 40, 4000))))

    write.__name__ = f"garbage_{name}"
    return write


def locks(clone: Path, chance: random.Random) -> None:
    for name in chance.sample(("packed-refs", "config", "HEAD", "shallow", "refs/heads/env/dev", "objects/info/x"), 3):
        lock = clone / f"{name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()


def shallow(clone: Path, chance: random.Random) -> None:
    commits = Origin(clone).git("rev-list", "--all").split()
    (clone / "shallow").write_text(chance.choice(commits) + "\n")


def grafted(clone: Path, chance: random.Random) -> None:
    """Replaced and grafted history: what git would believe if it were let."""
    repository = Origin(clone)
    one, two = chance.sample(repository.git("rev-list", "--all").split(), 2)
    repository.git("update-ref", f"refs/replace/{one}", two)
    (clone / "info").mkdir(exist_ok=True)
    (clone / "info/grafts").write_text(f"{one} {two}\n")


def alternates(clone: Path, chance: random.Random) -> None:
    (clone / "objects/info").mkdir(exist_ok=True)
    (clone / "objects/info/alternates").write_text(chance.choice(("/nowhere\n", f"{clone.parent}\n", "\0\n")))


def evil_config(clone: Path, chance: random.Random) -> None:
    lines = ("[core]\n\tbare = false\n", "[core]\n\tworktree = /nowhere\n", '[url "/nowhere"]\n\tinsteadOf = /\n')
    lines += ("[core]\n\trepositoryFormatVersion = 99\n", "[remote\n", "[include]\n\tpath = /nowhere\n")
    lines += ('[remote "origin"]\n\tpushurl = /nowhere\n', '[remote "origin"]\n\tmirror = true\n')
    lines += ("[extensions]\n\tobjectFormat = sha256\n", '[remote "origin"]\n\tpush = +refs/heads/*:refs/heads/*\n')
    with (clone / "config").open("a") as config:
        config.write(chance.choice(lines))


def no_rights(clone: Path, chance: random.Random) -> None:
    path = chance.choice([clone, clone / "objects", clone / "refs", clone / "HEAD", clone / "config"])
    path.chmod(0o000)


def somebody_elses(clone: Path, _: random.Random) -> None:
    if os.geteuid() == 0:
        for path in (clone, *clone.rglob("*")):
            os.chown(path, 65534, 65534)


DAMAGES: tuple[Damage, ...] = (
    *(flip, flip_an_object, truncate, delete, delete_a_folder, swap_loose, swap_everything, forge),
    *(another_repository, a_plain_file, refs_elsewhere, refs_ahead, garbage("packed-refs"), garbage("HEAD")),
    *(garbage("config"), garbage("shallow"), garbage("commondir"), garbage("objects/info/commit-graph")),
    *(locks, shallow, grafted, alternates, evil_config, no_rights, somebody_elses),
)


def kinds(number: int, chance: random.Random) -> Iterator[Damage]:
    """Each kind in turn, in a random order."""
    order = [*DAMAGES]
    while number > 0:
        chance.shuffle(order)
        yield from order[:number]
        number -= len(order)


def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path, figures: Figures) -> None:
    """After the damage the same hop is made with the same tree; the first try may say 75, and never anything else."""
    chance, play = figures.chance, Play.create(tmp_path / "play")
    play.change("one")
    play.converge()
    play.hotfix()
    play.change("two")
    assert play.run("sync", "dev").status == 0
    play.keep()
    shutil.rmtree(play.cache)
    assert play.run("promote", "qa").status == 0
    wanted = play.shop.origin.tree("env/qa")
    for damage in kinds(scaled(200, 12), chance):
        play.back()
        (clone,) = play.cache.glob("*.git")
        damage(clone, chance)
        words = chance.choice((("promote", "qa"), ("run",)))
        first = play.run(*words)
        where = f"{damage.__name__} before {words}"
        assert first.status in (0, 75), f"{where}: {first.status} {first.out} {first.err}"
        assert first.status == 0 or play.run(*words).status == 0, f"{where}: {first.err}"
        assert play.shop.origin.tree("env/qa") == wanted, f"{where} {first.err}"
        figures(**{"corruptions": 1, "corruptions that said 75 once": first.status == 75})
        play.converge(excused=first.status == 0)
        assert play.has("prod", "two"), where
        assert play.violations() == [], where
    play.judged()
