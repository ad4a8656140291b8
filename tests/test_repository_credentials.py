"""Remotes with tokens: what reaches whom, on a real host over HTTP; and what is said when one is missing or refused."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Credential
from promotion.repository import Git, Repository, Update
from promotion.repository.credentials import login
from tests.support.git import Origin
from tests.support.http_git import Fault, GitHost, Token

SECRET = "s3cret-Canary/+=é"
READER = "r3ader-Canary"
REFS = ["refs/heads/env/dev", "refs/heads/env/qa"]
Opened = Callable[..., Repository]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """One repository; a token that may write dev and the ledger, and one that only reads."""
    Origin.create(tmp_path / "served/shop.git")
    tokens = [Token("bot", SECRET, ("env/dev", "promotion/*"), user="x-access-token"), Token("reader", READER)]
    with GitHost(tmp_path / "served", tokens) as host:
        yield host


@pytest.fixture
def opened(host: GitHost, tmp_path: Path) -> Iterator[Opened]:
    """Opens the repository with the token in a variable; `environ` are more variables."""
    made: list[Repository] = []

    def open_it(url: str = "", secret: str = SECRET, **environ: str) -> Repository:
        git = Git({**os.environ, "T0KEN": secret, "READER": READER, **environ}, tmp_path / "cache")
        credential = Credential(token_env="T0KEN")
        made.append(Repository(url or host.url("shop"), git, tmp_path / "cache", credential))
        return made[-1]

    yield open_it
    for repository in made:
        repository.close()


def commit(repository: Repository, ref: str = REFS[0]) -> Update:
    """A new commit on that branch, in the clone only."""
    old = repository.refresh(REFS)[ref]
    assert old is not None
    before = repository.objects.commit(old)
    return Update(ref, old, repository.commit_tree(before.tree, [old], "one more", before.at))


def everything(folder: Path) -> bytes:
    """All that is written below a folder."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_token_reads_and_pushes(host: GitHost, opened: Opened, tmp_path: Path) -> None:
    """By the user `x-access-token`; a push may be another credential's, and nothing of it is kept."""
    repository = opened()
    update = commit(repository)
    reader = Credential(token_env="READER")
    assert "403" in repository.push([update], reader)
    assert repository.push([update]) == ""
    assert repository.refresh(REFS)[REFS[0]] == update.new
    assert {asked.who for asked in host.asked} == {None, "bot", "reader"}
    for secret in (SECRET, READER):
        assert secret.encode() not in everything(tmp_path / "cache")


def test_the_addresses_user_wins(host: GitHost, opened: Opened) -> None:
    """A host may want a name of its own."""
    host.tokens = [Token("deploy", SECRET, user="deploy")]
    assert opened(host.url("shop", user="deploy")).refresh(REFS)[REFS[0]]
    with pytest.raises(ConfigError, match="credential was refused"):
        opened().refresh(REFS)


def test_a_token_file_is_read_each_time(host: GitHost, tmp_path: Path) -> None:
    """It rotates while we run."""
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    git = Git(os.environ, tmp_path / "cache")
    with Repository(host.url("shop"), git, tmp_path / "cache", Credential(token_file=str(file))) as repository:
        repository.refresh(REFS)
        host.tokens = [Token("next", "n3xt")]
        with pytest.raises(ConfigError, match="refused; asked with token_file"):
            repository.refresh(REFS)
        file.write_text("n3xt\r\n")
        repository.refresh(REFS)


def test_nobody_else_speaks_for_us(host: GitHost, opened: Opened, home: Path, tmp_path: Path) -> None:
    """Neither ~/.netrc, nor git's helpers, nor a header, nor a cookie, nor askpass; and no helper is given the token."""
    host.tokens = [*host.tokens, Token("stranger", "str4nger", ("*",))]
    (home / ".netrc").write_text("machine 127.0.0.1 login x password str4nger\n")
    told = tmp_path / "told"
    helper = f"!f() {{ cat >>{told}; echo username=x; echo password=str4nger; }}; f"
    (home / ".gitconfig").write_text(
        f'[credential]\n\thelper = "{helper}"\n[credential "{host.url("shop")}"]\n\thelper = "{helper}"\n'
        "\tusername = stranger\n[http]\n\textraHeader = AUTHORIZATION: Basic eDpzdHI0bmdlcg==\n"
    )
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho asked >>{told}\necho str4nger\n")
    askpass.chmod(0o755)
    repository = opened(GIT_ASKPASS=str(askpass))
    assert repository.push([commit(repository)]) == ""
    assert {asked.who for asked in host.asked} == {None, "bot"}
    with pytest.raises(ConfigError, match="refused"):
        opened(secret="wrong", GIT_ASKPASS=str(askpass)).refresh(REFS)
    assert not told.exists()


