"""`trust` of environments.yaml: a file of keys, the names in it, and groups of them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from promotion import config
from promotion.config.trust import findings, in_force, of, principals
from promotion.errors import ConfigError

KEYS = """\
# who may
bot@example.com ssh-ed25519 AAAAbot
ann@example.com namespaces="git,file" valid-before="20270101" ssh-ed25519 AAAAann
"bob@example.com" ssh-ed25519 AAAAbob
al@example.com,albert@example.com ssh-ed25519 AAAAal
*@example.com cert-authority ssh-ed25519 AAAAca
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "signers").write_text(KEYS)
    (tmp_path / "empty").write_text("# nobody\n")
    return tmp_path / "environments.yaml"


def loaded(file: Path, trust: object) -> config.Pipeline:  # type: ignore[name-defined]
    dev = {"name": "dev", "branch": "env/dev", "health": "none", "engine": {"type": "directory", "path": "d"}}
    file.write_text(yaml.safe_dump({"version": 1, "repository": "r.git", "trust": trust, "environments": [dev]}))
    return config.load(file)


def test_names_stand_alone_on_a_line() -> None:
    """Lists and patterns name nobody in particular; options may hold spaces and commas."""
    assert principals(KEYS.encode()) == ["bot@example.com", "ann@example.com", "bob@example.com"]


def test_trust_is_in_force_with_the_sum_of_the_keys(file: Path) -> None:
    """So that a process with other keys is stopped as one with other gates is."""
    trust = {"allowed_signers": "signers", "orchestrators": ["bot@example.com"], "approvers": ["ann@example.com"]}
    (app,) = loaded(file, trust).applications
    assert app.trust is not None
    assert app.trust.signers == KEYS.encode()
    assert app.in_force["trust"] == {**trust, "allowed_signers": sha256(KEYS.encode()).hexdigest()}
    (file.parent / "signers").write_text(KEYS + "\n")
    assert config.load(file).applications[0].in_force != app.in_force


def test_groups_are_expanded(file: Path) -> None:
    data = {
        "trust": {"allowed_signers": "signers", "orchestrators": ["bot@example.com"], "approvers": ["team"]},
        "groups": {"team": ["Ann@example.com", "bob@example.com"]},
    }
    assert list(findings(data, file.parent)) == []
    trust = of(data, file.parent)
    assert trust is not None
    assert trust.approvers == ("ann@example.com", "bob@example.com")
    assert in_force(trust)["approvers"] == list(trust.approvers)


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        ({"orchestrators": ["bot@example.com"]}, "$.trust.allowed_signers: missing"),
        ({"allowed_signers": "signers"}, "$.trust.orchestrators: missing"),
        ({"allowed_signers": "signers", "orchestrators": []}, "$.trust.orchestrators: empty"),
        ({"allowed_signers": "signer", "orchestrators": ["b"]}, "$.trust.allowed_signers: no such file `signer`"),
        ({"allowed_signers": ".", "orchestrators": ["b"]}, "`.` cannot be read: is a directory"),
        ({"allowed_signers": "empty", "orchestrators": ["b"]}, "no key in it"),
        (
            {"allowed_signers": "signers", "orchestrators": ["bit@example.com"]},
            "$.trust.orchestrators[0]: no principal of allowed_signers `bit@example.com`; did you mean `bot@example.com`",
        ),
        ({"allowed_signers": "signers", "orchestrators": ["al@example.com"]}, "no principal of allowed_signers"),
        (
            {"allowed_signers": "signers", "orchestrators": ["bot@example.com"], "approvers": ["team"]},
            "$.trust.approvers[0]: no principal of allowed_signers `team`",
        ),
        (
            {"allowed_signers": "signers", "orchestrators": ["bot@example.com"], "aprovers": ["x"]},
            "did you mean `approvers`",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(file: Path, trust: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(file, trust)
    assert [said in line for line in caught.value.problems] == [True], caught.value.problems


def test_groups_that_do_not_fit(file: Path) -> None:
    """An unknown one, one as an orchestrator, and a member without a key."""
    keys = {"allowed_signers": "signers", "orchestrators": ["team"], "approvers": ["taem", "team"]}
    data = {"trust": keys, "groups": {"team": ["bob@example.com", "eve@example.com"]}}
    said = {".".join(map(str, f.steps)): f.text for f in findings(data, file.parent)}
    assert said["trust.orchestrators.0"].startswith("a group, and only a key may be an orchestrator: `team`")
    assert said["trust.approvers.0"].startswith("no principal of allowed_signers, nor a group, `taem`")
    assert said["trust.approvers.1"] == "`eve@example.com` of group `team` has no key in allowed_signers"
