"""Signatures of commits by SSH keys, made and verified by git itself; must not know whose signature is worth what.

A key is only named to git, never read or copied. What verifies is the list of keys that is handed in, never the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from promotion.errors import ConfigError, TemporaryError
from promotion.repository.formats import signature
from promotion.repository.objects import EMPTY_TREE, Objects
from promotion.repository.process import PUBLIC_KEY, Git, on_disk
from promotion.repository.words import gist

TO_SIGN = "git config gpg.format ssh, and user.signingkey FILE; or PROMOTION_SIGNING_KEY=FILE"
"""How a key is configured."""
LOCKED = "give one that needs no passphrase, or that your ssh-agent holds"
# Only SSH counts: the name in another signature is whatever its owner wrote into a key that came into the user's keyring.
ONLY_SSH = (
    ("gpg.openpgp.program", "false"),
    ("gpg.x509.program", "false"),
    ("gpg.ssh.program", "ssh-keygen"),
    ("gpg.minTrustLevel", "undefined"),
    ("protocol.allow", "never"),
)


@dataclass(frozen=True, slots=True)
class Signed:
    """One commit, and who signed it: the principal of the list that its key belongs to, or None with the reason."""

    oid: str
    principal: str | None
    why: str = ""


class Signatures:
    """Writes the commits of one clone, signed where a key is configured, and verifies signatures there."""

    def __init__(self, git: Git, path: Path, objects: Objects) -> None:
        self._git = git
        self._path = path
        self._objects = objects

    @property
    def key(self) -> str | None:
        """The key that commits are signed with: a file, or the public key of one that ssh-agent holds."""
        return self._git.signing_key

    def commit(self, tree: str, parents: Sequence[str], message: str, at: datetime) -> str:
        """Writes a commit by Git's author and committer; returns its id. Raises ConfigError where it cannot be signed."""
        people = self._git.people
        if self.key is None:
            return self._objects.write_commit(tree, parents, message, people, at)
        if tree == EMPTY_TREE:
            self._objects.write_empty_tree()
        stamp = f"@{int(at.timestamp())} +0000"
        named: dict[str, str] = {}
        for role, person in zip(("AUTHOR", "COMMITTER"), people, strict=True):
            name, email = signature(person)
            named |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email, f"GIT_{role}_DATE": stamp}
        answer = self._git.run(
            self._path,
            "commit-tree",
            "-S",
            *(word for parent in parents for word in ("-p", parent)),
            tree,
            stdin=(message.rstrip("\n") + "\n").encode("utf-8", "replace"),
            config=[("gpg.format", "ssh"), ("user.signingKey", self.key)],
            variables=named,
        )
        if answer.status:
            if "No space left" in answer.said:
                raise TemporaryError("the cache cannot be written: no space left on device", where=str(self._path))
            raise ConfigError(f"cannot sign: {gist(answer.said)}", where=_place(self.key), hint=LOCKED)
        return answer.output.decode("ascii").strip()

    def line(self, signers: bytes, tip: str, most: int) -> list[Signed]:
        """Who signed the newest commits of a branch, newest first, following first parents only; at most so many.

        `signers` is the content of an allowed_signers file. One process for all of them.
        """
        return self._verified(signers, "--first-parent", f"--max-count={most}", tip)

    def one(self, signers: bytes, oid: str) -> Signed:
        """Who signed one commit."""
        return self._verified(signers, "--max-count=1", oid)[0]

    def _verified(self, signers: bytes, *walk: str) -> list[Signed]:
        config = [("gpg.ssh.allowedSignersFile", str(self._list(signers))), *ONLY_SSH]
        args = ("log", "--no-show-signature", "--no-decorate", "--format=%H%x00%G?%x00%GF%x00%GS", *walk, "--")
        answer = self._git.run(self._path, *args, config=config)
        if answer.status:
            raise TemporaryError(f"signatures cannot be verified: {gist(answer.said)}", where=str(self._path))
        return [_read(*line.split("\0", 3)) for line in answer.output.decode("utf-8", "replace").splitlines()]

    def _list(self, signers: bytes) -> Path:
        """The list as a file of our own: git must not read another one than whoever handed it in."""
        path = self._path.parent / f"signers-{sha256(signers).hexdigest()[:16]}"
        with on_disk(path):
            if not path.is_file() or path.read_bytes() != signers:
                draft = path.with_name(f"{path.name}.{id(self):x}")
                draft.write_bytes(signers)
                draft.rename(path)
        return path


def _read(oid: str, word: str, fingerprint: str, principal: str) -> Signed:
    """Git's word about one commit: G for a good signature by a key of the list, U for one by any other."""
    if word == "N":
        return Signed(oid, None, "not signed")
    if word in "GU" and not fingerprint.startswith("SHA256:"):
        return Signed(oid, None, "not signed with an SSH key")
    if word == "G" and principal:
        return Signed(oid, principal)
    if word == "U":
        return Signed(oid, None, f"signed with {fingerprint}, which allowed_signers does not have, or not for that day")
    return Signed(oid, None, "its signature is not good")


def _place(key: str) -> str:
    return "the signing key" if PUBLIC_KEY.match(key) else key
