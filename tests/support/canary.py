"""Looks for secrets in everything a run left behind, in every form they may have taken, and in the processes it started."""

from __future__ import annotations

import os
import subprocess
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, quote_plus

USER = "x-access-token"


def forms(secret: str) -> set[bytes]:
    """As it is, quoted for an address, and base64 of it and of `user:secret` wherever they may begin in what is coded."""
    plain = {secret, quote(secret, safe=""), quote_plus(secret), secret.encode("unicode_escape").decode("ascii")}
    coded = {piece for text in (secret, f"{USER}:{secret}") for piece in _coded(text.encode())}
    return {form.encode() for form in plain} | coded


def _coded(data: bytes) -> Iterator[bytes]:
    for code in (b64encode, urlsafe_b64encode):
        for before in range(3):
            whole = code(b"\0" * before + data).rstrip(b"=")
            yield whole[(0, 2, 3)[before] : -1]  # what comes before and after shares these


def found(text: bytes, secrets: Iterable[str]) -> list[str]:
    """The secrets that a text has, in whatever form."""
    return [secret for secret in secrets if any(form in text for form in forms(secret))]


def searched(folder: Path, secrets: Iterable[str]) -> tuple[int, dict[str, list[str]]]:
    """How many texts there were below a folder (files, and each object of each repository), and those with a secret."""
    secrets, count, hits = list(secrets), 0, dict[str, list[str]]()
    for path in folder.rglob("*"):
        texts: list[tuple[str, bytes]] = []
        if path.is_symlink():
            texts.append((str(path), os.fsencode(path.readlink())))
        elif path.is_file():
            texts.append((str(path), path.read_bytes()))
        elif path.name == "objects" and (path.parent / "HEAD").exists():
            command = [
                "git",
                "--git-dir",
                str(path.parent),
                "-c",
                "safe.directory=*",
                "cat-file",
                "--batch-all-objects",
            ]
            done = subprocess.run([*command, "--batch", "--unordered"], capture_output=True, check=True)
            texts.append((f"objects of {path.parent}", done.stdout))
        for name, text in texts:
            count += 1
            if hit := found(name.encode() + b"\n" + text, secrets):
                hits[name] = hit
    return count, hits


@dataclass
class Watch:
    """Samples arguments and variables of all processes below this one, as fast as it can, while a block runs."""

    secrets: list[str]
    seen: dict[str, int] = field(default_factory=dict)
    """Programs, and how often each was met."""
    leaks: set[tuple[str, str]] = field(default_factory=set)
    """What had a secret where, and in which program; orchestrators are given theirs by variables."""
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._sample, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join(30)

    def _sample(self) -> None:
        known: set[tuple[int, bytes]] = set()
        while not self._end.wait(0.005):
            for pid in _below(os.getpid()):
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if not words or (pid, words) in known:
                        continue
                    variables = Path(f"/proc/{pid}/environ").read_bytes()
                except OSError:
                    continue  # it is over
                known.add((pid, words))
                self._judge(words, variables)

    def _judge(self, words: bytes, variables: bytes) -> None:
        program = " ".join(os.fsdecode(word) for word in words.split(b"\0")[:4])
        short = Path(program.split(" ")[0]).name
        self.seen[short] = self.seen.get(short, 0) + 1
        if found(words, self.secrets):
            self.leaks.add(("arguments", short))
        if found(variables, self.secrets) and not short.startswith("python"):
            self.leaks.add(("variables", program))


def _below(pid: int) -> Iterator[int]:
    """All processes that descend from one."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread, or all of it, is over
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


def spies(folder: Path, *programs: str) -> Path:
    """A folder for PATH whose programs write down what they were given, and then are the real ones."""
    bin_, told = folder / "bin", folder / "told"
    for each in (bin_, told):
        each.mkdir(parents=True)
    for name in programs:
        real = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        script = bin_ / name
        script.write_text(f'#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ >"{told}/{name}.$$"\nexec {real} "$@"\n')
        script.chmod(0o755)
    return bin_


def told(folder: Path, secrets: Iterable[str]) -> Mapping[str, list[str]]:
    """What the spies of a folder wrote down that has a secret, by program; programs without any have an empty list."""
    heard: dict[str, list[str]] = {}
    for path in (folder / "told").iterdir():
        heard.setdefault(path.name.partition(".")[0], []).extend(found(path.read_bytes(), secrets))
    return heard
