"""The engine `directory`: whole releases or nothing, put back when changed by hand, and never outside of its directory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import promotion.engines.directory as directory
from promotion.engines.contract import Deployed
from promotion.engines.export import check_links, unsafe
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Entry, Health, Reading, Subject
from tests.support.git import Origin

A, B = "a" * 40, "b" * 40
FILE, PROGRAM, LINK, MODULE = 0o100644, 0o100755, 0o120000, 0o160000
MISSING, UNKNOWN = Health.MISSING, Health.UNKNOWN


@dataclass(frozen=True)
class Files:
    """Content out of a mapping of paths to (mode, data); counts how often it was read."""

    files: Mapping[bytes, tuple[int, bytes]]
    lacks: frozenset[str] = frozenset()
    damages: bool = False

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        return ((path, Entry(mode, _oid(data))) for path, (mode, data) in self.files.items())

    def blobs(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:
        known = {_oid(data): data for _, data in self.files.values()}
        return ((oid, known[oid] + b"!" * self.damages) for oid in oids if oid not in self.lacks)


@dataclass(frozen=True)
class Unread:
    """Content that must not be asked for."""

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        raise AssertionError("asked for its entries")

    def blobs(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002
        raise AssertionError("asked for its blobs")


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


ONE = Files(
    {
        b"healthz": (FILE, b"ok\n"),
        b"bin/serve": (PROGRAM, b"#!/bin/sh\n"),
        b"conf/deep/app.yaml": (FILE, b"replicas: 2\n"),
        b"conf/now": (LINK, b"deep/app.yaml"),
        b"tidy": (LINK, b"./conf//now"),
        b"\xff\xfe": (FILE, b""),
    }
)
TWO = Files({**ONE.files, b"healthz": (FILE, b"better\n")})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "srv" / "shop"


def sync(place: Path, content: Any = ONE, revision: str = A, **settings: Any) -> Deployed:
    return directory.sync({"path": str(place), **settings}, Subject("shop", "qa", revision), content)


def observe(place: Path, **settings: Any) -> Deployed:
    """Without what earlier syncs kept: see the test of `records`."""
    return replace(directory.observe({"path": str(place), **settings}, Subject("shop", "qa", A)), records=())


def found(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """What a release holds, as Git would say it."""
    files: dict[bytes, tuple[int, bytes]] = {}
    for folder, _, names in os.walk(os.fsencode(root)):
        links = [e.name for e in os.scandir(folder) if e.is_symlink()]
        for name in {*names, *links}:
            path = folder + b"/" + name
            mode = os.lstat(path).st_mode
            data = os.readlink(path) if stat.S_ISLNK(mode) else Path(os.fsdecode(path)).read_bytes()  # noqa: PTH115
            files[os.path.relpath(path, os.fsencode(root))] = (LINK if stat.S_ISLNK(mode) else mode, data)
    return files


def patiently(act: Callable[[], Deployed]) -> Deployed:
    """What `act` returns once it gets the directory's lock: what a killed sync had just forked holds it until it is exec'd."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return act()
        except TemporaryError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def releases(place: Path) -> set[str]:
    return {path.name for path in (place / "releases").iterdir()}


# --- the good case -------------------------------------------------------------------------------------------------


def test_nothing_is_deployed_before_the_first_sync(place: Path) -> None:
    """An environment that was never synced says so."""
    assert observe(place) == Deployed(None, Reading(MISSING, f"nothing deployed in {place}"))


def test_a_release_is_exactly_the_commit(place: Path) -> None:
    """Contents, modes, symlinks and odd names are Git's, whatever the umask."""
    old = os.umask(0o077)
    try:
        assert sync(place) == Deployed(A)
    finally:
        os.umask(old)
    assert found(place / "current") == dict(ONE.files)
    assert os.readlink(place / "current") == f"releases/{A}"  # noqa: PTH115 - as it is written
    assert stat.S_IMODE((place / "releases" / A).stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "releases" / A / "conf" / "deep").stat().st_mode) == 0o755
    assert observe(place) == Deployed(A)


