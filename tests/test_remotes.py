"""Every kind of remote, from `init` to a hop, on real servers; and a server that goes away and comes back."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from promotion.cli import main
from promotion.repository.words import gist
from tests.support.git import Origin
from tests.support.http_git import Fault, GitHost, Token, certificate
from tests.support.shop import WELL, Shop
from tests.support.ssh_git import Ssh, sshd

BOT = Token("bot", "b0t-s3cret", write=("*",))


def walked(shop: Shop) -> None:
    """A change walks from dev to qa and is seen there; the reading commands and the audit agree."""
    assert shop("validate", "--online").status == 0
    hopped(shop)
    shop.round()
    environments = shop("--json", "status").json["applications"][0]["environments"]
    assert [e["health"] for e in environments][:2] == ["healthy"] * 2
    assert shop("history").status == shop("audit").status == 0


def hopped(shop: Shop) -> None:
    """A change lands in qa."""
    shop.round()
    commit = shop.push("dev", {"web": "2\n"})
    assert [(hop["environment"], hop["outcome"]) for hop in shop.round()] == [("qa", "promoted")]
    assert shop.origin.log("env/qa")[0].trailers["Promotion-Source"] == commit


def test_a_path_and_a_file_address(tmp_path: Path) -> None:
    """Two spellings of one thing."""
    for name in ("path", "file"):
        shop = Shop(tmp_path / name)
        if name == "file":
            shop.top["repository"] = shop.origin.url
            shop.write()
        walked(shop)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with sshd(tmp_path_factory.mktemp("ssh")) as ssh:
        if ssh.missing:
            pytest.skip(ssh.missing)
        yield ssh


def test_ssh(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole address."""
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.command)
    shop = Shop(tmp_path)
    shop.top["repository"] = f"ssh://{ssh.user}@127.0.0.1:{ssh.port}{shop.origin.path}"
    shop.write()
    hopped(shop)