def test_without_credentials_gits_own_are_asked(host: GitHost, home: Path, tmp_path: Path) -> None:
    """As ever; and without any, what to write is said."""
    url = host.url("shop")
    with Repository(url, Git(os.environ, tmp_path / "c"), tmp_path / "c") as repository:
        with pytest.raises(ConfigError, match="asks for a credential and none is configured") as caught:
            repository.refresh(REFS)
        assert caught.value.hint is not None
        assert "credentials: {token_env: NAME}" in caught.value.hint
    helper = f"!f() {{ echo username=x-access-token; echo password='{SECRET}'; }}; f"
    (home / ".gitconfig").write_text(f'[credential]\n\thelper = "{helper}"\n')
    with Repository(url, Git(os.environ, tmp_path / "c"), tmp_path / "c") as repository:
        assert repository.refresh(REFS)[REFS[0]]


def test_what_users_say_of_http_still_counts(opened: Opened, home: Path) -> None:
    """A proxy, a header of another kind: they say nothing of who we are."""
    (home / ".gitconfig").write_text("[http]\n\tproxy = http://127.0.0.1:9\n")
    with pytest.raises(TemporaryError, match="port 9"):
        opened().refresh(REFS)


@pytest.mark.parametrize(
    ("after", "said"), [(0, "sends us to another host, which is not told the token"), (1, "the credential was refused")]
)
def test_another_host_never_gets_it(host: GitHost, opened: Opened, tmp_path: Path, after: int, said: str) -> None:
    """Redirected before the token was sent, or after: the other one sees no credential, whether it asks for one or not."""
    Origin.create(tmp_path / "other/shop.git")
    with GitHost(tmp_path / "other", [Token("bot", SECRET, ("*",))]) as other:
        host.faults.append(Fault(redirect=other.address, after=after))
        askpass = tmp_path / "askpass"
        askpass.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho anything\n")
        askpass.chmod(0o755)
        with pytest.raises(ConfigError, match=said):
            opened(GIT_ASKPASS=str(askpass)).refresh(REFS)
        assert not (tmp_path / "asked").exists()
        other.tokens = []
        host.faults[:] = [Fault(redirect=other.address, after=after)]
        with contextlib.suppress(ConfigError):  # git goes on there only where the first answer led
            assert opened().refresh(REFS)[REFS[0]]
        assert [asked.authorization for asked in other.asked] == [None] * len(other.asked)
        assert len(other.asked) >= 2