def test_content_of_a_real_repository(tmp_path: Path, place: Path) -> None:
    """Object ids are Git's own: a real commit is exported and found unchanged."""
    files = {"a/b.txt": "text\n", "run.sh": ("100755", "#!/bin/sh\n"), "l": ("120000", "a/b.txt")}
    origin = Origin.create(tmp_path / "origin.git", ["main"], files)  # type: ignore[arg-type]
    tree = origin.tree("main")

    class Real:
        def entries(self) -> Iterator[tuple[bytes, Entry]]:
            return ((os.fsencode(path), Entry(int(mode, 8), oid)) for path, (mode, oid) in tree.items())

        def blobs(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:
            return ((oid, origin.git_bytes("cat-file", "blob", oid)) for oid in oids)

    assert sync(place, Real(), origin.tip("main")) == Deployed(origin.tip("main"))
    assert sync(place, Unread(), origin.tip("main")) == Deployed(origin.tip("main"))
    assert (place / "current" / "l").read_text() == "text\n"
    assert os.access(place / "current" / "run.sh", os.X_OK)


def test_nothing_to_do_reads_nothing(place: Path) -> None:
    """A second sync asks Git for nothing and reads no file."""
    sync(place)
    before = (place / "current" / "healthz").stat().st_atime_ns
    assert sync(place, Unread()) == Deployed(A)
    assert (place / "current" / "healthz").stat().st_atime_ns == before
    assert releases(place) == {A}


def test_a_new_revision_replaces_and_old_ones_are_pruned(place: Path) -> None:
    """The newest `keep` releases stay beside the current one; what is not ours stays too."""
    shas = [f"{n:040x}" for n in range(8)]
    (place / "releases" / "mine").mkdir(parents=True)
    for sha in shas:
        sync(place, revision=sha, keep=3)
    assert observe(place) == Deployed(shas[-1])
    assert releases(place) == {*shas[-4:], "mine"}
    sync(place, revision=shas[-1], keep=0)
    assert releases(place) == {shas[-1], "mine"}
    assert {p.stem for p in (place / ".promotion" / "manifests").iterdir()} == {shas[-1]}


def test_five_old_releases_are_kept_by_default(place: Path) -> None:
    """`keep: 5`."""
    for n in range(8):
        sync(place, revision=f"{n:040x}")
    assert len(releases(place)) == 6


READER = """
import os, sys
while not os.path.exists(sys.argv[2]):
    os.stat(sys.argv[1])
"""


def test_readers_never_find_nothing(tmp_path: Path, place: Path) -> None:
    """A service that opens files all the time sees one whole release or the other, through every switch."""
    sync(place)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(place / "current" / "healthz"), str(tmp_path / "stop")]
    )
    for n in range(200):
        sync(place, revision=f"{n:040x}")
    (tmp_path / "stop").touch()
    assert reader.wait(30) == 0


def test_an_empty_commit(place: Path) -> None:
    """A commit without files is a release like any other."""
    assert sync(place, Files({})) == Deployed(A)
    shutil.rmtree(place / "releases" / A)
    assert sync(place, Files({})).reverted == (f"releases/{A}",)


# --- changed by hand -----------------------------------------------------------------------------------------------


def _edit_keeping_size_and_time(root: Path) -> None:
    before = (root / "healthz").stat()
    (root / "healthz").write_bytes(b"KO\n")
    os.utime(root / "healthz", ns=(before.st_atime_ns, before.st_mtime_ns))


def _relink(root: Path) -> None:
    (root / "conf" / "now").unlink()
    (root / "conf" / "now").symlink_to("/etc/passwd")


def _replace_by_link(root: Path) -> None:
    (root / "healthz").rename(root.parent.parent / "elsewhere")
    (root / "healthz").symlink_to(root.parent.parent / "elsewhere")