def test_ssh_as_scp_writes_it(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """And the command from the user's own configuration; a key that is not known there is 2."""
    (home / ".gitconfig").write_text(f"[core]\n\tsshCommand = {ssh.command}\n")
    shop = Shop(tmp_path)
    shop.top["repository"] = f"githost:{shop.origin.path}"
    shop.write()
    assert shop("validate", "--online").status == 0
    keyless = ssh.config.with_name("keyless")
    keyless.write_text(ssh.config.read_text().replace("IdentityFile ", "IdentityFile /nowhere"))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {keyless}")
    said = shop("status")
    assert (said.status, "Permission denied" in said.err) == (2, True)


def with_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose bot has its token in a variable."""
    monkeypatch.setenv("SHOP_TOKEN", BOT.secret)
    return Shop(folder)


def through(shop: Shop, host: GitHost) -> None:
    """From here on the repository is reached through a host, with the token."""
    shop.top |= {"repository": host.url("shop"), "credentials": {"token_env": "SHOP_TOKEN"}}
    shop.write()


def test_http_from_init_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With git's own helper for `init`, and a token from then on."""
    shop = with_token(tmp_path, monkeypatch)
    with GitHost(tmp_path, [BOT]) as host:
        helper = f"!f() {{ echo username=x; echo password={BOT.secret}; }}; f"
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
        (tmp_path / "gitconfig").write_text(f'[credential]\n\thelper = "{helper}"\n')
        words = ["init", "--repository", host.url("shop"), "--environments", "dev=env/dev,qa=env/qa"]
        assert main(["-c", str(tmp_path / "new.yaml"), *words]) == 0
        (tmp_path / "gitconfig").write_text("")
        through(shop, host)
        walked(shop)


def test_https_by_the_users_own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Its certificate is one that the user's configuration trusts, by a path below `~`; without it nothing is sent."""
    shop = with_token(tmp_path, monkeypatch)
    cert, key = certificate(tmp_path / "tls")
    with GitHost(tmp_path, [BOT], tls=(cert, key)) as host:
        through(shop, host)
        said = shop("status")
        assert (said.status, host.asked) == (75, [])
        assert "certificate" in said.err
        (home / "ca.pem").write_bytes(cert.read_bytes())
        (home / ".gitconfig").write_text("[http]\n\tsslCAInfo = ~/ca.pem\n")
        walked(shop)


def test_an_hour_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop says so once, whatever number of rounds fail, and goes on when the server is back; and so a second time."""
    shop = with_token(tmp_path, monkeypatch)
    with GitHost(tmp_path, [BOT]) as host:
        through(shop, host)
        shop.round()
        with shop.start("--json", "run", "--every", "1s", "--sync") as loop:
            assert loop.stdout is not None
            assert loop.stdout.readline() == '{"hops": []}\n'
            host.stop()
            for _ in range(4):  # rounds that print nothing but what they did not do
                assert loop.stdout.readline() == '{"hops": []}\n'
            commit = shop.push("dev", {"web": "2\n"})
            host.start()
            until_said(loop, '"outcome": "promoted"')
            loop.send_signal(signal.SIGTERM)
            _, err = loop.communicate(timeout=60)
        assert err.count("Failed to connect") == 1
        assert shop.origin.log("env/qa")[0].trailers["Promotion-Source"] == commit


def test_the_same_trouble_has_the_same_words() -> None:
    """However long it took: else each round would be news."""
    said = "fatal: unable to access 'http://h/': Failed to connect to h port 1 after {} ms: Couldn't connect to server"
    assert gist(said.format(3)) == gist(said.format(1032))
    assert "after" not in gist(said.format(3))


def until_said(loop: subprocess.Popen[str], word: str) -> None:
    """Reads the loop's lines until one has the word."""
    assert loop.stdout is not None
    end = time.monotonic() + 60
    while word not in loop.stdout.readline():
        assert time.monotonic() < end


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (Fault(status=429, retry_after=60), 75, "429"),
        (Fault(status=503), 75, "503"),
        (Fault(status=404), 2, "no such repository"),
        (Fault("GET", cut_response=10, after=1), 75, ""),
        (Fault("POST /shop.git/git-receive-pack", cut_request=60), 75, ""),
        (Fault("service=git-receive-pack", status=403), 2, "no permission; asked with token_env SHOP_TOKEN"),
    ],
    ids=["429", "503", "404", "cut", "cut-push", "403-push"],
)
def test_what_a_server_does_and_what_it_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, status: int, said: str
) -> None:
    """75 where waiting helps, 2 where people must mend; nothing moves, and the next round converges."""
    shop = with_token(tmp_path, monkeypatch)
    with GitHost(tmp_path, [BOT]) as host:
        through(shop, host)
        shop.round()
        shop.push("dev", {"web": "2\n"})
        before = shop.origin.refs()
        host.faults.append(fault)
        ended = shop("run", "--sync")
        assert (ended.status, said in ended.err) == (status, True)
        assert BOT.secret not in ended.err + ended.out
        assert shop.origin.refs() == before
        host.faults.clear()
        assert [hop["outcome"] for hop in shop.round()] == ["promoted"]


def test_a_push_that_landed_although_nobody_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is lost, the commit is there: read again, it is one promotion, and it is said as such (S6)."""
    shop = with_token(tmp_path, monkeypatch)
    with GitHost(tmp_path, [BOT]) as host:
        through(shop, host)
        shop.round()
        shop.push("dev", {"web": "2\n"})
        host.faults.append(Fault("POST /shop.git/git-receive-pack", cut_response=-1))
        hops = shop.round()
        assert [(hop["outcome"], hop["commit"]) for hop in hops] == [("promoted", shop.tip("qa"))]
        host.faults.clear()
        shop.round()
        assert shop.events().count("promoted qa") == 1


def test_several_applications_with_tokens_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without its token does not stop the other, and is named."""
    shop = Shop(tmp_path)
    Origin.create(tmp_path / "tools.git", files=WELL)
    monkeypatch.setenv("SHOP_TOKEN", BOT.secret)
    with GitHost(tmp_path, [BOT, Token("tools", "t00ls", write=("*",))]) as host:
        shop.several(shop=host.url("shop"), tools=host.url("tools"))
        for entry, name in zip(shop.top["applications"], ("SHOP_TOKEN", "TOOLS_TOKEN"), strict=True):
            entry["credentials"] = {"token_env": name}
        shop.write()
        said = shop("run", "--sync")
        assert (said.status, "token_env TOOLS_TOKEN: no such variable" in said.err) == (2, True)
        assert [a["application"] for a in shop("--json", "-a", "shop", "status").json["applications"]] == ["shop"]
        monkeypatch.setenv("TOOLS_TOKEN", "t00ls")
        assert shop("run", "--sync").status == 0
        assert {asked.who for asked in host.asked} == {None, "bot", "tools"}
