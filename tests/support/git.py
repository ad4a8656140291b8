"""A real bare repository to promote in, written with Git's plumbing: no clone, one process for one commit.

It must not use the product's own Git code: it is what that code is judged by.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

File = str | bytes | tuple[str, str | bytes]
"""Text or bytes (mode 100644), or ``(mode, content)``; content is the target of a 120000 and the commit of a 160000."""

EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z; each commit of an Origin is one second later
ENVIRONMENTS = ("env/dev", "env/qa", "env/prod")
CONFIG = """\
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[gc]
\tauto = 0
[core]
\tfsync = none
"""  # what hosts allow (partial clones), and nothing in the background


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as `Origin.log` reads it."""

    commit: str
    parents: tuple[str, ...]
    author: str
    committer: str
    subject: str
    message: str

    @property
    def trailers(self) -> dict[str, str]:
        """Lines ``Key: value`` of the last paragraph."""
        lines = self.message.rstrip("\n").rsplit("\n\n", 1)[-1].splitlines()
        return {key: value for key, found, value in (line.partition(": ") for line in lines) if found}


class Origin:
    """A bare repository on this machine, and what tests do to it as people and hosts would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = EPOCH

    @classmethod
    def create(
        cls,
        path: Path,
        branches: Iterable[str] = ENVIRONMENTS,
        files: Mapping[str | bytes, File] | None = None,
    ) -> Origin:
        """Make the repository at `path` with `branches` on one first commit of `files`; without branches it is empty."""
        names = list(branches)
        path.mkdir(parents=True)
        origin = cls(path)
        origin.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={names[0] if names else 'main'}")
        with (path / "config").open("a") as config:
            config.write(CONFIG)
        if names:
            first = origin.commit(names[0], {"README.md": "A release.\n"} if files is None else files, message="start")
            for name in names[1:]:
                origin.set(name, first)
        return origin

    @property
    def url(self) -> str:
        """The address to clone from, over Git's own transport (a plain path would ignore filters)."""
        return self.path.absolute().as_uri()

    def git(self, *args: str, input: str | bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Run git in the repository and return its output; CalledProcessError, with Git's words, when it fails."""
        return os.fsdecode(self.git_bytes(*args, input=input, env=env))

    def git_bytes(self, *args: str, input: str | bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """As `git`, but the output as it is."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env={**_environment(), **(env or {})},
            input=_bytes(input),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, ["git", *args, os.fsdecode(done.stderr)])
        return done.stdout

    def commit(
        self,
        branch: str,
        changes: Mapping[str | bytes, File | None] | None = None,
        *,
        message: str = "a change",
        author: str = "dave",
        onto: str | None = None,
        merges: Iterable[str] = (),
        at: int | None = None,
    ) -> str:
        """Commit `changes` (path to content, None deletes) to `branch` and return the commit's id.

        A branch that does not exist begins with it. `onto` is another first parent than the branch's tip (history is
        then rewritten), `merges` are further parents, `author` is ``name`` or ``name <mail>``, `at` seconds since 1970.
        """
        self.clock = self.clock + 1 if at is None else at
        who = author if "<" in author else f"{author} <{author}@example.com>"
        text = _bytes(message)
        parent = onto or self.refs().get(f"refs/heads/{branch}")
        lines = [
            b"commit refs/heads/%s" % _bytes(branch),
            b"mark :1",
            *(b"%s %s %d +0000" % (role, _bytes(who), self.clock) for role in (b"author", b"committer")),
            b"data %d\n%s" % (len(text), text),
            *([b"from " + _bytes(parent)] if parent else []),
            *(b"merge " + _bytes(other) for other in merges),
            *(_change(path, content) for path, content in (changes or {}).items()),
            b"get-mark :1",
            b"done\n",
        ]
        # --force: a test may rewrite history, which is what the product must notice
        return self.git("fast-import", "--quiet", "--done", "--force", input=b"\n".join(lines)).strip()

    def refs(self) -> dict[str, str]:
        """Full names of all refs and the ids they point to."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return {name: sha for name, _, sha in (line.partition(" ") for line in lines)}

    def tip(self, branch: str) -> str:
        """The commit a branch points to."""
        return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}").strip()

    def set(self, branch: str, commit: str | None) -> None:
        """Point `branch` at `commit`, whatever it was; None deletes it."""
        ref = f"refs/heads/{branch}"
        self.git("update-ref", *(["-d", ref] if commit is None else [ref, commit]))

    def show(self, rev: str, path: str) -> str | None:
        """The content of one path (a symlink's target), or None when it is not there."""
        found = self.git("ls-tree", "-z", "--full-tree", rev, "--", path)
        return self.git("cat-file", "blob", f"{rev}:{path}") if found else None

    def tree(self, rev: str) -> dict[str, tuple[str, str]]:
        """All paths of a commit with ``(mode, object id)``."""
        entries = (entry.partition("\t") for entry in self.git("ls-tree", "-rz", "--full-tree", rev).split("\0"))
        return {path: (head.split()[0], head.split()[2]) for head, _, path in entries if path}

    def files(self, rev: str) -> dict[str, str]:
        """All paths of a commit with their contents; submodules are left out."""
        return {path: self.show(rev, path) or "" for path, (mode, _) in self.tree(rev).items() if mode != "160000"}

    def log(self, rev: str, *, first_parent: bool = True) -> list[Commit]:
        """The commits of a branch or revision, newest first; along first parents, as a deployment log is read."""
        form = "%H%x00%P%x00%an <%ae>%x00%cn <%ce>%x00%s%x00%B%x00%x01"
        text = self.git(
            "log", *(["--first-parent"] if first_parent else []), f"--format={form}", "--end-of-options", rev
        )
        fields = (entry.lstrip("\n").split("\0") for entry in text.split("\x01") if entry.strip())
        return [Commit(one[0], tuple(one[1].split()), *one[2:6]) for one in fields]

    def hook(self, name: str, script: str) -> None:
        """Install a server-side hook, for example a pre-receive that refuses."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(script)
        file.chmod(0o755)


def _environment() -> dict[str, str]:
    """A plain environment: neither the tester's identity nor the machine's configuration may decide a test."""
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{role}_NAME": "host" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "host@example.com" for role in ("AUTHOR", "COMMITTER")},
    }


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _change(path: str | bytes, content: File | None) -> bytes:
    """One line (and its data) of fast-import's language, with any byte a path may hold."""
    quoted = b'"%s"' % b"".join(
        b"\\%03o" % byte if byte in b'"\\' or byte < 32 else bytes([byte]) for byte in _bytes(path)
    )
    if content is None:
        return b"D " + quoted
    mode, data = content if isinstance(content, tuple) else ("100644", content)
    if mode == "160000":
        return b"M 160000 %s %s" % (_bytes(data), quoted)
    return b"M %s inline %s\ndata %d\n%s" % (_bytes(mode), quoted, len(_bytes(data)), _bytes(data))