def _replace_folder(root: Path) -> None:
    (root / "bin").rename(root.parent.parent / "elsewhere")
    (root / "bin").symlink_to(root.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "reverted"),
    [
        (lambda r: (r / "healthz").write_bytes(b"by hand\n"), ("healthz",)),
        (_edit_keeping_size_and_time, ("healthz",)),
        (lambda r: (r / "healthz").unlink(), ("healthz",)),
        (lambda r: (r / "healthz").chmod(0o600), ("healthz",)),
        (lambda r: (r / "bin/serve").chmod(0o644), ("bin/serve",)),
        (lambda r: (r / "bin/serve").chmod(0o4755), ("bin/serve",)),
        (lambda r: (r / "conf").chmod(0o777), ("conf",)),
        (lambda r: r.chmod(0o700), (f"releases/{A}",)),
        (lambda r: (r / "extra").write_text("x"), ("extra",)),
        (lambda r: (r / "conf/more/and").mkdir(parents=True), ("conf/more",)),
        (lambda r: shutil.rmtree(r / "conf"), ("conf/deep/app.yaml", "conf/now")),
        (lambda r: os.mkfifo(r / "pipe"), ("pipe",)),
        (_relink, ("conf/now",)),
        (_replace_by_link, ("healthz",)),
        (_replace_folder, ("bin", "bin/serve")),
        (lambda r: shutil.rmtree(r), (f"releases/{A}",)),
        (lambda r: (r / os.fsdecode(b"\xff\xfe")).unlink(), ("\\xff\\xfe",)),
        (lambda r: (r.parent.parent / "current").unlink(), ()),
    ],
)
def test_changes_by_hand_are_put_back_and_reported(place: Path, change: Any, reverted: tuple[str, ...]) -> None:
    """Whatever differs from the commit is named, and gone after one sync, by a whole new release and a switch."""
    sync(place)
    change(place / "releases" / A)
    before = (place / "releases" / A).stat().st_ino if (place / "releases" / A).exists() else None
    assert sync(place) == Deployed(A, None, reverted)
    assert found(place / "current") == dict(ONE.files)
    assert observe(place) == Deployed(A)
    records = directory.observe({"path": str(place)}, Subject("shop", "qa", A)).records
    assert [(r.revision, r.paths) for r in records] == ([(A, reverted)] if reverted else [])
    assert (place / "current").stat().st_ino != before, "repaired where readers see it half-way"
    assert sync(place, Unread()) == Deployed(A)


def test_what_was_put_back_is_kept_beside_the_releases(place: Path) -> None:
    """The orchestrator's next round can read it; the record is bounded."""
    sync(place)
    kept = place / ".promotion" / "reverted.jsonl"
    for _ in range(2):
        (place / "current" / "extra").touch()
        sync(place)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(line["revision"], line["paths"], line["count"]) for line in lines] == [(A, ["extra"], 1)] * 2
    kept.write_bytes(b"\xff\n" * 1000)
    for n in range(500):
        (place / "current" / f"extra{n}").touch()
    assert len(sync(place).reverted) == 500
    assert len(kept.read_bytes().splitlines()) == directory.RECORDS
    assert len(json.loads(kept.read_bytes().splitlines()[-1])["paths"]) == directory.RECORDS


def test_changes_by_hand_are_reported_when_a_new_revision_replaces_them(place: Path) -> None:
    """They are lost then, too."""
    sync(place)
    (place / "current" / "healthz").write_text("by hand")
    assert sync(place, TWO, B) == Deployed(B, None, ("healthz",))


