"""What a server saw, judged without a line of the product: its own log of ref updates, and the ledger's raw commits.

`watch` makes the server write down every transaction of its refs; `violations` replays that log and says what must
never have happened. Naive on purpose: whole trees, no cleverness, nothing imported from `promotion`.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOTHING = "0" * 40
HEADS = "refs/heads/"
LEDGERS = "refs/heads/promotion/"
PROPOSALS = ("refs/heads/promotion/backport/", "refs/heads/promotion/resolve/")
"""Made by the product, and from then on people's."""
HOOK = """\
#!/bin/sh
ulimit -S -f unlimited  # a test that limits files does not mean this diary
all=
while read -r old new ref; do all="$all $old $new $ref"; done
printf '%s %s%s\\n' "$1" "$PPID" "$all" >> '{log}'
"""
Entry = tuple[str, str]
"""Mode and object id."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the test itself knows of an environment."""

    branch: str
    source: str | None = None
    protect: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    mirror: bool = False

    def inside(self, path: str) -> bool:
        return not self.paths or any(_matches(scope.rstrip("/") + "/**", path) for scope in self.paths)

    def own(self, path: str) -> bool:
        """Whether a path is the application's here, and moves."""
        return self.inside(path) and not any(_matches(pattern, path) for pattern in self.protect)


Applications = Mapping[str, Mapping[str, Rules]]
"""Application -> environment -> rules."""


def watch(server: Path, log: Path) -> None:
    """From now on the bare repository `server` writes each transaction of its refs to `log`, as it holds their locks."""
    git(server, "config", "core.logAllRefUpdates", "always")
    tips = " ".join(f"{NOTHING} {oid} {ref}" for ref, oid in refs(server).items())
    log.write_text(f"start 0 {tips}\n")
    hook = server / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(log=log))
    hook.chmod(0o755)


def violations(
    server: Path, log: Path, people: Collection[str], applications: Applications, *, again: bool = False
) -> list[str]:
    """All that should not have happened since `watch`, each as `kind: what`. `people` has the tips that people pushed.

    With `again` one source may be promoted into an environment several times: a test that adopts does so.
    """
    with Objects(server) as objects:
        return list(_Replay(server, objects, frozenset(people), applications, again).judge(log))


def git(server: Path, *args: str, data: bytes = b"") -> str:
    done = subprocess.run(
        ["git", f"--git-dir={server}", *args], input=data, capture_output=True, check=True, env=_environment()
    )
    return done.stdout.decode("utf-8", "surrogateescape")


def refs(server: Path) -> dict[str, str]:
    lines = git(server, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}


def _environment() -> dict[str, str]:
    import os

    return {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}


# --- the server's log ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Transaction:
    """Refs that moved together; `how` is committed, aborted, or prepared when the server died in the middle."""

    moves: dict[str, tuple[str, str]]
    how: str = "prepared"


def transactions(log: Path) -> tuple[dict[str, str], list[Transaction]]:
    """The refs at the start, and every transaction in the order in which their locks were held."""
    start: dict[str, str] = {}
    found: list[Transaction] = []
    running: dict[str, Transaction] = {}
    for line in log.read_text().splitlines():
        word, pid, *rest = line.split(" ")
        moves = {ref: (old, new) for old, new, ref in zip(*[iter(rest)] * 3, strict=True) if ref.startswith(HEADS)}
        if word == "start":
            start = {ref: new for ref, (_, new) in moves.items()}
        elif word == "prepared":
            running[pid] = Transaction(moves)
            found.append(running[pid])
        elif pid in running:
            running.pop(pid).how = word
    return start, [one for one in found if one.moves]


# --- objects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    message: str

    @property
    def trailers(self) -> dict[str, str]:
        lines = self.message.rstrip("\n").rsplit("\n\n", 1)[-1].splitlines()
        return {key: value for key, found, value in (line.partition(": ") for line in lines) if found}


