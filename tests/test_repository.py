"""The door to Git: its cache repairs itself, its pushes compare and swap, its words are clean, its processes end."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.errors import ConfigError, TemporaryError
from promotion.model import Entry
from promotion.repository import Git, Repository, Update, process
from promotion.repository.formats import format_tree, parse_commit, parse_tree
from promotion.repository.objects import EMPTY_TREE
from promotion.repository.process import clean, failure, gist
from tests.support.git import Origin

DEV, QA, LEDGER = "refs/heads/env/dev", "refs/heads/env/qa", "refs/heads/promotion/shop"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def repository(origin: Origin, tmp_path: Path) -> Iterator[Repository]:
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as opened:
        yield opened


def grown(repository: Repository, tip: str, text: str = "x\n") -> str:
    """A commit on top of `tip`, in the clone only."""
    objects = repository.objects
    blob = objects.write_blob(text.encode())
    tree = objects.write_tree(objects.commit(tip).tree, {b"grown": Entry(0o100644, blob)})
    return repository.commit_tree(tree, [tip], "grown", NOW)


# --- the cache -----------------------------------------------------------------------------------------------------


def deleted(clone: Path) -> None:
    shutil.rmtree(clone)


def truncated(clone: Path) -> None:
    for pack in (clone / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:40])


def emptied(clone: Path) -> None:
    for path in clone.iterdir():
        if path.name != "HEAD":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def a_file(clone: Path) -> None:
    shutil.rmtree(clone)
    clone.write_text("not a clone\n")


def garbage_head(clone: Path) -> None:
    (clone / "HEAD").write_bytes(b"\0\0\0garbage")


def garbage_config(clone: Path) -> None:
    (clone / "config").write_text("[remote\n")


def another_remote(clone: Path) -> None:
    (clone / "config").write_text("[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n")


def garbage_ref(clone: Path) -> None:
    (clone / "packed-refs").unlink(missing_ok=True)
    (clone / "refs" / "heads" / "env").mkdir(parents=True, exist_ok=True)
    (clone / "refs" / "heads" / "env" / "dev").write_text("garbage\n")


def stale_ref_lock(clone: Path) -> None:
    (clone / "refs" / "heads" / "env").mkdir(parents=True, exist_ok=True)
    (clone / "refs" / "heads" / "env" / "dev.lock").touch()


def stale_packed_lock(clone: Path) -> None:
    (clone / "packed-refs.lock").touch()


def leftovers(clone: Path) -> None:
    (clone / "objects" / "pack" / "tmp_pack_abc").write_bytes(b"PACK")
    (clone / "shallow.lock").touch()


FAULTS = (
    *(deleted, truncated, emptied, a_file, garbage_head, garbage_config, another_remote, garbage_ref),
    *(stale_ref_lock, stale_packed_lock, leftovers),
)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "running"])
def test_a_broken_clone_is_made_again(
    origin: Origin, repository: Repository, tmp_path: Path, fault: Callable[[Path], None], restarted: bool
) -> None:
    """Whatever is wrong with the cache, the refresh after at most one 75 works, with the newest commits in it."""
    repository.refresh([DEV, QA])
    fault(repository.path)
    if restarted:
        repository.close()
        repository = Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache")
    tip = origin.commit("env/dev", {"new": "1\n"})
    with repository:
        try:
            length = looked_at(repository, origin, tip)
        except TemporaryError:
            length = looked_at(repository, origin, tip)
    assert length == 3


def looked_at(repository: Repository, origin: Origin, tip: str) -> int:
    assert repository.refresh([DEV, QA])[DEV] == tip
    content = repository.content(tip)
    oid = dict(content.entries())[b"README.md"].oid
    assert dict(content.blobs([oid])) == {oid: b"A release.\n"}
    return len([*repository.first_parents(tip), *repository.first_parents(origin.tip("env/qa"))])


def test_refs_are_asked_of_the_remote_every_time(origin: Origin, repository: Repository) -> None:
    """Also a rewritten and a deleted branch; a ref that is not there is absent."""
    first = repository.refresh([DEV, QA])[DEV]
    rewritten = origin.commit("env/dev", {"a": "1\n"}, onto=origin.commit("other", {"b": "2\n"}))
    origin.set("env/qa", None)
    snapshot = repository.refresh([DEV, QA], [LEDGER])
    assert first != rewritten == snapshot[DEV]
    assert snapshot[QA] is None
    assert snapshot[LEDGER] is None


def test_names_are_matched_whole(origin: Origin, repository: Repository) -> None:
    """`ls-remote` matches tails: another branch whose name ends alike is not ours."""
    origin.set(f"x/{DEV}", origin.commit("env/qa", {"a": "1\n"}))
    assert repository.refresh([DEV]).tips == {DEV: origin.tip("env/dev")}


def test_a_clone_is_blobless_and_reads_what_it_needs(origin: Origin, repository: Repository) -> None:
    """Blobs come when they are asked for."""
    tip = repository.refresh([DEV])[DEV] or ""
    oid = origin.tree("env/dev")["README.md"][1]
    assert not repository.objects.has(oid)
    assert repository.blob(oid) == b"A release.\n"
    assert repository.objects.look(repository.objects.commit(tip).tree, b"README.md") == Entry(0o100644, oid)


def test_a_cache_that_cannot_be_made_is_the_set_ups_fault(origin: Origin, tmp_path: Path) -> None:
    """2 with the place: below a file, or where nobody may write."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "cache", Path("/proc/promotion")):
        with Repository(str(origin.path), Git(os.environ, folder), folder) as repository:
            with pytest.raises(ConfigError) as told:
                repository.refresh([DEV])
            assert str(folder) in str(told.value)