def test_a_touched_file_is_read_once_and_no_change(place: Path) -> None:
    """New times alone are no change; they are remembered once they are old enough to be trusted."""
    sync(place)
    os.utime(place / "current" / "healthz", (1, 1))
    assert sync(place, Unread()) == Deployed(A)
    manifest = place / ".promotion" / "manifests" / f"{A}.json"
    rows = json.loads(manifest.read_text())
    for row in rows:
        row[4:] = [1, 1]
    manifest.write_text(json.dumps(rows))
    _wait_until_settled(place / "current" / "healthz")
    assert sync(place, Unread()) == Deployed(A)
    assert all(row[4:] != [1, 1] for row in json.loads(manifest.read_text()))


@pytest.mark.parametrize("text", [None, "", "{}x", "null", "[1]", "[[1, 2]]"])
def test_without_its_manifest_a_release_is_compared_with_git(place: Path, text: str | None) -> None:
    """A lost or broken record neither hides a change nor is one."""
    sync(place)
    manifest = place / ".promotion" / "manifests" / f"{A}.json"

    def spoil() -> None:
        manifest.unlink(missing_ok=True) if text is None else manifest.write_text(text)

    spoil()
    assert sync(place) == Deployed(A)
    spoil()
    (place / "current" / "healthz").write_bytes(b"KO\n")
    assert sync(place) == Deployed(A, None, ("healthz",))
    (place / ".promotion" / "manifests" / f"{A}.2.json").unlink()
    assert sync(place, TWO, B) == Deployed(B)


@pytest.mark.parametrize("target", ["/etc", "releases", f"releases/../releases/{A}", "releases/mine", f"./x/{A}", "."])
def test_a_foreign_link_is_no_release(place: Path, target: str) -> None:
    """What leads elsewhere counts as nothing deployed, and is put right."""
    sync(place)
    (place / "current").unlink()
    (place / "current").symlink_to(target)
    assert observe(place) == Deployed(None, Reading(UNKNOWN, f"{place}/current is not a link to one of our releases"))
    assert sync(place) == Deployed(A, None, ("current",))
    assert observe(place) == Deployed(A)


def test_a_dangling_link_is_missing(place: Path) -> None:
    """A link to a release that somebody removed deploys nothing."""
    sync(place)
    shutil.rmtree(place / "releases" / A)
    assert observe(place).reading == Reading(MISSING, f"{place}/current leads to a release that is not there")


def test_a_directory_in_the_links_place_is_left_alone(place: Path) -> None:
    """People's data is never removed, and no release is written again and again."""
    (place / "current").mkdir(parents=True)
    (place / "current" / "data").touch()
    for _ in range(2):
        with pytest.raises(ConfigError, match="current: is a directory and not our link"):
            sync(place)
    assert (place / "current" / "data").exists()
    assert not (place / "releases").exists()
    assert observe(place).reading == Reading(UNKNOWN, f"{place}/current is not a link to one of our releases")


# --- never outside -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        b"../evil",
        b"a/../../evil",
        b"a/..",
        b"/etc/evil",
        b"a//b",
        b"a/",
        b"",
        b".",
        b"a/./b",
        b".git/hooks/x",
        b"sub/.GIT/config",
        b".Git",
        b"nul\0",
        b"x" * 256,
        b"/".join([b"d"] * 201),
    ],
)
def test_unsafe_paths_are_refused(tmp_path: Path, place: Path, path: bytes) -> None:
    """Nothing is written for a commit with such a path; what was deployed stays."""
    assert unsafe(path)
    sync(place)
    outside = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        sync(place, Files({**ONE.files, path: (FILE, b"evil")}), B)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert sorted(p.name for p in tmp_path.rglob("*")) == outside
    assert observe(place) == Deployed(A)


@pytest.mark.parametrize(
    "path", [b"a", b"a/b", b"..a", b"a..", b".gitignore", b".github/x", b"git", b"\xff", b"x" * 255]
)
def test_safe_paths(path: bytes) -> None:
    """Names that only look like unsafe ones are fine."""
    assert unsafe(path) is None


