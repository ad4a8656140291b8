"""The tests' own Git host: others judge the product by what it lets through and refuses."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git import Origin
from tests.support.http_git import Fault, GitHost, Token, certificate

BOT = Token("bot", "s3cret", write=("env/dev", "promotion/*"))
READER = Token("reader", "r3ad")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """One repository, `shop`, and two tokens."""
    Origin.create(tmp_path / "shop.git")
    with GitHost(tmp_path, [BOT, READER]) as host:
        yield host


def git(*args: str, secret: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """A person's git, with that password."""
    helper = f"!f() {{ echo username=x; echo password={secret}; }}; f" if secret else ""
    command = ["git", "-c", "credential.helper=", *(["-c", f"credential.helper={helper}"] if helper else []), *args]
    environ = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", **more}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


def pushed(host: GitHost, folder: Path, ref: str, secret: str) -> subprocess.CompletedProcess[str]:
    """A new commit on top of dev, pushed to that ref."""
    path = Origin.create(folder / f"work{len(list(folder.iterdir()))}.git", branches=()).path
    git("--git-dir", str(path), "fetch", "-q", host.url("shop"), "env/dev:env/dev", secret=READER.secret)
    commit = Origin(path).commit("env/dev", {"a": "b"})
    return git("--git-dir", str(path), "push", "-q", host.url("shop"), f"{commit}:refs/heads/{ref}", secret=secret)


def test_tokens_are_asked_for(host: GitHost) -> None:
    """None: 401; a wrong one: 401; a right one reads."""
    assert "could not read Username" in git("ls-remote", host.url("shop")).stderr
    assert "Authentication failed" in git("ls-remote", host.url("shop"), secret="wrong").stderr
    assert "refs/heads/env/qa" in git("ls-remote", host.url("shop"), secret=READER.secret).stdout
    answers = [a.status for a in host.asked]
    assert answers[:3] == [401, 401, 401]
    assert (answers[-1], host.asked[-1].who) == (200, "reader")


def test_branches_have_rules(host: GitHost, tmp_path: Path) -> None:
    """Allowed branches move, others are refused by name; who may write nothing gets 403; what is hidden is not there."""
    before = Origin(tmp_path / "shop.git").tip("env/qa")
    assert pushed(host, tmp_path, "env/dev", BOT.secret).returncode == 0
    assert pushed(host, tmp_path, "promotion/shop", BOT.secret).returncode == 0
    assert "bot may not write refs/heads/env/qa" in pushed(host, tmp_path, "env/qa", BOT.secret).stderr
    assert "returned error: 403" in pushed(host, tmp_path, "env/dev", READER.secret).stderr
    assert Origin(tmp_path / "shop.git").tip("env/qa") == before
    host.tokens = [Token("stranger", "x", sees=("other",))]
    assert "not found" in git("ls-remote", host.url("shop"), secret="x").stderr


def test_the_repositorys_own_hooks_run_too(host: GitHost, tmp_path: Path) -> None:
    """After the host's rule."""
    Origin(tmp_path / "shop.git").hook("pre-receive", "#!/bin/sh\necho closed on mondays >&2\nexit 1\n")
    assert "closed on mondays" in pushed(host, tmp_path, "env/dev", BOT.secret).stderr


def test_faults(host: GitHost, tmp_path: Path) -> None:
    """Statuses, redirects, and connections that are cut before and after a push landed; each as often as it says."""
    origin = Origin(tmp_path / "shop.git")
    first = origin.tip("env/dev")
    host.faults.append(Fault("info/refs", status=503, retry_after=3, times=1))
    assert "returned error: 503" in git("ls-remote", host.url("shop"), secret="r3ad").stderr
    assert git("ls-remote", host.url("shop"), secret="r3ad").returncode == 0
    host.faults.append(Fault("POST /shop.git/git-receive-pack", cut_request=100, times=1))
    assert pushed(host, tmp_path, "env/dev", BOT.secret).returncode
    assert origin.tip("env/dev") == first
    host.faults.append(Fault("POST /shop.git/git-receive-pack", cut_response=-1, times=1))
    assert pushed(host, tmp_path, "env/dev", BOT.secret).returncode
    assert origin.tip("env/dev") != first
    host.faults.append(Fault("POST /shop.git/git-upload-pack", cut_response=60, times=1))
    assert git("clone", "-q", "--bare", host.url("shop"), str(tmp_path / "c"), secret="r3ad").returncode
    with GitHost(tmp_path) as other:
        host.faults.append(Fault("info/refs", redirect=other.address))
        assert git("ls-remote", host.url("shop"), secret="r3ad").returncode == 0
        assert other.asked


def test_a_host_goes_and_comes_back(host: GitHost) -> None:
    """At the same port; what stalls ends with it."""
    url = host.url("shop")
    host.stop()
    assert "Failed to connect" in git("ls-remote", url, secret="r3ad").stderr
    host.start()
    assert git("ls-remote", url, secret="r3ad").returncode == 0
    host.tokens, fault = [], Fault("git-upload-pack", stall=10, times=1)
    host.faults.append(fault)
    process = subprocess.Popen(["git", "ls-remote", url], env={"PATH": "/usr/bin:/bin"}, stderr=subprocess.DEVNULL)
    while fault.times and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None
    host.stop()
    assert process.wait(30)


def test_https(tmp_path: Path) -> None:
    """With a certificate that is its own CA."""
    Origin.create(tmp_path / "shop.git")
    cert, key = certificate(tmp_path / "tls")
    with GitHost(tmp_path, tls=(cert, key)) as host:
        assert git("ls-remote", host.url("shop")).returncode
        assert git("ls-remote", host.url("shop"), GIT_SSL_CAINFO=str(cert)).returncode == 0