class Objects:
    """The server's objects, read through one `git cat-file`."""

    def __init__(self, server: Path) -> None:
        command = ["git", f"--git-dir={server}", "cat-file", "--batch"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), bufsize=1 << 16
        )
        self._commits: dict[str, Commit] = {}
        self._trees: dict[str, dict[str, Entry]] = {}

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            process.kill()

    def raw(self, oid: str) -> bytes:
        """Raises KeyError when it is not there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{oid}\n".encode())
        self._process.stdin.flush()
        head = self._process.stdout.readline().split()
        if head[-1] in (b"missing", b"ambiguous"):
            raise KeyError(oid)
        return self._process.stdout.read(int(head[2]) + 1)[:-1]

    def commit(self, oid: str) -> Commit:
        if oid not in self._commits:
            head, _, message = self.raw(oid).decode("utf-8", "replace").partition("\n\n")
            pairs = [line.partition(" ")[::2] for line in head.splitlines()]
            parents = tuple(value for key, value in pairs if key == "parent")
            self._commits[oid] = Commit(oid, dict(pairs)["tree"], parents, message)
        return self._commits[oid]

    def files(self, tree: str) -> dict[str, Entry]:
        """Every path of a tree with its mode and object id."""
        if tree not in self._trees:
            data, at, found = self.raw(tree), 0, dict[str, Entry]()
            while at < len(data):
                nul = data.index(b"\0", at)
                mode, _, name = data[at:nul].decode("utf-8", "surrogateescape").partition(" ")
                oid = data[nul + 1 : nul + 21].hex()
                at = nul + 21
                if mode == "40000":
                    found |= {f"{name}/{path}": entry for path, entry in self.files(oid).items()}
                else:
                    found[name] = (mode, oid)
            self._trees[tree] = found
        return self._trees[tree]

    def chain(self, tip: str) -> Iterator[str]:
        """A commit and its first parents, newest first."""
        oid: str | None = tip
        while oid:
            yield oid
            oid = next(iter(self.commit(oid).parents), None)

    def steps(self, old: str, new: str) -> list[str] | None:
        """The commits after `old` up to `new` along first parents, oldest first; None when `old` is not among them."""
        steps: list[str] = []
        for oid in self.chain(new):
            if oid == old:
                return steps[::-1]
            steps.append(oid)
        return steps[::-1] if old == NOTHING else None


# --- the replay ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """What the events so far say of one environment."""

    release: dict[str, Any] | None = None
    last: dict[str, str] = field(default_factory=dict)
    """Commit -> the last health that was recorded about it."""
    holds: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Held commit -> its entries."""
    noes: dict[tuple[str, str], str] = field(default_factory=dict)
    """(plan, person) -> the commit that they rejected."""
    releases: dict[str, str | None] = field(default_factory=dict)
    """What was released or seen healthy -> the source that it stands for, where an event says so."""
    backs: set[str] = field(default_factory=set)
    """What restored an earlier release."""
    undone: set[str] = field(default_factory=set)
    """What was gone back over, and is not there again."""


