"""Who we are for a cluster, and how it is found: kubeconfigs, service accounts, programs that sign in."""

from __future__ import annotations

import base64
import datetime
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.kube import Cluster, DeniedError, connect
from promotion.kube.access import Access, read
from promotion.kube.connection import Connection
from promotion.kube.credentials import current
from tests.support.kubestub import KubeStub

CONTEXT = {"context": "stub"}


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    """A server that speaks TLS and knows the token `good`."""
    with KubeStub(tmp_path) as stub:
        yield stub


def asked(stub: KubeStub, environ: dict[str, str] | None = None, **user: Any) -> list[str | None]:
    """What the server is shown by a user of a kubeconfig like that."""
    path = stub.kubeconfig("-".join(user), **user)
    connect({**CONTEXT, "kubeconfig": str(path)}, environ or {}).kinds()
    return [each.authorization for each in stub.asked]


def account(folder: Path, stub: KubeStub, token: str = "good") -> tuple[dict[str, str], Path]:
    """The files of a pod, and its variables."""
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(stub.certificate.read_bytes())
    (folder / "namespace").write_text("team\n")
    host, _, port = stub.address.removeprefix("https://").partition(":")
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}, folder


# --- which cluster ---------------------------------------------------------------------------------------------------


def test_the_file_that_is_named_then_the_variable_then_the_home(stub: KubeStub, tmp_path: Path) -> None:
    """Several files of the variable count together, and the first that has a name wins."""
    path = stub.kubeconfig("mine", namespace="first")
    (tmp_path / ".kube").mkdir()
    stub.kubeconfig(".kube/config", namespace="home")
    other = stub.kubeconfig("other", namespace="second")
    other.write_text(other.read_text().replace("name: stub", "name: more"))
    both = {"KUBECONFIG": f"{tmp_path}/none:{path}:{other}", "HOME": str(tmp_path)}
    assert read(CONTEXT, both).namespace == "first"
    assert read({"context": "more"}, both).namespace == "second"
    assert read(CONTEXT, {"HOME": str(tmp_path)}).namespace == "home"
    assert read({"context": "more", "kubeconfig": str(other)}, both).namespace == "second"