@pytest.mark.parametrize(
    "links",
    [
        {b"l": b"/etc/passwd"},
        {b"l": b".."},
        {b"l": b"../x"},
        {b"a/l": b"../../x"},
        {b"a/l": b"b/../../.."},
        {b"l": b""},
        {b"l": b"x\0y"},
        {b"l": b"x" * 4096},
        {b"a/b/up": b"../..", b"a/b/evil": b"up/.."},  # harmless if read as text, not as the kernel does
        {b"a/b/up": b"../..", b"x": b"a/b/up/../etc"},
        {b"one": b"two", b"two": b"a/three", b"a/three": b"../.."},
    ],
)
def test_symlinks_that_lead_out_are_refused(place: Path, links: dict[bytes, bytes]) -> None:
    """Directly, or through other links of the release."""
    with pytest.raises(ConfigError, match="is a symlink"):
        check_links(links)
    sync(place)
    with pytest.raises(ConfigError):
        sync(place, Files({path: (LINK, target) for path, target in links.items()}), B)
    assert found(place / "current") == dict(ONE.files)


@pytest.mark.parametrize(
    "links",
    [
        {b"l": b"x"},
        {b"a/l": b"../x"},
        {b"a/l": b".."},
        {b"l": b"."},
        {b"a/b/up": b"../..", b"x": b"a/b/up/a"},
        {b"x": b"y", b"y": b"x"},
        {b"l": b"not/there"},
    ],
)
def test_symlinks_that_stay_inside(place: Path, links: dict[bytes, bytes]) -> None:
    """Upwards is fine within the release; loops and dead ends lead nowhere."""
    assert sync(place, Files({path: (LINK, target) for path, target in links.items()})) == Deployed(A)


def test_a_file_is_never_written_through_a_link(tmp_path: Path, place: Path) -> None:
    """A forged tree that has a link and files behind it is refused before anything is written."""
    (tmp_path / "target").mkdir()
    for files in (
        {b"a": (LINK, b"b"), b"a/evil": (FILE, b"x")},
        {b"a/evil": (FILE, b"x"), b"a": (LINK, os.fsencode(tmp_path / "target"))},
    ):
        with pytest.raises(ConfigError, match="a is a file and a directory"):
            sync(place, Files(files))
    assert not list((tmp_path / "target").iterdir())


@pytest.mark.parametrize(
    ("mode", "said"), [(MODULE, "is a submodule"), (0o40000, "has the mode 40000"), (0o060000, "has the mode 60000")]
)
def test_what_cannot_be_deployed_is_named(place: Path, mode: int, said: str) -> None:
    """Submodules and unheard-of modes are refused in one line."""
    with pytest.raises(ConfigError, match=f"^vendor/lib {said}"):
        sync(place, Files({b"vendor/lib": (mode, b"")}))


@pytest.mark.parametrize(
    "content", [Files(ONE.files, lacks=frozenset({_oid(b"ok\n")})), Files(ONE.files, damages=True)]
)
def test_objects_that_git_lacks_or_that_are_damaged(place: Path, content: Files) -> None:
    """What the clone cannot give whole is not deployed."""
    sync(place, TWO, B)
    with pytest.raises(TemporaryError, match="Git"):
        sync(place, content)
    assert observe(place) == Deployed(B)
    assert releases(place) == {B}


@pytest.mark.parametrize("revision", [None, "", "main", "../evil", "A" * 40, "a" * 39])
def test_only_full_ids_are_deployed(place: Path, revision: Any) -> None:
    """A revision becomes a name on disk."""
    with pytest.raises(ConfigError, match="not a commit"):
        sync(place, ONE, revision)
    assert not place.exists()


# --- reload --------------------------------------------------------------------------------------------------------