def test_a_full_disk_is_temporary(origin: Origin, repository: Repository) -> None:
    """75 when an object cannot be written, and nothing is broken by it."""
    tip = repository.refresh([QA])[QA] or ""
    before, (soft, hard) = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(TemporaryError, match="cannot be written"):
            grown(repository, tip)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    new = grown(repository, tip)
    assert repository.push([Update(QA, tip, new)]) == ""
    assert origin.tip("env/qa") == new


# --- the push ------------------------------------------------------------------------------------------------------


def test_a_push_moves_several_refs_or_none(origin: Origin, repository: Repository) -> None:
    """S4: with either lease lost, neither the branch nor the ledger moves."""
    tip = repository.refresh([DEV, QA])[QA] or ""
    ledger = grown(repository, tip, "event\n")
    assert repository.push([Update(LEDGER, None, ledger), Update(QA, tip, grown(repository, tip))]) == ""
    assert origin.refs()[LEDGER] == ledger
    landed = origin.tip("env/qa")
    stale_branch = [Update(LEDGER, ledger, grown(repository, ledger)), Update(QA, tip, grown(repository, tip, "y\n"))]
    assert "stale info" in repository.push(stale_branch)
    stale_ledger = [Update(LEDGER, tip, grown(repository, tip)), Update(QA, landed, grown(repository, landed))]
    assert "stale info" in repository.push(stale_ledger)
    absent_ledger = [Update(LEDGER, None, grown(repository, tip)), Update(QA, landed, grown(repository, landed))]
    assert "stale info" in repository.push(absent_ledger)
    assert (origin.refs()[LEDGER], origin.tip("env/qa")) == (ledger, landed)


def test_a_push_that_would_rewrite_history_is_never_sent(origin: Origin, repository: Repository) -> None:
    """S5: the old tip must be in the first-parent history of the new one; a lease alone would force it."""
    old = origin.commit("env/qa", {"a": "1\n"})
    snapshot = repository.refresh([DEV, QA])
    dev = snapshot[DEV] or ""
    sideways = repository.commit_tree(repository.objects.commit(old).tree, [dev, old], "merged the wrong way", NOW)
    for new in (dev, grown(repository, dev), sideways):
        with pytest.raises(AssertionError, match="would rewrite"):
            repository.push([Update(QA, old, new)])
    assert origin.tip("env/qa") == old


# --- objects -------------------------------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=4).filter(lambda n: b"\0" not in n and b"/" not in n and n not in (b".", b".."))
entries = st.builds(Entry, st.sampled_from([0o100644, 0o100755, 0o120000, 0o160000, 0o40000]), st.just(EMPTY_TREE))


