"""Signed commits: git makes and verifies the signatures; a key is named and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from promotion.errors import ConfigError
from promotion.repository import Git, Repository
from tests.support.git import Origin
from tests.support.keys import key, line

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.create(tmp_path / "shop.git")


@pytest.fixture
def bot(tmp_path: Path) -> Path:
    return key(tmp_path / "keys", "bot")


@pytest.fixture
def opened() -> Iterator[list[Repository]]:
    repositories: list[Repository] = []
    yield repositories
    for repository in repositories:
        repository.close()


def door(
    origin: Origin, opened: list[Repository], settings: Mapping[str, str] | None = None, **variables: object
) -> Repository:
    """A clone as a user with this configuration of git and these variables has it, filled."""
    folder = origin.path.parent
    config = folder / "gitconfig"
    config.write_text(
        "".join(f"[{k.rpartition('.')[0]}]\n{k.rpartition('.')[2]} = {v}\n" for k, v in (settings or {}).items())
    )
    environ = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": str(config),
        **{name: str(value) for name, value in variables.items()},
    }
    repository = Repository(str(origin.path), Git(environ, folder / "cache"), folder / "cache")
    opened.append(repository)
    repository.refresh(["refs/heads/env/dev"])
    return repository


def made(repository: Repository, origin: Origin, message: str = "grown\n\nPromotion-Plan: 1") -> str:
    tip = origin.tip("env/dev")
    return repository.commit_tree(repository.objects.commit(tip).tree, [tip], message, NOW)


def raw(repository: Repository, oid: str) -> str:
    args = ["git", f"--git-dir={repository.path}", "cat-file", "commit", oid]
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def test_a_configured_key_signs(origin: Origin, bot: Path, opened: list[Repository]) -> None:
    """Git itself says who; without the signature it is the very commit that an unsigned set-up writes."""
    signed, plain = door(origin, opened, PROMOTION_SIGNING_KEY=bot), door(origin, opened)
    oid = made(signed, origin)
    assert signed.signatures.one(line("bot@example.com", bot).encode(), oid).principal == "bot@example.com"
    text = raw(signed, oid)
    head, _, rest = text.partition("gpgsig ")
    unsigned = head + rest.partition("-----END SSH SIGNATURE-----\n")[2]
    assert unsigned == raw(plain, made(plain, origin))
    assert signed.objects.commit(oid).trailers == {"Promotion-Plan": "1"}


def test_gits_own_configuration_names_a_key(origin: Origin, bot: Path, opened: list[Repository]) -> None:
    """`user.signingkey` counts with `gpg.format` ssh, and an empty variable says no."""
    ssh = {"gpg.format": "ssh", "user.signingkey": str(bot)}
    found = door(origin, opened, ssh)
    assert "gpgsig" in raw(found, made(found, origin))
    for settings, variables in (
        ({"user.signingkey": str(bot)}, {}),
        ({"gpg.format": "openpgp", "user.signingkey": "0xCAFE"}, {}),
        (ssh, {"PROMOTION_SIGNING_KEY": ""}),
    ):
        found = door(origin, opened, settings, **variables)
        assert "gpgsig" not in raw(found, made(found, origin)), settings


def test_a_variable_goes_before_gits_configuration(origin: Origin, bot: Path, opened: list[Repository]) -> None:
    other = key(bot.parent, "other")
    settings = {"gpg.format": "ssh", "user.signingkey": str(other)}
    repository = door(origin, opened, settings, PROMOTION_SIGNING_KEY=bot)
    signers = (line("bot@example.com", bot) + line("other@example.com", other)).encode()
    assert repository.signatures.one(signers, made(repository, origin)).principal == "bot@example.com"


def test_a_key_that_an_agent_holds(origin: Origin, tmp_path: Path, opened: list[Repository]) -> None:
    """Named by its public half: as a file, or as text; the private one is nowhere near."""
    held = key(tmp_path / "keys", "held")
    out = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    agent = dict(part.split("=", 1) for part in out.replace("\n", "").split(";") if part.startswith("SSH_"))
    try:
        subprocess.run(["ssh-add", "-q", str(held)], check=True, env={**os.environ, **agent}, capture_output=True)
        held.unlink()
        public = held.with_name("held.pub")
        for named in (str(public), public.read_text().strip(), "key::" + public.read_text().strip()):
            repository = door(origin, opened, PROMOTION_SIGNING_KEY=named, **agent)
            signed = repository.signatures.one(line("held@example.com", held).encode(), made(repository, origin))
            assert signed.principal == "held@example.com", named
    finally:
        subprocess.run(["ssh-agent", "-k"], env={**os.environ, **agent}, check=True, capture_output=True)


@pytest.mark.parametrize("fault", ["gone", "locked", "nonsense"])
def test_a_key_that_cannot_sign_is_told(origin: Origin, tmp_path: Path, opened: list[Repository], fault: str) -> None:
    """In one line, with the file and a way out; no question is asked on a terminal."""
    bad = tmp_path / "keys" / "bad"
    if fault == "locked":
        key(bad.parent, "bad", "a passphrase")
    elif fault == "nonsense":
        bad.parent.mkdir()
        bad.write_text("SECRET-NONSENSE\n")
    repository = door(origin, opened, PROMOTION_SIGNING_KEY=bad)
    with pytest.raises(ConfigError, match="cannot sign") as caught:
        made(repository, origin)
    assert caught.value.where == str(bad)
    assert "ssh-agent" in (caught.value.hint or "")
    assert "SECRET" not in str(caught.value)
    assert "\n" not in caught.value.message


def test_who_signed(origin: Origin, bot: Path, opened: list[Repository]) -> None:
    """Newest first, each for itself: trusted, by a stranger, by a key whose time is over, changed, and not at all."""
    stranger, old = key(bot.parent, "stranger"), key(bot.parent, "old")
    tip = origin.tip("env/dev")
    for signing in (bot, stranger, old, None):
        repository = door(origin, opened, PROMOTION_SIGNING_KEY=signing or "")
        tip = repository.commit_tree(repository.objects.commit(tip).tree, [tip], "one more", NOW)
    good = raw(
        repository,
        repository.objects.commit(
            repository.objects.commit(repository.objects.commit(tip).parents[0]).parents[0]
        ).parents[0],
    )
    changed = (
        repository._git.run(  # as somebody would forge it who has a signature
            repository.path,
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            stdin=good.replace("one more", "my own").encode(),
        )
        .output.decode()
        .strip()
    )
    signers = (line("bot@example.com", bot) + line("old@example.com", old, 'valid-before="20260101"')).encode()
    said = repository.signatures.line(signers, tip, 4)
    assert [one.principal for one in said] == [None, None, None, "bot@example.com"]
    assert [one.why.split(" SHA256")[0] for one in said] == ["not signed", "signed with", "signed with", ""]
    assert repository.signatures.one(signers, changed).why == "its signature is not good"


def test_another_kind_of_signature_is_none(origin: Origin, bot: Path, opened: list[Repository], tmp_path: Path) -> None:
    """OpenPGP's names are what anybody writes into a key of theirs, so that git's word about it is not asked for."""
    fake = tmp_path / "gpg"
    fake.write_text('#!/bin/sh\necho "[GNUPG:] GOODSIG CAFE bot@example.com\n[GNUPG:] TRUST_ULTIMATE\n" \n')
    fake.chmod(0o755)
    repository = door(origin, opened, {"gpg.program": str(fake)})
    plain = raw(repository, made(repository, origin))
    block = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n aGk=\n -----END PGP SIGNATURE-----\n"
    forged = plain.replace("\n\n", "\n" + block + "\n", 1)
    oid = (
        repository._git.run(repository.path, "hash-object", "-t", "commit", "-w", "--stdin", stdin=forged.encode())
        .output.decode()
        .strip()
    )
    assert repository.signatures.one(line("bot@example.com", bot).encode(), oid).principal is None


def test_the_list_is_the_one_that_was_handed_in(origin: Origin, bot: Path, opened: list[Repository]) -> None:
    """Git's own list is not asked, and a copy of ours that somebody changed is written again."""
    settings = {"gpg.ssh.allowedsignersfile": str(origin.path.parent / "mine")}
    (origin.path.parent / "mine").write_text(line("bot@example.com", bot))
    repository = door(origin, opened, settings, PROMOTION_SIGNING_KEY=bot)
    oid = made(repository, origin)
    assert repository.signatures.one(b"", oid).principal is None
    other = line("other@example.com", key(bot.parent, "other")).encode()
    assert repository.signatures.one(other, oid).principal is None
    for copy in repository.path.parent.glob("signers-*"):
        copy.write_text(line("bot@example.com", bot))
    assert repository.signatures.one(other, oid).principal is None