def test_reload_runs_after_the_switch_and_only_then(tmp_path: Path, place: Path) -> None:
    """Once for each new release; it sees the new files and what it is about."""
    log = tmp_path / "log"
    reload = ["sh", "-c", f"echo $PROMOTION_REVISION $(cat {place}/current/healthz) >> {log}"]
    assert sync(place, reload=reload) == Deployed(A)
    assert sync(place, reload=reload) == Deployed(A)
    assert sync(place, TWO, B, reload=reload) == Deployed(B)
    assert log.read_text() == f"{A} ok\n{B} better\n"
    assert observe(place, reload=reload) == Deployed(B)


def test_a_failed_reload_is_degraded_and_tried_again(tmp_path: Path, place: Path) -> None:
    """The revision does not count as deployed until its reload has worked."""
    reload = ["sh", "-c", f"test -e {tmp_path}/go || {{ echo no config >&2; exit 3; }}"]
    failed = Deployed(A, Reading(Health.DEGRADED, "reload exited 3: no config"))
    assert sync(place, reload=reload) == failed
    assert observe(place, reload=reload) == failed
    (tmp_path / "go").touch()
    assert sync(place, Unread(), reload=reload) == Deployed(A)
    assert observe(place, reload=reload) == Deployed(A)


def test_a_reload_that_hangs_or_cannot_start(place: Path) -> None:
    """Neither is a success, and the loop goes on."""
    hangs = sync(place, reload=["sleep", "300"], reload_timeout="1s")
    assert hangs.reading == Reading(Health.DEGRADED, "reload: no end within 1s")
    reading = sync(place, reload=["/nowhere/reload"]).reading
    assert reading == Reading(Health.DEGRADED, "reload: cannot start /nowhere/reload: No such file or directory")


def test_a_release_that_was_never_reloaded_is_pending(place: Path) -> None:
    """As after a kill between the switch and the reload: the next sync does it."""
    sync(place)
    pending = Deployed(A, Reading(Health.PROGRESSING, "reload pending"))
    assert observe(place, reload=["true"]) == pending
    (place / ".promotion" / "reload.json").write_text("\xff{", "latin-1")
    assert observe(place, reload=["true"]) == pending
    assert sync(place, reload=["true"]) == Deployed(A)


def test_a_repair_is_reloaded_too(tmp_path: Path, place: Path) -> None:
    """Also when a whole release was removed by hand: the name that was reloaded is not used again."""
    reload = ["sh", "-c", f"echo >> {tmp_path}/log"]
    sync(place, reload=reload)
    shutil.rmtree(place / "releases" / A)
    sync(place, reload=reload)
    (place / "current" / "healthz").unlink()
    sync(place, reload=reload)
    assert (tmp_path / "log").read_text() == "\n" * 3


def test_the_release_that_still_serves_is_not_pruned(place: Path) -> None:
    """While reloads fail, the service runs out of the release it was last reloaded with."""
    sync(place, reload=["true"], keep=0)
    for n in range(3):
        sync(place, revision=f"{n:040x}", reload=["false"], keep=0)
    assert releases(place) == {A, f"{2:040x}"}


# --- faults --------------------------------------------------------------------------------------------------------


def test_one_loop_at_a_time(place: Path) -> None:
    """A second one is told so and changes nothing."""

    class Nested(Files):
        def entries(self) -> Iterator[tuple[bytes, Entry]]:
            with pytest.raises(TemporaryError, match="another sync loop works on this directory"):
                sync(place, TWO, B)
            return super().entries()

    assert sync(place, Nested(ONE.files)) == Deployed(A)
    assert sync(place, TWO, B) == Deployed(B)


def test_leftovers_of_a_killed_sync_are_removed(place: Path) -> None:
    """Drafts are nobody's once the lock is free."""
    (place / "releases" / f".new-{B}-x" / "sub").mkdir(parents=True)
    (place / ".promotion").mkdir()
    (place / ".promotion" / "current.new").symlink_to("nowhere")
    sync(place)
    assert releases(place) == {A}
    assert not os.path.lexists(place / ".promotion" / "current.new")