def test_tracing_shows_nothing(opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not git's own, whatever it is told to show, and not our log."""
    caplog.set_level(logging.DEBUG)
    trace = tmp_path / "trace"
    words = ("GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2_EVENT")
    told = {"GIT_TRACE_REDACT": "0", "GIT_TRACE2_ENV_VARS": "T0KEN", "GIT_CURL_VERBOSE": "1"}
    repository = opened(**dict.fromkeys(words, str(trace)), **told)
    assert repository.push([commit(repository)]) == ""
    seen = trace.read_text() + caplog.text
    assert "git ls-remote" in caplog.text
    for hidden in (SECRET, "s3cret", "eC1hY2Nlc3MtdG9rZW46"):
        assert hidden not in seen


def test_what_a_host_repeats_is_hidden(host: GitHost, opened: Opened) -> None:
    """A hook that prints what it knows."""
    Origin(host.folder / "shop.git").hook("pre-receive", f"#!/bin/sh\necho 'no: {SECRET}' >&2\nexit 1\n")
    repository = opened()
    said = repository.push([commit(repository)])
    assert "no: ***" in said
    assert "Canary" not in said


def test_no_local_git_has_the_descriptor(opened: Opened) -> None:
    """A pipe of one process: it is gone afterwards, and the reader of objects never had it."""
    repository = opened()
    commit(repository)
    process = repository.objects._store._process
    assert process is not None
    names = [int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert sorted(names)[:3] == [0, 1, 2]
    assert [fd for fd in names if fd > 2 and Path(f"/proc/{process.pid}/fd/{fd}").readlink().name[:4] == "pipe"] == []


def test_only_who_talks_to_the_host_is_told_of_a_token(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other git process has a helper, nor a pipe to read from."""
    folder, real = tmp_path / "bin", shutil.which("git")
    folder.mkdir()
    script = (
        f'#!/bin/sh\ncase "$*" in *credential.http*) printf "%s\\n" "$*" >>{folder}/told;; esac\nexec {real} "$@"\n'
    )
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    repository = opened()
    made = commit(repository)
    assert made.old is not None
    assert repository.is_ancestor(made.old, made.new)
    assert repository.merge_bases(made.old, made.new) == [made.old]
    assert repository.resolve(made.new[:12]) == made.new
    assert len(repository.history.ids(made.new)) == 2
    repository.push([made])
    verbs = ("ls-remote", "fetch", "push")
    told = (folder / "told").read_text().splitlines()
    assert len(told) >= len(verbs)
    assert [line for line in told if not any(f" {verb} " in line for verb in verbs)] == []


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (401, "the credential was refused; asked with token_env T0KEN", ConfigError),
        (403, "no permission; asked with token_env T0KEN", ConfigError),
        (404, "there is no such repository; asked with token_env T0KEN", ConfigError),
        (429, "429", TemporaryError),
        (500, "500", TemporaryError),
        (502, "502", TemporaryError),
        (503, "503", TemporaryError),
    ],
)
def test_what_a_host_answers(
    host: GitHost, opened: Opened, status: int, words: str, kind: type[PromotionError]
) -> None:
    """Which credential it was, and whether people have to mend something (2) or it may be tried again (75)."""
    host.faults.append(Fault(status=status, retry_after=1))
    with pytest.raises(kind) as caught:
        opened().refresh(REFS)
    assert words in str(caught.value)
    assert caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    host.faults.clear()
    assert opened().refresh(REFS)[REFS[0]]


@pytest.mark.parametrize(
    "fault",
    [Fault("POST", cut_response=40), Fault("POST", cut_request=20), Fault("GET", cut_response=20, after=1)],
    ids=["answer", "question", "refs"],
)
def test_a_connection_that_is_cut(host: GitHost, opened: Opened, fault: Fault) -> None:
    """75, and the next time is whole."""
    host.faults.append(fault)
    with pytest.raises(TemporaryError):
        opened().refresh(REFS)
    host.faults.clear()
    assert opened().refresh(REFS)[REFS[0]]


@pytest.mark.parametrize("fault", [Fault(delay=60), Fault("POST", stall=20)], ids=["silent", "stalled"])
def test_a_host_that_hangs(host: GitHost, opened: Opened, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """75 at the deadline, and git is gone."""
    monkeypatch.setattr("promotion.repository.remote.REMOTE_SECONDS", 1)
    monkeypatch.setattr("promotion.repository.remote.TRANSFER_SECONDS", 1)
    host.faults.append(fault)
    repository = opened()
    with pytest.raises(TemporaryError, match="did not answer in time"):
        repository.refresh(REFS)


def test_a_repository_that_is_gone(opened: Opened, host: GitHost) -> None:
    """2: nobody brings it back by waiting."""
    with pytest.raises(ConfigError, match="no such repository"):
        opened(host.url("elsewhere")).refresh(REFS)


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such variable"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("s3cret\ns3cret2", "has more than one line"),
        ("s3cret" * 2000, "is longer than the 8 KiB that a token may have"),
        ("s3cret\x07", "is not text that can be sent"),
    ],
)
def test_a_variable_that_has_no_token(content: str | None, said: str) -> None:
    """Its name, and never its content."""
    environ = {} if content is None else {"SHOP_TOKEN": content}
    with pytest.raises(ConfigError) as caught:
        login(Credential(token_env="SHOP_TOKEN"), "https://git.example.com/shop.git", environ)
    assert str(caught.value) == f"token_env SHOP_TOKEN: {said}"
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"\n", "is empty"),
        (b"s3cret\ns3cret2\n", "has more than one line"),
        (b"s3cret" * 100_000, "is longer than the 8 KiB that a token may have"),
        (b"s3cret\0", "is not text that can be sent"),
    ],
)
def test_a_file_that_has_no_token(tmp_path: Path, content: bytes | None, said: str) -> None:
    """Its path, and never its content."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        login(Credential(token_file=str(file)), "https://git.example.com/shop.git", {})
    assert str(caught.value) == f"token_file {file}: {said}"
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    """A directory, a pipe that nobody feeds, a link to nowhere, a file that may not be read."""
    fifo, loop = tmp_path / "fifo", tmp_path / "loop"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    for path, said in ((tmp_path, "is a"), (fifo, "is not a file"), (loop, "cannot be read: ")):
        with pytest.raises(ConfigError, match=said):
            login(Credential(token_file=str(path)), "https://git.example.com/shop.git", {})


def test_a_login_never_prints_its_token() -> None:
    """Not in a traceback either."""
    made = login(Credential(token_env="A"), "https://GIT:8443/shop.git", {"A": " s3cret\n"})
    assert (made.host, made.user, made.token) == ("https://git:8443", "x-access-token", "s3cret")
    assert "s3cret" not in repr(made)
    assert made.hide("s3cret eC1hY2Nlc3MtdG9rZW46czNjcmV0") == "*** ***"
    with pytest.raises(ConfigError, match="takes no token"):
        login(Credential(token_env="A"), "ssh://git@example.com/shop.git", {"A": "s3cret"})
    with pytest.raises(ConfigError, match="takes no token"):
        login(Credential(token_env="A"), "https://a%0Ahost=evil@example.com/shop.git", {"A": "s3cret"})


def test_clones_are_for_our_eyes_only(opened: Opened, tmp_path: Path) -> None:
    """The cache folder is nobody else's."""
    opened().refresh(REFS)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) & 0o077 == 0