def test_a_context_is_never_guessed(stub: KubeStub, tmp_path: Path) -> None:
    """Without one only a pod's own cluster counts, and never what happens to be current on a laptop."""
    path = stub.kubeconfig("mine")
    path.write_text(path.read_text() + "current-context: stub\n")
    with pytest.raises(ConfigError, match=r"not in a cluster: name a `context` \(stub\)"):
        connect({}, {"KUBECONFIG": str(path)})
    with pytest.raises(ConfigError, match=r"not in a cluster: name a `context`$"):
        connect({}, {"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"mine: no such context `stob`; did you mean `stub`\? \(stub\)"):
        connect({"context": "stob"}, {"KUBECONFIG": str(path)})
    with pytest.raises(ConfigError, match=r"\.kube/config: there is no such kubeconfig"):
        connect(CONTEXT, {"HOME": str(tmp_path)})
    assert not stub.asked


WRONG: list[tuple[Any, str]] = [
    ("a: [", "is not YAML"),
    ("[]", "is not a kubeconfig"),
    ("contexts: [{}]", "is not a kubeconfig"),
    ({"user": {"auth-provider": {"name": "gcp"}}}, "`auth-provider` is not known here"),
    ({"user": {"as": "root"}}, "`as` is not known here"),
    ({"cluster": {"proxy-url": "http://proxy.example.com"}}, "`proxy-url` is not known here"),
    ({"cluster": {"server": ""}}, "has no server's address"),
    ({"context": {"cluster": "x"}}, "names cluster `x`, which is not there"),
    ({"context": {"user": "x"}}, "names user `x`, which is not there"),
    ({"cluster": {"certificate-authority-data": "?"}}, "cannot be read"),
    ({"cluster": {"certificate-authority": "none.pem"}}, "none.pem: no such file or directory"),
    ({"user": {"exec": {"args": []}}}, "cannot be read"),
    ({"user": {"exec": {"command": "x", "env": [{"name": "A"}]}}}, "cannot be read"),
    ({"cluster": {"insecure-skip-tls-verify": "false"}}, "cannot be read"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_is_wrong_with_a_kubeconfig(wrong: Any, said: str, tmp_path: Path) -> None:
    """Where and what; and nobody is somebody else because a way to sign in is not known."""
    path = tmp_path / "config"
    if isinstance(wrong, str):
        path.write_text(wrong)
    else:
        cluster = {"server": "https://127.0.0.1:1", **wrong.get("cluster", {})}
        context = {"cluster": "c", "user": "u", **wrong.get("context", {})}
        written = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": wrong.get("user", {})}],
            "contexts": [{"name": "stub", "context": context}],
        }
        path.write_text(yaml.safe_dump(written))
    with pytest.raises(ConfigError, match=said) as raised:
        connect({**CONTEXT, "kubeconfig": str(path)}, {})
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_pods_own_cluster(stub: KubeStub, tmp_path: Path) -> None:
    """By its service account, whose token is read again when it has changed."""
    environ, folder = account(tmp_path / "account", stub)
    cluster = Cluster(Connection(lambda: read({}, environ, folder), environ))
    cluster.kinds()
    assert cluster.namespace == "team"
    stub.tokens = {"renewed, and longer"}
    (folder / "token").write_text("renewed, and longer")
    cluster.kinds()
    assert [each.authorization for each in stub.asked] == ["Bearer good"] * 2 + ["Bearer renewed, and longer"] * 2
    (folder / "token").unlink()
    with pytest.raises(ConfigError, match="token: no such file"):
        cluster.kinds()
    cluster.close()
    assert read({}, {**environ, "KUBERNETES_SERVICE_HOST": "::1"}, account(tmp_path / "b", stub)[1]).server.startswith(
        "https://[::1]:"
    )


def test_a_pod_without_an_account_has_no_cluster(tmp_path: Path) -> None:
    """Variables alone are no cluster of ours."""
    with pytest.raises(ConfigError, match="not in a cluster"):
        read({}, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "HOME": str(tmp_path)}, tmp_path)


# --- who we are ------------------------------------------------------------------------------------------------------


def test_tokens(stub: KubeStub, tmp_path: Path) -> None:
    """Of the file itself, of another file beside it, and none."""
    assert set(asked(stub, token="good")) == {"Bearer good"}
    stub.asked.clear()
    (tmp_path / "secret").write_text("good\n")
    assert set(asked(stub, tokenFile="secret", token="other")) == {"Bearer good"}


def test_names_and_passwords(stub: KubeStub) -> None:
    """As some put in front of their servers; no user at all is a right way, too."""
    stub.tokens = {"Basic " + base64.b64encode(b"bob:secret").decode()}
    assert asked(stub, username="bob", password="secret")
    stub.tokens = {"Basic " + base64.b64encode(b"bob:123").decode()}
    assert asked(stub, username="bob", password=123)
    stub.tokens = set()
    stub.asked.clear()
    assert set(asked(stub, unknown="x")) == {None}


def test_client_certificates(tmp_path: Path) -> None:
    """Inline and in files beside the kubeconfig; one that fits to no key is an error of the file."""
    with KubeStub(tmp_path, tokens=set(), mutual=True) as stub:
        cert, key = stub.certificate, stub.certificate.with_name("host.key")
        inline = {
            name: base64.b64encode(path.read_bytes()).decode() for name, path in (("certificate", cert), ("key", key))
        }
        assert asked(stub, **{f"client-{name}-data": data for name, data in inline.items()})
        beside = {"client-certificate": "tls/host.crt", "client-key": "tls/host.key"}
        path = stub.kubeconfig("files", **beside)
        assert connect({**CONTEXT, "kubeconfig": str(path)}, {}).kinds()
        path = stub.kubeconfig("none", token="x")
        with pytest.raises(PromotionError):
            connect({**CONTEXT, "kubeconfig": str(path)}, {}).kinds()
        path = stub.kubeconfig("half", **{"client-certificate": "tls/host.crt", "client-key": "tls/host.crt"})
        with pytest.raises(ConfigError, match="a certificate or key in it is not valid"):
            connect({**CONTEXT, "kubeconfig": str(path)}, {}).kinds()


def test_a_401_is_asked_again_once_with_what_stands_there_now(stub: KubeStub) -> None:
    """Another process may have renewed the file; when it does not help, that is said once."""
    path = stub.kubeconfig("mine", token="old")
    cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {})
    stub.kubeconfig("mine", token="good")
    assert cluster.kinds()
    assert [each.authorization for each in stub.asked] == ["Bearer old", "Bearer good", "Bearer good"]
    stub.tokens = {"other"}
    stub.asked.clear()
    with pytest.raises(DeniedError, match=r"the credentials are not accepted \(401\); expired, or") as raised:
        cluster.kinds()
    assert len(stub.asked) == 2
    assert raised.value.hint == "they come from context `stub`"


def test_a_server_that_has_moved_is_found_when_it_is_not_trusted(tmp_path: Path) -> None:
    """What vouches for it is read again."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with KubeStub(tmp_path / "a") as before, KubeStub(tmp_path / "b") as after:
        path = tmp_path / "config"
        path.write_text(before.kubeconfig().read_text().replace(before.address, after.address))
        cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {})
        path.write_text(after.kubeconfig().read_text())
        assert cluster.kinds()


# --- programs that sign in ------------------------------------------------------------------------------------------


def program(folder: Path, body: str) -> dict[str, Any]:
    """`exec` of a kubeconfig: a script that counts its runs."""
    path = folder / "signin"
    path.write_text(f'#!/bin/sh\necho x >>"{folder}/runs"\n{body}\n')
    path.chmod(0o755)
    return {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./signin", "interactiveMode": "Never"}
    }


def credential(until: str | None = None, **status: Any) -> str:
    status |= {"expirationTimestamp": until} if until else {}
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"echo {shlex.quote(json.dumps(said))}"


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().split())


def test_a_programs_token_is_kept_until_it_ends(stub: KubeStub, tmp_path: Path) -> None:
    """A thousand questions, one run; one that ends soon is asked for again; so is one that is not accepted."""
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = stub.kubeconfig("mine", **program(tmp_path, credential(later, token="good")))
    cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {"PATH": "/usr/bin:/bin"})
    for _ in range(5):
        cluster.kinds()
    assert runs(tmp_path) == 1
    program(tmp_path, credential(token="better"))
    stub.tokens = {"better"}
    cluster.kinds()
    assert runs(tmp_path) == 2
    access = read({**CONTEXT, "kubeconfig": str(path)}, {})
    environ = {"PATH": "/usr/bin:/bin"}
    program(tmp_path, credential("2026-01-01T10:00:00Z", token="short"))
    kept = current(access, environ, None)
    at = datetime.datetime(2026, 1, 1, 9, 59, 20, tzinfo=datetime.UTC)
    assert current(access, environ, kept, lambda: at) is kept
    assert current(access, environ, kept, lambda: at + datetime.timedelta(seconds=15)) is not kept


def test_many_threads_sign_in_once(stub: KubeStub, tmp_path: Path) -> None:
    """When a token ends under all of them, too."""
    path = stub.kubeconfig("mine", **program(tmp_path, credential(token="good")))
    cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {"PATH": "/usr/bin:/bin"})
    barrier = threading.Barrier(8)

    def ask(_: int) -> int:
        barrier.wait(30)
        return len(cluster.kinds())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
        assert runs(tmp_path) == 1
        program(tmp_path, credential(token="better"))
        stub.tokens = {"better"}
        assert all(pool.map(ask, range(8)))
    assert runs(tmp_path) == 2


def test_what_a_program_is_told(stub: KubeStub, tmp_path: Path) -> None:
    """Its arguments and variables, ours, and the cluster where it asks for it."""
    body = f'env >"{tmp_path}/env"; echo "$@" >"{tmp_path}/args"\n' + credential(token="good")
    user = program(tmp_path, body)
    user["exec"] |= {"args": ["a", 1], "env": [{"name": "ROLE", "value": "r"}], "provideClusterInfo": True}
    assert asked(stub, {"PATH": "/usr/bin:/bin", "OURS": "o"}, **user)
    variables = (tmp_path / "env").read_text().splitlines()
    assert {"ROLE=r", "OURS=o"} <= set(variables)
    told = json.loads(next(v for v in variables if v.startswith("KUBERNETES_EXEC_INFO=")).partition("=")[2])
    assert told["spec"]["interactive"] is False
    assert told["spec"]["cluster"]["server"] == stub.address
    assert (tmp_path / "args").read_text() == "a 1\n"


PROGRAMS: list[tuple[str, type[PromotionError], str]] = [
    ("echo hello", ConfigError, "what signin says is no credential"),
    ("echo '{}'", ConfigError, "what signin says is no credential"),
    (credential(), ConfigError, "what signin says is no credential"),
    (credential("yesterday", token="x"), ConfigError, "what signin says is no credential"),
    ("echo log in first >&2; exit 3", TemporaryError, "signin failed: log in first"),
    ("exit 3", TemporaryError, "signin failed: exit 3"),
]


@pytest.mark.parametrize(("body", "error", "said"), PROGRAMS)
def test_programs_that_fail(body: str, error: type[PromotionError], said: str, stub: KubeStub, tmp_path: Path) -> None:
    """The first line that they say, and never what they print."""
    with pytest.raises(error, match=f"context `stub`: {said}"):
        asked(stub, {"PATH": "/usr/bin:/bin"}, **program(tmp_path, body))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": "./none"}, "cannot start none: no such file or directory"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "`exec` of version .*v1alpha1 is not known here"),
        ({"interactiveMode": "Always"}, "wants to ask a person"),
    ],
)
def test_programs_that_cannot_be(change: dict[str, str], said: str, stub: KubeStub, tmp_path: Path) -> None:
    """They are not started."""
    user = program(tmp_path, credential(token="good"))
    user["exec"] |= {"installHint": "see the manual", **change}
    with pytest.raises(ConfigError, match=said):
        asked(stub, **user)
    assert not (tmp_path / "runs").exists()


def test_access_is_never_shown() -> None:
    """A value that is printed by chance holds no secret."""
    access = Access("https://127.0.0.1", "x", token="canary", login=("bob", "canary"), client=("canary", "canary"))
    assert "canary" not in repr(access)
    assert "canary" not in repr(current(access, {}, None))


def test_status_without_kubernetes_loads_none_of_it(tmp_path: Path) -> None:
    """Neither the web nor the insides of kube."""
    config = {
        "version": 1,
        "name": "shop",
        "repository": "https://git.example.com/shop.git",
        "environments": [
            {"name": "dev", "branch": "dev", "health": "none", "engine": {"type": "directory", "path": "dev"}}
        ],
    }
    (tmp_path / "environments.yaml").write_text(json.dumps(config))
    code = (
        "import sys\n"
        "from promotion.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'httpx', 'httpcore', 'celpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "validate"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