@given(st.dictionaries(names, entries, max_size=8))
def test_trees_are_read_as_they_are_written(tree: dict[bytes, Entry]) -> None:
    """Any name that Git allows, whatever its bytes."""
    assert parse_tree(format_tree(tree)) == tree


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_commit(data: bytes) -> None:
    """Bytes that are no commit are a ValueError, never another."""
    head = b"tree " + EMPTY_TREE.encode() + b"\nauthor " + data + b"\ncommitter " + data + b"\n\n" + data
    for text in (data, head):
        with suppress(ValueError):
            parse_commit("0" * 40, text)


def test_written_trees_are_what_git_writes(origin: Origin, repository: Repository) -> None:
    """Against Git itself: nested, replaced, deleted and odd paths; the empty folder vanishes; fsck finds nothing."""
    odd = {b"a/b/c": "1", b"a/b.c": "2", b"a-b": "3", b"\xff\xfe/\n": "4", b"gone/x": "5", b"file": "6"}
    tip = origin.commit("env/dev", odd)  # type: ignore[arg-type]
    change = {"gone/x": None, "file": None, "file/inside": "7", "a/b/c": None, "a/b": "8"}
    wanted = origin.commit("env/dev", change)  # type: ignore[arg-type]
    repository.refresh([DEV])
    objects = repository.objects
    base, target = objects.commit(tip).tree, objects.commit(wanted).tree
    diff = {path: new for path, (_, new) in objects.diff(base, target).items()}
    assert sorted(diff) == [b"a/b", b"a/b/c", b"file", b"file/inside", b"gone/x"]
    assert objects.write_tree(base, diff) == target
    everything = {path: None for path, _ in objects.entries(base)}
    assert objects.write_tree(base, everything) == EMPTY_TREE


# --- git processes -------------------------------------------------------------------------------------------------


def fake_git(folder: Path, script: str) -> Git:
    """A `git` on PATH that knows its version and then does as `script` says."""
    folder.mkdir(exist_ok=True)
    file = folder / "git"
    real = shutil.which("git")
    told = 'case " $* " in *" version "*|*" config --list "*) exec ' + f'{real} "$@";; esac\n'
    file.write_text(f"#!/bin/sh\n{told}{script}\n")
    file.chmod(0o755)
    return Git({**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}, folder / "cache")


def gone(pid: int) -> bool:
    for _ in range(200):
        with suppress(FileNotFoundError, ProcessLookupError):
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
                continue
        return True
    return False


