"""The clone cache of one remote, and every question and change that goes through it. What is said to the remote is in `remote`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Commit, Credential, Entry
from promotion.repository import cache
from promotion.repository.content import Content
from promotion.repository.formats import SUBMODULE, TREE
from promotion.repository.history import History
from promotion.repository.objects import Objects
from promotion.repository.process import Git
from promotion.repository.remote import BrokenCloneError, Remote, Update
from promotion.repository.signing import Signatures
from promotion.repository.store import OID, Store
from promotion.repository.threeway import Merges, Triple, marked, three_way

log = logging.getLogger(__name__)

NOT_THERE = re.compile(r"not our ref|unadvertised object")
"""What a remote says of an object that it has not, or that no branch of it holds; anything else is no answer."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tips of the remote's refs that were asked for, at one moment; a ref that is not there is absent."""

    tips: Mapping[str, str]

    def __getitem__(self, ref: str) -> str | None:
        return self.tips.get(ref)


class Repository:
    """One remote through its clone cache; several processes may share the cache. Close it, or use `with`.

    `credential` reads, and pushes where no other is given.
    """

    def __init__(self, url: str, git: Git, folder: Path, credential: Credential | None = None) -> None:
        self.url = url
        self._git = git
        self.path = folder / f"{sha256(url.encode()).hexdigest()[:20]}.git"
        self._remote = Remote(url, git, self.path, credential, self._remove)
        self.objects = Objects(Store(git, self.path), self._lacks)
        self.history = History(git, self.path, self.objects, self._lacks)
        self.signatures = Signatures(git, self.path, self.objects)
        self.memo: dict[tuple[object, ...], object] = {}
        """What was found out about commits, which never changes; see `remembered`."""

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.objects.close()

    # --- the remote ------------------------------------------------------------------------------------------------

    def refresh(self, refs: Sequence[str], whole: Sequence[str] = ()) -> Snapshot:
        """Asks the remote for the tips of `refs`, and of the refs in `whole`, whose blobs are wanted from the start.

        Fetches what the clone lacks. A broken clone is made again. Raises ConfigError or TemporaryError.
        """
        try:
            return self._refresh([*refs, *whole], frozenset(whole))
        except BrokenCloneError as exc:
            log.warning("the clone cache of %s is broken (%s): making it again", self.url, exc.message)
            self._forget()
            return self._refresh([*refs, *whole], frozenset(whole))

    def branches(self) -> Mapping[str, str]:
        """All branches of the remote and their tips, without fetching anything."""
        self._ensure()
        return {ref.removeprefix("refs/heads/"): oid for ref, oid in self._remote.tips(["refs/heads/*"]).items()}

    def default_branch(self) -> str | None:
        """The branch that the remote's HEAD names, whether it is there or not."""
        return self._remote.default_branch()

    def push(self, updates: Sequence[Update], credential: Credential | None = None) -> str:
        """Compare-and-swap of several refs at once. Returns what the remote said, '' if nothing.

        Whether it landed is not known from this (S6): refresh, and look. A tip that does not have the old one in its
        first-parent history is a bug and is never sent, since a lease alone would force it (S5).
        """
        for update in updates:
            if update.old is not None and not self._grows(update):
                raise AssertionError(f"{update.new} would rewrite {update.ref}")
        return self._remote.push(updates, credential)

    def look_for_token(self, credential: Credential | None) -> None:
        """Raises ConfigError when the token is not where it should be."""
        self._remote.look_for_token(credential)

    def _grows(self, update: Update) -> bool:
        oid: str | None = update.new
        for _ in range(10_000):
            if oid == update.old:
                return True
            parents = self.objects.commit(oid).parents if oid else ()
            if not parents:
                return False
            oid = parents[0]
        return False

    def _refresh(self, refs: Sequence[str], whole: frozenset[str]) -> Snapshot:
        self._ensure()
        for _ in range(3):
            tips = self._remote.tips(refs)
            known = set(self._remote.complete().values())
            missing = [ref for ref, oid in tips.items() if oid not in known]
            if missing:
                self._remote.fetch(missing, whole)
            if all(self.objects.is_stored(tips[ref]) for ref in missing):
                self._remote.completed(tips)
                break
        else:
            raise TemporaryError("its branches move faster than they can be fetched", where=self.url)
        return Snapshot(tips)

    # --- contents ---------------------------------------------------------------------------------------------------

    def blob(self, oid: str) -> bytes:
        """A blob's content, fetched when the clone lacks it."""
        if not self.objects.has(oid):
            self.prefetch([oid])
        return self.objects.blob(oid)

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        """The content of many blobs, fetched in one go where the clone lacks them."""
        self.prefetch(self.objects.missing(oids, "blob"))
        return self.objects.blobs(oids)

    def merge_files(self, triples: Sequence[Triple]) -> list[Entry | None]:
        """Content merges of (base, target, source) files, all in one `merge-tree`; None where they conflict."""
        merges = self._merges(triples)
        return [None if str(n) in merges.conflicted else merges.files.get(b"%d" % n) for n in range(len(triples))]

    def mark_conflicts(self, triples: Sequence[Triple], names: tuple[str, str]) -> list[Entry | None]:
        """The same with markers in what conflicts, labelled with the names of (target, source); None where it is no text."""
        merges = self._merges(triples)
        return [marked(self.objects, merges, number, names) for number in range(len(triples))]

    def _merges(self, triples: Sequence[Triple]) -> Merges:
        files = list(dict.fromkeys(e.oid for triple in triples for e in triple))
        self.prefetch([oid for oid in files if not self.objects.has(oid)])
        for oid in files:
            self.objects.blob(oid)  # git would not notice another file's content under its name
        return three_way(self._git, self.path, self.objects, triples, self._lacks)

    def prefetch(self, oids: Sequence[str]) -> None:
        """Fetches these objects in one go, as git itself does for a partial clone."""
        if oids:
            self._remote.fetch_objects(oids)

    def prefetch_below(self, tops: Sequence[Entry]) -> None:
        """Makes sure that these files, and every file below these trees, are in the clone."""
        missing = [e.oid for e in tops if e.mode not in (TREE, SUBMODULE) and not self.objects.has(e.oid)]
        trees = [top.oid for top in tops if top.mode == TREE]
        if trees:
            args = ("rev-list", "--objects", "--missing=print", "--no-object-names", *trees)
            answer = self._git.run(self.path, *args, config=[("protocol.allow", "never")])
            if answer.status:
                raise self._lacks(f"tree {trees[0][:12]}")
            missing += [line[1:] for line in answer.output.decode("ascii").splitlines() if line.startswith("?")]
        self.prefetch(list(dict.fromkeys(missing)))

    def content(self, commit: str, roots: Sequence[bytes] = ()) -> Content:
        """The files of one commit, or those below these paths of it, for an engine that deploys them."""
        return Content(self.objects, self.prefetch_below, self.objects.commit(commit).tree, tuple(roots))

    # --- history ---------------------------------------------------------------------------------------------------

    def find(self, oid: str) -> bool:
        """Whether the clone has a commit; one that no branch holds any more is asked for by its id."""
        if not self.objects.has_commit(oid):
            try:
                self.prefetch([oid])
            except PromotionError as exc:
                if not NOT_THERE.search(exc.message):
                    raise
            else:
                if OID.fullmatch(oid) and not self.objects.is_stored(oid):
                    # the remote has it, and git believes that the clone has it too
                    raise self._lacks(f"commit {oid[:12]}")
        return self.objects.has_commit(oid)

    def first_parents(self, tip: str) -> Iterator[Commit]:
        """The commits of a branch, newest first, following first parents only."""
        oid: str | None = tip
        while oid:
            commit = self.objects.commit(oid)
            yield commit
            oid = commit.parents[0] if commit.parents else None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is in the history of `new`, which the clone must have."""
        answer = self._git.run(self.path, "merge-base", "--is-ancestor", old, new)
        if answer.status not in (0, 1) and (self.objects.is_stored(old) or not self.objects.is_stored(new)):
            raise self._lacks(f"the history of {new[:12]}")
        return answer.status == 0  # histories are fetched whole: what the clone has not is in none of them

    def merge_bases(self, one: str, two: str) -> list[str]:
        """The best common ancestors; none when the histories are unrelated."""
        answer = self._git.run(self.path, "merge-base", "--all", one, two)
        if answer.status not in (0, 1):
            raise self._lacks(f"the history of {one[:12]} or {two[:12]}")
        return answer.output.decode("ascii").split()

    def resolve(self, revision: str) -> str:
        """The commit that a unique prefix or full id names. Raises ConfigError when there is none, or more than one."""
        if not re.fullmatch(r"[0-9a-fA-F]{4,40}", revision):
            raise ConfigError(f"{revision!r} is no commit: give 4 to 40 hex digits")
        revision = revision.lower()
        args = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        answer = self._git.run(self.path, *args)
        if answer.status:
            found = self._git.run(self.path, "rev-parse", f"--disambiguate={revision}").output.decode("ascii").split()
            commits = [oid for oid in found if self._kind(oid) == "commit"]
            if len(commits) > 1:
                raise ConfigError(f"{revision} is ambiguous: {', '.join(oid[:12] for oid in commits[:5])}")
            raise ConfigError(f"there is no commit {revision} in {self.url}")
        return answer.output.decode("ascii").strip()

    def _kind(self, oid: str) -> str:
        return self._git.run(self.path, "cat-file", "-t", oid).output.decode("ascii").strip()

    def commit_tree(self, tree: str, parents: Sequence[str], message: str, at: datetime) -> str:
        """Writes a commit by Git's author and committer, signed where a key is configured; returns its id."""
        return self.signatures.commit(tree, parents, message, at)

    def _lacks(self, what: str) -> TemporaryError:
        """The clone goes, for it is only a cache: the next refresh makes it again. One that another process has made since stays."""
        if self._remote.is_replaced():
            self._forget()
        else:
            self._remove()
        return TemporaryError(f"the clone cache lacks {what}; it is made again", where=self.url)

    def _ensure(self) -> None:
        if cache.make(self._git, self.path, self.url) or self._remote.is_replaced():
            self._forget()

    def _remove(self) -> None:
        cache.remove(self.path)
        self._forget()

    def _forget(self) -> None:
        self.objects.close()
        self.objects.forget()
        self.memo.clear()
        self._remote.forget()