class _Replay:
    def __init__(
        self, server: Path, objects: Objects, people: frozenset[str], applications: Applications, again: bool
    ) -> None:
        self.server = server
        self.objects = objects
        self.people = people
        self.applications = applications
        self.again = again
        self.tips: dict[str, str] = {}
        self.seen = {app: {name: Seen() for name in rules} for app, rules in applications.items()}
        self.plans: dict[str, str] = {}
        self.ids: Counter[str] = Counter()
        self.arrived: set[tuple[str, str, str]] = set()

    def judge(self, log: Path) -> Iterator[str]:
        self.tips, log_of_refs = transactions(log)
        now = refs(self.server)
        done = [one for n, one in enumerate(log_of_refs) if _happened(one, log_of_refs[n + 1 :], now)]
        for ledger in [ref for ref in self.tips if ref.startswith(LEDGERS) and not ref.startswith(PROPOSALS)]:
            yield from self._events(self.objects.steps(NOTHING, self.tips[ledger]) or [], {}, ledger, old=True)
        yield from self._reflogs(done)
        for one in done:
            yield from self._transaction(one)
        for ref in sorted(self.tips.keys() | {ref for ref in now if ref.startswith(HEADS)}):
            if self.tips.get(ref) != now.get(ref):
                yield f"log: {ref} is at {_s(now.get(ref))}, and the log ends at {_s(self.tips.get(ref))}"
        for app, place in self.seen.items():
            ledger = now.get(LEDGERS + app)
            yield from self._state(app, ledger, place) if ledger else ()

    def _reflogs(self, done: Sequence[Transaction]) -> Iterator[str]:
        """The server's second diary tells the same."""
        for ref in sorted({ref for one in done for ref in one.moves}):
            moves = [one.moves[ref][1] for one in done if ref in one.moves]
            file = self.server / "logs" / ref
            said = (
                [line.split(" ")[1] for line in file.read_text("utf-8", "replace").splitlines()]
                if file.exists()
                else []
            )
            if file.exists() and [oid for oid in said if oid != NOTHING][-len(moves) :] != moves:
                yield f"log: the reflog of {ref} tells of other moves than the transactions"

    def _transaction(self, one: Transaction) -> Iterator[str]:
        branches: dict[str, list[str]] = {}
        events: list[str] = []
        ledgers: list[tuple[str, list[str]]] = []
        for ref, (old, new) in one.moves.items():
            old = old if old != NOTHING else self.tips.get(ref, NOTHING)
            if old != self.tips.get(ref, NOTHING):
                yield f"log: {ref} moved from {_s(old)}, and was at {_s(self.tips.get(ref))}"
            if ref.startswith(PROPOSALS):
                if old != NOTHING and new not in self.people:
                    yield f"stranger: the proposal {ref} was moved from {_s(old)} to {_s(new)}"
                continue
            if new in self.people and not ref.startswith(LEDGERS):
                continue
            steps = self.objects.steps(old, new) if new != NOTHING else None
            if steps is None:
                yield f"rewritten: {ref} went from {_s(old)} to {_s(new)}"
            elif ref.startswith(LEDGERS):
                ledgers.append((ref, steps))
            else:
                branches[ref] = steps
        told: dict[str, list[str]] = {ref: [] for ref in branches}
        for ledger, steps in ledgers:
            events += steps
            yield from self._events(steps, told, ledger)
        for ref, new in ((ref, new) for ref, (_, new) in one.moves.items()):
            self.tips[ref] = new
            if new == NOTHING:
                del self.tips[ref]
        for ref, steps in branches.items():
            if not told.get(ref) and not events:
                yield f"stranger: {ref} went to {_s(steps[-1] if steps else None)}, pushed by nobody known and without an event"
            elif steps != told[ref]:
                yield f"torn: {ref} got {[*map(_s, steps)]}, and its events tell of {[*map(_s, told[ref])]}"
        for ref, commits in told.items():
            if ref not in branches:
                yield f"torn: events tell of {[*map(_s, commits)]} on {ref}, which did not move with them"

    # --- events ------------------------------------------------------------------------------------------------------

    def _events(
        self, commits: Sequence[str], told: dict[str, list[str]], ledger: str, *, old: bool = False
    ) -> Iterator[str]:
        """Replays records, oldest first; adds to `told` what they say of branches. `old` ones are only replayed."""
        app = ledger.removeprefix(LEDGERS)
        for oid in commits:
            record = self.objects.commit(oid)
            if len(record.parents) > 1:
                yield f"ledger: {_s(oid)} has {len(record.parents)} parents"
            try:
                event = json.loads(record.message.partition("[skip ci]\n")[2])
                name, kind = event["environment"], event["event"]
                if event["application"] != app:
                    yield f"ledger: {_s(oid)} is about {event['application']}"
                self.ids[event["id"]] += 1
                if kind in ("promoted", "absorbed") and not old:
                    yield from self._entered(app, name, event)
                if kind == "rolled-back" and not old:
                    yield from self._went_back(app, name, event)
                if kind == "promoted" or (kind == "rolled-back" and event["by"] != "git"):
                    told.setdefault(HEADS + self.applications[app][name].branch, []).append(event["commit"])
                if name is not None:
                    _fold(self.seen[app][name], event)
            except (ValueError, KeyError, TypeError) as exc:
                yield f"ledger: {_s(oid)} is not readable: {type(exc).__name__} {exc}"
                continue
            if kind in ("promoted", "absorbed", "adopted", "rolled-back"):
                yield from self._state(app, oid, self.seen[app])
            if self.ids[event["id"]] > 1 and kind in ("promoted", "rolled-back"):
                yield f"twice: the event {event['id'][:8]} was recorded before"

    def _entered(self, app: str, name: str, event: dict[str, Any]) -> Iterator[str]:
        """A change entered an environment: may it, and is it what arrived?"""
        rules, place = self.applications[app][name], self.seen[app][name]
        where, source, target, base = f"{app}/{name}", event["source"], event["target"], event["base"]
        if rules.source is None:
            yield f"shape: {where} takes commits from nobody"
            return
        origin, from_ = self.seen[app][rules.source], self.applications[app][rules.source]
        health = origin.last.get(source, "never observed")
        if health != "healthy":
            yield f"unqualified: {_s(source)} was {health} in {rules.source} when it entered {where}"
        if source in origin.holds or source in place.holds:
            yield f"held: {_s(source)} entered {where} although it is held"
        if source in origin.undone:
            yield f"undone: {_s(source)} entered {where}, and {rules.source} had gone back over it"
        source_tip = self.tips.get(HEADS + from_.branch, "")
        if source not in self.objects.chain(source_tip):
            yield f"shape: {_s(source)} was not on {from_.branch} when it entered {where}"
        if place.release and place.release["source"] != base:
            yield f"shape: the base of {where} was {_s(base)}, and it stood for {_s(place.release['source'])}"
        tip = self.tips.get(HEADS + rules.branch)
        if event["event"] == "promoted":
            yield from self._made(app, name, event)
            tree = self.objects.commit(event["commit"]).tree
        else:
            tree = self.objects.commit(target).tree
            if tip != target and target not in self.objects.chain(tip or ""):
                yield f"shape: {_s(target)} is not on {rules.branch}"
        yield from self._content(rules, place, event, tree)
        key = (app, name, source)
        if key in self.arrived and not self.again:
            yield f"twice: {_s(source)} entered {where} before"
        self.arrived.add(key)

    def _made(self, app: str, name: str, event: dict[str, Any]) -> Iterator[str]:
        """The commit is what its event says."""
        made = self.objects.commit(event["commit"])
        target, back = event["target"], event.get("restores")
        if made.parents not in ([(target,)] if back else [(target, event["source"]), (target,)]):
            yield f"shape: {_s(made.oid)} has the parents {[*map(_s, made.parents)]}"
        if made.tree != event["tree"]:
            yield f"shape: {_s(made.oid)} has another tree than its event says"
        says = {"Plan": event["plan_id"], "Application": app, "Environment": name, "Source": event["source"]}
        yield from self._says(made, event, {**says, "Attempt": event["id"], "Restores": back})

    def _says(self, made: Commit, event: dict[str, Any], says: Mapping[str, str | None]) -> Iterator[str]:
        """Its trailers are those of its event, and its plan is that of no other commit."""
        who = _s(made.oid)
        for key, value in says.items():
            if made.trailers.get(f"Promotion-{key}") != value:
                yield f"shape: {who} says Promotion-{key}: {made.trailers.get(f'Promotion-{key}')}, its event {value}"
        if self.plans.setdefault(event["plan_id"], made.oid) != made.oid:
            yield f"twice: plan {event['plan_id'][:8]} became {_s(self.plans[event['plan_id']])} and {who}"

    def _went_back(self, app: str, name: str, event: dict[str, Any]) -> Iterator[str]:
        """An earlier release is there again: was it one, is it that, and is refused what was taken back?"""
        rules, place = self.applications[app][name], self.seen[app][name]
        where, back, target, by_hand = f"{app}/{name}", event["restores"], event["target"], event["by"] == "git"
        tip = self.tips.get(HEADS + rules.branch, "")
        if by_hand and (event["commit"] not in self.objects.chain(tip) or place.releases.get(event["commit"])):
            yield f"shape: {_s(event['commit'])} is no commit that people made on {rules.branch}"
        if not by_hand:
            yield from self._made(app, name, event)
        steps = self.objects.steps(back, target)
        if not steps or back not in place.releases:
            yield f"shape: {_s(back)} was no earlier release of {where}"
            return
        source = next((place.releases[oid] for oid in self.objects.chain(back) if place.releases.get(oid)), None)
        if event["source"] != (source if rules.source else None):
            yield f"shape: {_s(back)} of {where} stood for {_s(source)}, not for {_s(event['source'])}"
        taken = [oid for oid in steps[::-1] if not rules.paths or self._change(rules, oid)]
        if event["undone"] != taken:
            yield f"shape: {where} went back over {[*map(_s, taken)]}, not {[*map(_s, event['undone'])]}"
        yield from self._restored(rules, event, by_hand)
        yield from self._refused(rules, place, event, taken)
        for oid in taken:
            self.arrived.discard((app, name, place.releases.get(oid) or ""))

    def _restored(self, rules: Rules, event: dict[str, Any], by_hand: bool) -> Iterator[str]:
        """Every path is as in what is restored, or as it was on the branch where it is protected or another's."""
        result, target, back = (self._files(event[side]) for side in ("commit", "target", "restores"))
        for path in sorted({*result, *target, *back}):
            if not rules.own(path):
                if result.get(path) != target.get(path) and not by_hand:
                    yield f"protected: {path} changed in {_s(event['commit'])}"
            elif result.get(path) != back.get(path):
                yield f"unexplained: {path} should be as in {_s(event['restores'])}"

    def _refused(self, rules: Rules, place: Seen, event: dict[str, Any], taken: Sequence[str]) -> Iterator[str]:
        """Each release that was taken back is held, with all that it had otherwise; what went back itself is not."""
        bad = [oid for oid in taken if oid in place.releases or (rules.source is None and oid == taken[0])]
        expected = {
            oid: self._diff(rules, event["restores"], oid) for oid in bad if oid not in place.backs | place.undone
        }
        said = {hold["commit"]: hold["entries"] for hold in event["holds"]}
        for oid in expected.keys() | said.keys():
            if said.get(oid, {}) != expected.get(oid, {}):
                yield f"held: {_s(oid)} was taken back on {rules.branch}, and other than what it changed is refused"
        result = self._files(event["commit"])
        for oid in event["lifts"]:
            if oid in place.holds and not _all(place.holds[oid], result):
                yield f"held: {_s(oid)} is not refused any more on {rules.branch}, and is not there"

    def _files(self, commit: str) -> dict[str, Entry]:
        return self.objects.files(self.objects.commit(commit).tree)

    def _diff(self, rules: Rules, old: str, new: str) -> dict[str, list[str] | None]:
        """What one commit has otherwise than another, where it is the application's, as an event writes it."""
        before, after = self._files(old), self._files(new)
        paths = sorted(p for p in {*before, *after} if rules.own(p) and before.get(p) != after.get(p))
        return {path: list(after[path]) if path in after else None for path in paths}

    def _change(self, rules: Rules, oid: str) -> bool:
        """Whether a commit changed the application's paths."""
        parents, after = self.objects.commit(oid).parents, self._files(oid)
        before = self._files(parents[0]) if parents else {}
        return any(rules.inside(path) and before.get(path) != after.get(path) for path in {*before, *after})

    def _content(self, rules: Rules, place: Seen, event: dict[str, Any], tree: str) -> Iterator[str]:
        """Every path of the result is what a naive three-way merge of base, target and source makes of it."""
        files = [self.objects.files(self.objects.commit(event[side]).tree) for side in ("base", "target", "source")]
        result, (bases, targets, sources) = self.objects.files(tree), files
        person = event.get("resolution", {}).get("commit")
        decided = self.objects.files(self.objects.commit(person).tree) if person in self.people else None
        for path in sorted(set(result).union(*files)):
            b, d, s, t = (side.get(path) for side in (bases, targets, sources, result))
            if not rules.own(path):
                if t != d:
                    yield f"protected: {path} changed in {_s(event.get('commit'))}"
            elif rules.mirror:
                if t != s:
                    yield f"unexplained: {path} is not the source's"
            elif b == s or d == s:
                if t != d:
                    yield f"unexplained: {path} should be as it was on {rules.branch}"
            elif d == b:
                if t != s:
                    yield f"unexplained: {path} should be as in {_s(event['source'])}"
            elif decided is not None and t == decided.get(path):
                continue  # what a person decided, where no rule does
            elif b is None or d is None or s is None or t is None or not self._merged(b, d, s, t):
                yield f"unexplained: {path} was changed on both sides"
        for commit, entries in place.holds.items():
            fixes = self.objects.commit(event["source"]).trailers.get("Promotion-Fixes", "-")
            if entries and _all(entries, result) and not _all(entries, targets) and not commit.startswith(fixes):
                yield f"held: {_s(event['source'])} brings all of {_s(commit)} back, which {rules.branch} refuses"

    def _merged(self, b: Entry, d: Entry, s: Entry, t: Entry) -> bool:
        """Whether `t` is what `git merge-file` makes of three different files."""
        if any(not mode.startswith("100") for mode, _ in (b, d, s, t)):
            return False
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for name, (_, oid) in zip("dbs", (d, b, s), strict=True):
                names.append(Path(folder) / name)
                names[-1].write_bytes(self.objects.raw(oid))
            done = subprocess.run(
                ["git", "merge-file", "-p", *map(str, names)], capture_output=True, env=_environment()
            )
        mode = s[0] if d[0] == b[0] else d[0]
        return done.returncode == 0 and (mode, done.stdout) == (t[0], self.objects.raw(t[1]))

    def _state(self, app: str, record: str, place: Mapping[str, Seen]) -> Iterator[str]:
        """state.json says of releases, holds and health what the events say."""
        try:
            files = self.objects.files(self.objects.commit(record).tree)
            said = json.loads(self.objects.raw(files["state.json"][1]))["environments"]
            older = {
                name: [self.objects.raw(files[f"holds/{name}/{n}"][1]) for n in range(one.get("pieces", 0))]
                for name, one in said.items()
            }
        except (ValueError, KeyError) as exc:
            yield f"state: {_s(record)} of {app} is not readable: {exc}"
            return
        for name, seen in place.items():
            one = said.get(name, {})
            if one.get("release") != seen.release:
                yield f"state: {_s(record)} says {one.get('release')} of {app}/{name}, its events {seen.release}"
            holds = [hold for piece in older.get(name, ()) for hold in json.loads(piece)] + one.get("holds", [])
            if {hold["commit"] for hold in holds} != set(seen.holds):
                yield f"state: {_s(record)} knows other holds of {app}/{name} than its events"
            for commit, _, _, undone, *_ in one.get("releases", ()):
                if undone != (commit in seen.undone):
                    yield f"state: {_s(record)} is wrong about whether {_s(commit)} is undone in {app}/{name}"
            for commit, fact in one.get("facts", {}).items():
                if seen.last.get(commit) != fact[0]:
                    yield f"state: {_s(record)} says {_s(commit)} is {fact[0]} in {app}/{name}"