def test_a_file_in_the_directorys_place(place: Path) -> None:
    """One clear line."""
    place.parent.mkdir()
    place.touch()
    with pytest.raises(ConfigError, match=f"^{place}"):
        sync(place)


def test_a_kill_anywhere_leaves_a_whole_release(place: Path) -> None:
    """After `kill -9` at random moments `current` is the old or the new release, and undisturbed syncs converge."""
    rng = random.Random(4)
    files = {b"%d/%d" % (n % 7, n): (FILE, b"x" * n) for n in range(150)}
    contents = {A: Files({**files, b"v": (FILE, b"A")}), B: Files({**files, b"v": (FILE, b"B")})}
    reload = ["sh", "-c", "exit 0"]
    sync(place, contents[B], B, reload=reload)
    began = time.monotonic()
    sync(place, contents[A], A, reload=reload)
    whole = time.monotonic() - began  # so that kills come before, within and after a sync on any machine
    seen = set()
    for turn in range(30):
        wanted = (B, A)[turn % 2]
        child = os.fork()
        if child == 0:
            try:
                sync(place, contents[wanted], wanted, reload=reload)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0, 2 * whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        now = observe(place, reload=reload)
        assert now.revision in (A, B)
        assert found(place / "current") == dict(contents[now.revision].files)
        seen.add(now.revision == wanted)
    assert seen == {True, False}, "no kill came before, or none after the switch"
    assert patiently(lambda: sync(place, contents[B], B, reload=reload)).revision == B
    assert found(place / "current") == dict(contents[B].files)
    assert observe(place, reload=reload) == Deployed(B)
    assert not [name for name in releases(place) if name.startswith(".new-")]
    assert len(releases(place)) <= 1 + 1 + directory.KEEP


@pytest.mark.parametrize("step", ["export", "_switch", "_sync_file_system", "_write", "_reload"])
def test_a_crash_at_each_step_is_finished_by_the_next_sync(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Old or new, never in between; the reload is not forgotten."""
    reload = ["true"]
    sync(place, reload=reload)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(directory, step, crash)
        with pytest.raises(KeyboardInterrupt):
            sync(place, TWO, B, reload=reload)
    after = observe(place, reload=reload)
    assert after == (Deployed(A) if step != "_reload" else Deployed(B, Reading(Health.PROGRESSING, "reload pending")))
    assert sync(place, TWO, B, reload=reload) == Deployed(B)
    assert observe(place, reload=reload) == Deployed(B)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    try:
        yield disk / "shop"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_release(tiny: Path) -> None:
    """It goes on serving, the draft is removed, and the next sync with room completes."""
    sync(tiny, keep=0)
    big = Files({**TWO.files, b"big": (FILE, os.urandom(2 << 20))})
    with pytest.raises(TemporaryError, match="no space left on device"):
        sync(tiny, big, B)
    assert observe(tiny) == Deployed(A)
    assert found(tiny / "current") == dict(ONE.files)
    assert releases(tiny) == {A}
    assert sync(tiny, TWO, B) == Deployed(B)


LIMITED = """
import resource, signal, sys
from pathlib import Path
import tests.test_engine_directory as t
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    t.sync(Path(sys.argv[1]), t.Files({**t.TWO.files, b"big": (t.FILE, b"x" * 200_000)}), t.B)
except t.TemporaryError as exc:
    print(exc)
"""


def test_a_file_that_cannot_be_written_whole(place: Path) -> None:
    """A write that fails in the middle (here: a limit) leaves the old release, everywhere."""
    sync(place)
    done = subprocess.run([sys.executable, "-c", LIMITED, str(place)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{place}: {os.strerror(errno.EFBIG).lower()}\n"
    assert observe(place) == Deployed(A)
    assert sync(place, TWO, B) == Deployed(B)


def _wait_until_settled(path: Path) -> None:
    while time.time_ns() - path.stat().st_ctime_ns < 2_100_000_000:
        time.sleep(0.05)