@pytest.mark.parametrize(
    "script",
    ["sleep 300 & echo $! >{0}; wait", "sleep 300 >&- 2>&- & echo $! >{0}; exec >&- 2>&-; wait"],
    ids=["silent", "closed"],
)
def test_a_git_that_hangs_is_killed_with_its_children(tmp_path: Path, script: str) -> None:
    """S15: the deadline counts for the whole process group, also when it has closed its outputs."""
    pid = tmp_path / "pid"
    git = fake_git(tmp_path / "bin", script.format(pid))
    with pytest.raises(TemporaryError, match="in time"):
        git.run(tmp_path, "fetch", seconds=0.5)
    child = int(pid.read_text())
    try:
        assert gone(child)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_git_that_never_stops_talking_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S15: output is capped, on either stream."""
    monkeypatch.setattr(process, "CAP", 1 << 18)
    for stream in (1, 2):
        git = fake_git(tmp_path / f"bin{stream}", f"exec yes >&{stream}")
        with pytest.raises(TemporaryError, match="more than"):
            git.run(tmp_path, "fetch", seconds=20)


def test_no_git_and_an_old_git_are_said(tmp_path: Path) -> None:
    """Both are the set-up's fault: exit status 2."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="not installed"):
        Git({"PATH": str(empty)}, tmp_path).run(tmp_path, "fetch")
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    with pytest.raises(ConfigError, match=r"2\.30\.2 is too old"):
        Git({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, tmp_path / "cache").run(tmp_path, "fetch")


def test_nothing_of_the_users_configuration_can_have_a_say(origin: Origin, tmp_path: Path, home: Path) -> None:
    """Hooks, attributes, URL rewriting and signing of pushes in ~/.gitconfig are not honoured; who acts is."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-push").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-push").chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[core]\nhooksPath = {hooks}\n[url "file:///nowhere/"]\ninsteadOf = {origin.path}\n'
        "[push]\ngpgSign = true\n[user]\nname = Ann\nemail = ann@example.com\n"
    )
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as repository:
        tip = repository.refresh([QA])[QA] or ""
        new = grown(repository, tip)
        assert repository.push([Update(QA, tip, new)]) == ""
    assert origin.log("env/qa")[0].author == "Ann <ann@example.com>"


@pytest.mark.parametrize("url", ["ext::sh -c date", "nonsense://x/y", "git://127.0.0.1:9/x"])
def test_other_transports_are_refused(tmp_path: Path, url: str) -> None:
    """Only files, http and ssh are allowed, whatever the file says."""
    with (
        Repository(url, Git(os.environ, tmp_path), tmp_path) as repository,
        pytest.raises((ConfigError, TemporaryError)),
    ):
        repository.refresh([DEV])


def test_options_in_a_url_stay_a_url(tmp_path: Path) -> None:
    """A URL that looks like an option names a place that is not there."""
    mark = tmp_path / "mark"
    url = f"--upload-pack=touch {mark}"
    with (
        Repository(url, Git(os.environ, tmp_path), tmp_path) as repository,
        pytest.raises((ConfigError, TemporaryError)),
    ):
        repository.refresh([DEV])
    assert not mark.exists()


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fatal: unable to access 'https://ann:s3cret@example.com/x/'", "https://example.com/x/"),
        ("https://ann:s3@cret@example.com/x", "https://example.com/x"),
        ("HTTPS://ann:s3cret@example.com/x", "HTTPS://example.com/x"),
        ("ssh+git://ann:s3cret@example.com/x", "ssh+git://example.com/x"),
        ("https://s3cret@example.com", "https://example.com"),
        ("\x1b[31mred\x1b[0m \x07\x9bbell\x00", "red bell"),
        ("10%\r20%\rdone", "10%\n20%\ndone"),
        ("Umlaut \u00e4 and \u4e2d stay", "Umlaut \u00e4 and \u4e2d stay"),
    ],
)
def test_what_git_says_is_cleaned(said: str, shown: str) -> None:
    """S15: no password of a URL, no control character."""
    assert shown in clean(said)
    assert "s3" not in clean(said)
    assert "cret" not in clean(said)


@given(st.text())
def test_no_control_character_ever_passes(text: str) -> None:
    """S15: whatever a hook prints, a terminal shows it as text, and a gist is one line."""
    assert not [c for c in clean(text) if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160]
    assert "\n" not in gist(clean(text))


def test_failures_are_told_apart_by_what_the_reader_can_do() -> None:
    """2 where people must mend something, 75 where time does."""
    assert failure("fatal: Authentication failed for 'https://x/'", "x").exit_status == 2
    assert failure("fatal: the receiving end does not support --atomic push", "x").exit_status == 2
    assert failure("fatal: unable to access: Could not resolve host: x", "x").exit_status == 75
    assert failure("error: RPC failed; HTTP 503", "x").exit_status == 75
    assert failure("", "x").exit_status == 75


def test_a_repository_that_is_not_there_is_the_set_ups_fault(tmp_path: Path) -> None:
    """One clear line with the place."""
    url = str(tmp_path / "nowhere.git")
    with (
        Repository(url, Git(os.environ, tmp_path / "c"), tmp_path / "c") as repository,
        pytest.raises(ConfigError) as e,
    ):
        repository.refresh([DEV])
    assert e.value.where == url
    assert "is not a Git repository" in str(e.value)


def test_revisions_are_resolved_by_unique_prefix(origin: Origin, repository: Repository) -> None:
    """Full ids, prefixes; nothing that could be an option or a ref."""
    tip = origin.tip("env/dev")
    repository.refresh([DEV])
    assert repository.resolve(tip) == repository.resolve(tip[:8]) == tip
    for bad in ("HEAD", "--help", "env/dev", "0000000", tip[:3], origin.tree(tip)["README.md"][1]):
        with pytest.raises(ConfigError):
            repository.resolve(bad)