def _happened(one: Transaction, later: Sequence[Transaction], now: Mapping[str, str]) -> bool:
    """Whether a transaction took place; of one whose server died, what came after it says so."""
    if one.how != "prepared":
        return one.how == "committed"

    def then(ref: str) -> str:
        return next((t.moves[ref][0] for t in later if ref in t.moves and t.how == "committed"), now.get(ref, NOTHING))

    return all(then(ref) == new for ref, (_, new) in one.moves.items())


def _fold(seen: Seen, event: Mapping[str, Any]) -> None:
    kind, before = event["event"], seen.release
    if kind == "observed":
        if event["revision"]:
            seen.last[event["revision"]] = event["health"]
            if event["health"] == "healthy":
                seen.releases.setdefault(event["revision"], None)
    elif kind in ("promoted", "adopted", "rolled-back"):
        if kind == "rolled-back":
            _fold_back(seen, event)
        commit, source, previous = event["commit"], event["source"], before["commit"] if before else None
        seen.release = {"commit": commit, "source": source, "previous": previous} if source else None
        seen.releases[commit] = source
        seen.undone.discard(commit)
    elif kind == "absorbed":
        old = before or {"commit": event["target"], "previous": None}
        seen.release = {**old, "source": event["source"]}
        seen.releases[event["target"]] = event["source"]
    elif kind == "held":
        seen.holds[event["commit"]] = event["entries"]
    elif kind == "lifted":
        seen.holds.pop(event["commit"], None)
        seen.noes = {who: commit for who, commit in seen.noes.items() if commit != event["commit"]}
    elif kind in ("approved", "rejected", "withdrawn"):
        who = (event["plan_id"], event["by"].casefold())
        before_it = seen.noes.pop(who, None)
        if before_it and before_it not in seen.noes.values():
            seen.holds.pop(before_it, None)
        if kind == "rejected":
            seen.noes[who] = event["source"]
            seen.holds[event["source"]] = event["entries"]


def _fold_back(seen: Seen, event: Mapping[str, Any]) -> None:
    seen.backs.add(event["commit"])
    seen.undone -= {event["restores"], *event["lifts"]}
    seen.undone |= {*event["undone"]}
    for commit in {*event["lifts"]} - {*seen.noes.values()}:
        seen.holds.pop(commit, None)
    seen.holds |= {hold["commit"]: hold["entries"] for hold in event["holds"]}


def _all(entries: Mapping[str, Any], files: Mapping[str, Entry]) -> bool:
    """Whether a tree has all entries of a hold."""
    return all(files.get(path) == ((entry[0], entry[1]) if entry else None) for path, entry in entries.items())


def _matches(pattern: str, path: str) -> bool:
    """`*` within a name, `**` over folders; `d/**` and `d/` mean `d` and all below it."""
    if pattern.endswith("/"):
        pattern += "**"
    if pattern.endswith("/**") and _matches(pattern[:-3], path):
        return True
    words = {"**": ".*", "*": "[^/]*"}
    return re.fullmatch("".join(words.get(p, re.escape(p)) for p in re.split(r"(\*\*|\*)", pattern)), path) is not None


def _s(oid: str | None) -> str:
    return oid[:8] if oid else "nothing"
