"""The door to Git: its cache repairs itself, its pushes compare and swap, its words are clean, its processes end."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.config import load
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Entry
from promotion.repository import Git, Repository, Update, cache, process, store
from promotion.repository.formats import format_tree, parse_commit, parse_tree
from promotion.repository.objects import EMPTY_TREE
from promotion.repository.words import clean, failure, gist
from promotion.sites import open_sites
from tests.support.git import Origin

DEV, QA, LEDGER = "refs/heads/env/dev", "refs/heads/env/qa", "refs/heads/promotion/shop"
ENVIRONMENT = "  - {name: dev, branch: env/dev, health: none, engine: {type: directory, path: '{application}'}}\n"
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


def garbage_shallow(clone: Path) -> None:
    (clone / "shallow").write_text("garbage\n")


def another_config_file(clone: Path) -> None:
    (clone / "commondir").touch()


def two_opinions_of_a_ref(clone: Path) -> None:
    """The packed refs out of order: what reads them all and what looks one up see different ones."""
    tips = [path for path in (clone / "refs" / "heads").rglob("*") if path.is_file()]
    oid = tips[0].read_text().strip()
    shutil.rmtree(clone / "refs" / "heads")
    (clone / "refs" / "heads").mkdir()
    names = ("refs/heads/env/dev", "refs/heads/zzz", "refs/heads/env/qa")
    lines = "".join(f"{oid} {name}\n" for name in names)
    (clone / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{lines}")


def pushes_elsewhere(clone: Path) -> None:
    with (clone / "config").open("a") as config:
        config.write('[remote "origin"]\n\tpushurl = /nowhere\n\tmirror = true\n')


FAULTS = (
    *(deleted, truncated, emptied, a_file, garbage_head, garbage_config, another_remote, garbage_ref),
    *(stale_ref_lock, stale_packed_lock, leftovers, garbage_shallow, another_config_file, two_opinions_of_a_ref),
    pushes_elsewhere,
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


def wrapped(folder: Path, command: str, does: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `git` before the real one that does something more, once, for one command; the file is there as soon as it has."""
    real, done = shutil.which("git"), folder / "done"
    folder.mkdir()
    text = f'case " $* " in *" {command} "*) [ -e {done} ] || {{ touch {done}; {does.format(git=real)}; }};; esac'
    (folder / "git").write_text(f'#!/bin/sh\n{text}\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return done


def test_a_branch_that_is_reset_while_it_is_fetched_is_asked_for_again(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tip that was named is not in what came: a snapshot never names what the clone lacks."""
    first = origin.tip("env/dev")
    origin.commit("env/dev", {"web": "2\n"})
    done = wrapped(tmp_path / "bin", "fetch", f"{{git}} -C {origin.path} update-ref {DEV} {first}", monkeypatch)
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as opened:
        assert opened.refresh([DEV])[DEV] == first
    assert done.exists()


def test_a_ref_that_another_process_pushes_while_it_is_fetched_is_no_broken_clone(
    origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push moves the ref of the clone that it shares with a fetch: the fetch is tried again, and the clone is kept."""
    clone, ours = repository.path, grown(repository, repository.refresh([DEV])[DEV] or "")
    tip, hook = origin.commit("env/dev", {"web": "2\n"}), tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\ngit --git-dir={clone} update-ref {DEV} {ours}\nexec "$@"\n')
    hook.chmod(0o755)
    hooked = f"--upload-pack='git -c uploadpack.packObjectsHook={hook} -c uploadpack.allowFilter=true upload-pack'"
    done = wrapped(tmp_path / "bin", "fetch", f'exec {{git}} "$@" {hooked}', monkeypatch)
    (clone / "marked").touch()
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as opened:
        assert opened.refresh([DEV])[DEV] == tip
    assert done.exists()
    assert (clone / "marked").exists()
    assert Origin(clone).refs()[DEV] == tip


def test_a_ref_that_another_process_is_moving_while_it_is_fetched_is_no_broken_clone(
    origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that stands still for a moment, as on a busy machine, with the lock of its ref."""
    repository.refresh([DEV])
    clone, tip = repository.path, origin.commit("env/dev", {"web": "2\n"})
    lock = clone / f"{DEV}.lock"
    held = f'mkdir -p {lock.parent}; touch {lock}; {{git}} "$@"; said=$?; rm {lock}; exit $said'
    done = wrapped(tmp_path / "bin", "fetch", held, monkeypatch)
    (clone / "marked").touch()
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as opened:
        assert opened.refresh([DEV])[DEV] == tip
    assert done.exists()
    assert (clone / "marked").exists()


def test_a_clone_that_another_process_has_made_again_is_kept(
    origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What git says is of the one that it worked on, which is gone."""
    repository.refresh([DEV])
    clone, tip = repository.path, origin.commit("env/dev", {"web": "2\n"})
    made = (
        f"mv {clone} {clone}.old; cp -r {clone}.old {clone}; touch {clone}/theirs; echo packfile is bad >&2; exit 128"
    )
    done = wrapped(tmp_path / "bin", "fetch", made, monkeypatch)
    with Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache") as opened:
        assert opened.refresh([DEV])[DEV] == tip
    assert done.exists()
    assert (clone / "theirs").exists()


def test_those_who_share_a_clone_do_not_throw_it_away_under_each_other_for_ever(origin: Origin, tmp_path: Path) -> None:
    """Each knows which history it has fetched: of a clone that another one made meanwhile it knows nothing."""
    names = ["env/dev", "env/qa", "env/prod"]
    for name in names:
        origin.commit(name, {"team": f"{name}\n"})
    with ExitStack() as stack:
        shared = [
            stack.enter_context(Repository(str(origin.path), Git(os.environ, tmp_path / "cache"), tmp_path / "cache"))
            for _ in names
        ]

        def turn(opened: Repository, name: str) -> bool:
            tip = opened.refresh([f"refs/heads/{name}"])[f"refs/heads/{name}"]
            opened.close()  # as rounds do: what git has open would still be read
            try:
                return bool(opened.objects.commits([tip or ""]))
            except TemporaryError:
                return False

        for opened, name in zip(shared, names, strict=True):
            assert turn(opened, name)
        shutil.rmtree(shared[0].path)
        assert all(turn(*each) for _ in range(3) for each in zip(shared, names, strict=True))


def test_a_clone_that_another_process_makes_while_it_is_read_is_kept(origin: Origin, tmp_path: Path) -> None:
    """It lacks what nobody has fetched into it yet."""
    cache_folder = tmp_path / "cache"
    with Repository(str(origin.path), Git(os.environ, cache_folder), cache_folder) as opened:
        tip = opened.refresh([DEV])[DEV] or ""
        opened.close()
        shutil.rmtree(opened.path)
        with Repository(str(origin.path), Git(os.environ, cache_folder), cache_folder) as other:
            other.refresh(["refs/heads/none"])
            (other.path / "theirs").touch()
            with pytest.raises(TemporaryError, match="lacks"):
                opened.objects.commits([tip])
            assert (other.path / "theirs").exists()
            assert opened.refresh([DEV])[DEV] == tip
            assert opened.objects.commits([tip])
            assert (other.path / "theirs").exists()


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


@pytest.mark.parametrize("ref", [LEDGER, "refs/ledgers/shop"])
def test_what_we_pushed_is_not_garbage_in_the_clone(repository: Repository, ref: str) -> None:
    """Nobody fetches what we wrote ourselves, so the push moves the clone's ref: else it is never packed, and goes."""
    before = repository.refresh([DEV])[DEV]
    assert before
    ours = grown(repository, before)
    assert repository.push([Update(DEV, before, ours), Update(ref, None, ours)]) == ""
    assert repository.refresh([DEV, ref]).tips == {DEV: ours, ref: ours}
    repository.close()
    clone = Origin(repository.path)
    clone.git("gc", "--quiet", "--prune=now")
    assert repository.objects.has(ours)
    assert clone.git("count-objects").startswith("0 objects")


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


@pytest.mark.parametrize("url", ["ext::touch MARK", "nonsense://x/y", "git://127.0.0.1:9/x"])
def test_other_transports_are_refused(tmp_path: Path, url: str) -> None:
    """Only files, http and ssh are allowed, whatever the file says: no program is run for the others."""
    mark = tmp_path / "mark"
    with (
        Repository(url.replace("MARK", str(mark)), Git(os.environ, tmp_path), tmp_path) as repository,
        pytest.raises((ConfigError, TemporaryError)),
    ):
        repository.refresh([DEV])
    assert not mark.exists()


def test_no_hook_runs_that_somebody_put_into_a_clone(origin: Origin, repository: Repository, tmp_path: Path) -> None:
    """Git would run it at each fetch."""
    repository.refresh([DEV])
    mark, hook = tmp_path / "mark", repository.path / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    tip = origin.commit("env/dev", {"web": "2\n"})
    assert repository.refresh([DEV])[DEV] == tip
    assert not mark.exists()


@pytest.mark.parametrize("name", [*cache.NEVER_OURS, "config"])
def test_a_clone_that_is_not_as_we_make_it_is_made_again(origin: Origin, tmp_path: Path, name: str) -> None:
    """By one of these files git would believe another history, or ask another remote."""
    folder = tmp_path / "cache"
    with Repository(str(origin.path), Git(os.environ, folder), folder) as first:
        first.refresh([DEV])
        file = first.path / name
    file.parent.mkdir(exist_ok=True)
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n")
    with Repository(str(origin.path), Git(os.environ, folder), folder) as again:
        assert again.refresh([DEV])[DEV] == origin.tip("env/dev")
    assert (file.read_text() if file.exists() else None) == before


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


# --- what a review found -----------------------------------------------------------------------------------------


def test_the_same_content_merge_leaves_the_same_objects(repository: Repository) -> None:
    """Rounds that wait with a content merge write nothing new: its commits know no time of their own."""
    repository.refresh([DEV])
    made = [Entry(0o100644, repository.objects.write_blob(text)) for text in (b"1\n2\n", b"1\n2\n3\n", b"0\n1\n2\n")]
    assert None not in repository.merge_files([(made[0], made[1], made[2])])
    listed = repository._git.run(repository.path, "cat-file", "--batch-all-objects", "--batch-check", "--unordered")
    lines = [line.split() for line in listed.output.decode().splitlines()]
    commits = [repository.objects.commit(oid) for oid, kind, _ in lines if kind == "commit"]
    assert [c.at.timestamp() for c in commits if c.message == "content merge"] == [0, 0, 0]


def test_words_of_the_remote_do_not_break_the_clone(origin: Origin, tmp_path: Path) -> None:
    """A hook or a host may say "missing" and "corrupt": 2 with its text, and the clone stays."""
    said = "remote: access denied: the token is missing the scope, your packfile is corrupt; permission denied"
    good = Git(os.environ, tmp_path / "cache")
    with Repository(str(origin.path), good, tmp_path / "cache") as repository:
        repository.refresh([DEV])
        path, made = repository.path, repository.path.stat().st_ino
    for url_text in ("", "fatal: the token is missing the scope"):
        git = fake_git(tmp_path / "bin", f'echo "{said}" >&2; echo "{url_text}" >&2; exit 128')
        with (
            Repository(str(origin.path), git, tmp_path / "cache") as repository,
            pytest.raises(ConfigError, match="no permission"),
        ):
            repository.refresh([DEV])
        assert path.stat().st_ino == made


def test_an_object_that_fsck_refuses_is_the_remotes_fault(origin: Origin, repository: Repository) -> None:
    """2 with its id; a new clone would not change it."""
    repository.refresh([DEV])
    made = repository.path.stat().st_ino
    raw = f"tree {EMPTY_TREE}\nparent {origin.tip('env/dev')}\nauthor A<a@example.com> 1 +0000\n"
    raw += "committer A <a@example.com> 1 +0000\n\nodd\n"
    origin.git("hash-object", "-t", "tree", "-w", "--stdin")
    odd = origin.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", input=raw).strip()
    origin.set("env/dev", odd)
    with pytest.raises(ConfigError, match=f"{odd}: missingSpaceBeforeEmail"):
        repository.refresh([DEV])
    assert repository.path.stat().st_ino == made


def test_a_lock_that_nobody_lets_go_of_is_temporary(
    origin: Origin, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: 75 that names the lock, after a deadline."""
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.1)
    repository.refresh([DEV])
    origin.commit("env/dev", {"a": "1\n"})
    file = repository.path.with_suffix(".lock")
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TemporaryError) as told:
            repository.refresh([DEV])
    assert told.value.where == str(file)
    assert repository.refresh([DEV])[DEV] == origin.tip("env/dev")


@pytest.mark.parametrize("room", [0, 1, 3, 5])
def test_too_few_descriptors_are_temporary(origin: Origin, repository: Repository, room: int) -> None:
    """75 and a clone that is left as it was, wherever in a refresh they run out."""
    repository.refresh([DEV])
    repository.close()
    origin.commit("env/dev", {"a": "1\n"})
    made, (soft, hard) = repository.path.stat().st_ino, resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + room, hard))
    try:
        with pytest.raises(TemporaryError):
            repository.refresh([DEV])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert repository.path.stat().st_ino == made
    assert repository.refresh([DEV])[DEV] == origin.tip("env/dev")


def test_copies_of_the_configuration_go_when_nobody_uses_them(tmp_path: Path) -> None:
    """They may hold a token. One that a long-lived process still needs is written again."""
    kept = tmp_path / "gitconfig-used-today"
    kept.touch()
    old = tmp_path / "gitconfig-old"
    old.touch()
    os.utime(old, (1, 1))
    git = Git(os.environ, tmp_path)
    own = Path(git.environment["GIT_CONFIG_GLOBAL"])
    assert (kept.exists(), old.exists(), own.exists()) == (True, False, True)
    os.utime(own, (1, 1))
    assert git.environment
    assert own.stat().st_mtime > 1
    own.unlink()
    assert git.environment
    assert own.exists()


def test_whether_an_object_is_there_is_asked_without_reading_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a blob of any size nor a tree that is larger than what is read into memory."""
    repository.refresh([DEV])
    big = repository.objects.write_blob(b"x" * (1 << 20))
    monkeypatch.setattr(store, "CAP", 100)
    monkeypatch.setattr(store.Store, "_exactly", lambda *_: pytest.fail("read"))
    assert repository.objects.has(big)


def test_trees_and_commits_that_are_too_large_are_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: a clear line, the clone stays, and the next object is read."""
    tip = repository.refresh([DEV])[DEV] or ""
    entry = Entry(0o100644, repository.objects.write_blob(b"x" * 1000))
    large = repository.objects.write_tree(EMPTY_TREE, {b"%d" % n: entry for n in range(50)})
    monkeypatch.setattr(store, "CAP", 1000)
    with pytest.raises(ConfigError, match=f"tree {large}"):
        repository.objects.tree(large)
    assert repository.objects.commit(tip).oid == tip
    assert repository.objects.blob(entry.oid) == b"x" * 1000


@pytest.mark.parametrize("question", ["is_ancestor", "merge_bases", "between", "prefetch_below"])
def test_a_clone_that_lost_its_objects_answers_nothing(
    origin: Origin, repository: Repository, tmp_path: Path, question: str
) -> None:
    """75, never "no" or an empty list; what nobody has is in no history."""
    origin.commit("env/dev", {"a": "1\n"})
    snapshot = repository.refresh([DEV, QA])
    old, new = snapshot[QA] or "", snapshot[DEV] or ""
    tree = repository.objects.commit(new).tree
    assert not repository.is_ancestor("1" * 40, new)
    repository.close()
    for path in (repository.path / "objects" / "pack").iterdir():
        path.unlink()
    origin.path.rename(tmp_path / "away")  # else git fetches what it lacks, as of any partial clone
    asked = repository.history if question == "between" else repository
    with pytest.raises(TemporaryError, match="lacks"):
        getattr(asked, question)(*([[Entry(0o40000, tree)]] if question == "prefetch_below" else [old, new]))


def test_many_applications_ask_git_for_its_settings_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And a closed repository has no process left, but opens itself again: a fleet must not run out of descriptors."""
    file = tmp_path / "environments.yaml"
    made = [Origin.create(tmp_path / f"app{n}.git").path for n in range(3)]
    applications = "".join(f"  - {{repository: {path}}}\n" for path in made)
    file.write_text(f"version: 1\napplications:\n{applications}environments:\n{ENVIRONMENT}")
    caplog.set_level(logging.DEBUG, "promotion.repository.process")
    with open_sites(load(file), {**os.environ, "PROMOTION_CACHE": str(tmp_path / "cache")}) as sites:
        open_before = len([*Path("/proc/self/fd").iterdir()])
        for site in sites:
            tip = site.repository.refresh([DEV])[DEV] or ""
            assert site.repository.objects.commit(tip).oid == tip
            site.repository.close()
            assert len([*Path("/proc/self/fd").iterdir()]) == open_before
            assert site.repository.objects.commit(tip).oid == tip
            site.repository.close()
    ran = [record.getMessage() for record in caplog.records]
    assert sum("git version" in line for line in ran) == 1
    assert sum("config --list" in line for line in ran) == 1


def swapped(clone: Path, one: str, two: str) -> None:
    """Puts the second object where the first one should be, each a loose one; git itself takes it for the first."""
    for pack in (clone / "objects" / "pack").glob("*.pack"):
        data = pack.read_bytes()
        for suffix in (".pack", ".idx", ".promisor", ".rev"):
            pack.with_suffix(suffix).unlink(missing_ok=True)
        Origin(clone).git("unpack-objects", "-q", input=data)
    first, second = (clone / "objects" / oid[:2] / oid[2:] for oid in (one, two))
    first.unlink()
    shutil.copy(second, first)


@pytest.mark.parametrize("kind", ["commit", "tree", "blob"])
def test_an_object_under_the_name_of_another_is_not_believed(origin: Origin, repository: Repository, kind: str) -> None:
    """75 and a new clone; git's own reading of objects compares no hash."""
    one, two = (origin.commit("env/dev", {"a": f"{n}\n"}) for n in (1, 2))
    repository.refresh([], [DEV])
    commits = [repository.objects.commit(oid) for oid in (one, two)]
    trees = [repository.objects.tree(commit.tree) for commit in commits]
    names = {"commit": [one, two], "tree": [c.tree for c in commits], "blob": [t[b"a"].oid for t in trees]}[kind]
    repository.close()
    repository.objects.forget()
    swapped(repository.path, *names)
    assert Origin(repository.path).git("cat-file", kind, names[0]) == Origin(repository.path).git(
        "cat-file", kind, names[1]
    )
    with pytest.raises(TemporaryError, match="made again"):
        getattr(repository.objects, kind)(names[0])
    repository.refresh([], [DEV])
    assert repository.objects.commit(one) == commits[0]


def test_a_content_merge_does_not_believe_its_files(origin: Origin, repository: Repository) -> None:
    """The three files are read by git, and looked at by us before."""
    texts = [f"1 {n}\n2\n3\n4\n5 {m}\n" for n, m in ((0, 0), (1, 0), (0, 1), (0, 2))]
    oids = [origin.git("rev-parse", f"{origin.commit('env/dev', {'f': t})}:f").strip() for t in texts]
    repository.refresh([], [DEV])
    repository.prefetch(oids)
    repository.close()
    swapped(repository.path, oids[2], oids[3])
    triple = (Entry(0o100644, oids[0]), Entry(0o100644, oids[1]), Entry(0o100644, oids[2]))
    with pytest.raises(TemporaryError, match="made again"):
        repository.merge_files([triple])


def test_a_reader_that_died_is_closed_without_a_word(repository: Repository) -> None:
    """What was not written to it is not written by closing its pipe either: a broken pipe would end the command line."""
    tip = repository.refresh([DEV])[DEV] or ""
    repository.objects.commit(tip)
    process = repository.objects._store._process
    assert process is not None
    process.kill()
    process.wait()
    assert not repository.objects.has("1" * 40)
    assert repository.objects.commit(tip).oid == tip


def test_what_cannot_be_asked_for_is_not_gone(origin: Origin, repository: Repository, tmp_path: Path) -> None:
    """Only a remote's own word says that it has an object no more; one that is away, or a broken clone, says nothing."""
    repository.refresh([DEV])
    assert not repository.find("1" * 40)
    origin.path.rename(tmp_path / "away")
    with pytest.raises(PromotionError):
        repository.find("1" * 40)


def test_a_pack_that_was_cut_is_seen_at_once(origin: Origin, repository: Repository) -> None:
    """Wherever it was cut: no endless asking, nothing said to be gone that the remote has, and whole again at the latest after one try."""
    tip = repository.refresh([DEV])[DEV] or ""
    old = origin.commit("env/dev", {"a": "2\n"})
    repository.refresh([DEV])
    origin.commit("env/dev", {"a": "3\n"})
    keep = repository.path.with_name("keep")
    shutil.copytree(repository.path, keep)
    for pack in sorted(file for file in keep.rglob("*") if file.suffix in (".pack", ".idx")):
        for cut in range(0, pack.stat().st_size, 61):
            repository._remove()
            shutil.copytree(keep, repository.path)
            damaged = repository.path / pack.relative_to(keep)
            damaged.chmod(0o644)
            os.truncate(damaged, cut)
            try:
                found = [repository.find(oid) for oid in (tip, old)]
            except TemporaryError:
                repository.refresh([DEV])
                found = [repository.find(oid) for oid in (tip, old)]
            assert found == [True, True], f"{pack.suffix} cut at {cut}"
