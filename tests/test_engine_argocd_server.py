"""Applications by Argo CD's own API: what it answers, what it refuses, how many questions, and how it is asked to look."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import argocd
from promotion.engines.argocd import webhook
from promotion.engines.contract import Deployed
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Health, Subject
from tests.support.argocd import NEW, OLD, QA, URL, application, changed
from tests.support.argoserver import TOKEN, ArgoServer, argo_server


@pytest.fixture
def argo() -> Iterator[ArgoServer]:
    with argo_server() as server:
        server.put(application(), application(OLD, "shop-dev"))
        yield server


SUBJECT = replace(QA, environ={"ARGOCD_TOKEN": TOKEN})


def settings(argo: ArgoServer, **more: Any) -> dict[str, Any]:
    base = {"server": argo.url, "token_env": "ARGOCD_TOKEN", "application": "shop-qa"}
    return {key: value for key, value in {**base, **more}.items() if value is not None}


def observed(argo: ArgoServer, subject: Subject = SUBJECT, **more: Any) -> Deployed:
    return argocd.observe(settings(argo, **more), subject)


def refused(argo: ArgoServer, subject: Subject = SUBJECT, **more: Any) -> PromotionError:
    with pytest.raises(PromotionError) as caught:
        observed(argo, subject, **more)
    assert TOKEN not in f"{caught.value} {caught.value.hint}"
    return caught.value


def test_one_application_is_one_question(argo: ArgoServer) -> None:
    deployed = observed(argo)
    assert deployed.reading is not None
    assert (deployed.revision, deployed.reading.health) == (NEW, Health.HEALTHY)
    assert argo.asked == [("GET", "/api/v1/applications/shop-qa", {})]


def test_a_namespace_is_said_when_it_is_written(argo: ArgoServer) -> None:
    observed(argo, namespace="teams")
    assert argo.asked[0][2] == {"appNamespace": "teams"}


def test_a_token_in_a_file(argo: ArgoServer, tmp_path: Path) -> None:
    """It is read again each time."""
    file = tmp_path / "token"
    file.write_text("old\n")
    assert "does not accept the token" in str(refused(argo, token_env=None, token_file=str(file)))
    file.write_text(f"{TOKEN}\n")
    assert observed(argo, token_env=None, token_file=str(file)).revision == NEW


def test_an_expired_token(argo: ArgoServer) -> None:
    error = refused(argo, replace(SUBJECT, environ={"ARGOCD_TOKEN": "another"}))
    assert isinstance(error, ConfigError)
    assert (
        "does not accept the token, if any (401): invalid session: token has invalid claims: token is expired"
        in str(error)
    )
    assert error.hint == "put a valid one into token_env ARGOCD_TOKEN"
    assert "name it as `token_env`" in str(refused(argo, token_env=None).hint)
    assert "no such variable" in str(refused(argo, replace(SUBJECT, environ={})))


def test_no_such_application_did_you_mean(argo: ArgoServer) -> None:
    error = refused(argo, application="shop-qaa")
    assert isinstance(error, ConfigError)
    assert "no such Application `shop-qaa`; did you mean `shop-qa`? (shop-dev, shop-qa)" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            403,
            b'{"message": "permission denied"}',
            ConfigError,
            "may not get Application shop-qa (403), or there is none",
        ),
        (429, b"", TemporaryError, "Argo CD answers 429"),
        (500, b'{"message": "boom"}', TemporaryError, "Argo CD answers 500: boom"),
        (503, b"<html>", TemporaryError, "Argo CD answers 503"),
        (307, b"", ConfigError, "it answers 307, which is not Argo CD's"),
        (200, b"<!doctype html>", TemporaryError, "the answer is not JSON, or was cut off"),
        (200, b"[]", TemporaryError, "the answer is not JSON, or was cut off"),
        (404, b'{"message": 7}', ConfigError, "there is no Application shop-qa"),
    ],
)
def test_refusals_and_nonsense(argo: ArgoServer, status: int, body: bytes, kind: type, words: str) -> None:
    """Whatever is no answer is an error of one line, and never healthy."""
    argo.refused = (status, body)
    error = refused(argo)
    assert isinstance(error, kind)
    assert words in str(error)
    assert str(error).startswith("127.0.0.1:")


def test_an_answer_that_is_cut_off(argo: ArgoServer) -> None:
    argo.cut = True
    assert isinstance(refused(argo), TemporaryError)


def test_a_server_that_is_away(argo: ArgoServer) -> None:
    assert isinstance(refused(argo, server="http://127.0.0.1:1"), TemporaryError)


def test_an_authority_that_is_none(argo: ArgoServer, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nonsense")
    assert "holds no certificate" in str(refused(argo, ca_file=str(tmp_path / "ca.crt")))


# --- several -----------------------------------------------------------------------------------------------------------


def test_several_applications_must_agree(argo: ArgoServer) -> None:
    deployed = observed(argo, application=["shop-qa", "shop-dev", "shop-qa"])
    assert deployed.reading is not None
    assert (deployed.revision, deployed.reading.health) == (NEW, Health.PROGRESSING)
    assert "not all at one commit: shop-qa 1111111, shop-dev 0000000" in deployed.reading.reason
    argo.put(application(name="shop-dev", status__health={"status": "Degraded"}))
    deployed = observed(argo, application=["shop-qa", "shop-dev"])
    assert deployed.reading is not None
    assert (deployed.revision, deployed.reading.health) == (NEW, Health.DEGRADED)
    assert deployed.reading.reason == "shop-dev: its health is Degraded"


def test_by_labels(argo: ArgoServer) -> None:
    argo.put(changed(application(name="web"), metadata__labels={"app": "shop", "stage": "qa"}))
    deployed = observed(argo, application=None, selector={"app": "shop", "stage": "qa"})
    assert deployed.reading is not None
    assert deployed.reading.reason == "web is Synced and Healthy"
    assert argo.asked == [("GET", "/api/v1/applications", {"selector": "app=shop,stage=qa"})]
    error = refused(argo, application=None, selector={"app": "shop", "stage": "q"})
    assert "no Application has the labels app=shop,stage=q" in str(error)


def test_a_fleet_is_one_list(argo: ArgoServer) -> None:
    """By name and by labels; the trouble of one is not that of the others."""
    for number in range(50):
        argo.put(changed(application(name=f"s{number}"), metadata__labels={"app": f"s{number}", "stage": "qa"}))
    argo.put(changed(application(OLD, "s49-dev"), metadata__labels={"app": "s49", "stage": "dev"}))
    asked = [(settings(argo, application=f"s{number}"), SUBJECT) for number in range(49)]
    asked += [(settings(argo, application=None, selector={"app": "s49", "stage": "qa"}), SUBJECT)]
    asked += [(settings(argo, application="s50"), SUBJECT), (settings(argo, application="shop-dev"), SUBJECT)]
    *fine, absent, old = argocd.observe_all(asked)
    said = [(one.revision, one.reading.health) for one in fine if isinstance(one, Deployed) and one.reading]
    assert said == [(NEW, Health.HEALTHY)] * 50
    assert "no such Application `s50`; did you mean" in str(absent)
    assert isinstance(old, Deployed)
    assert old.revision == OLD
    assert argo.asked == [("GET", "/api/v1/applications", {})]


def test_what_a_fleet_cannot_be_asked_about_is_said_of_each(argo: ArgoServer) -> None:
    argo.refused = (500, b"")
    asked = [(settings(argo, application=f"s{number}"), SUBJECT) for number in range(5)]
    assert ["answers 500" in str(answer) for answer in argocd.observe_all(asked)] == [True] * 5
    assert len(argo.asked) == 1


def test_several_places_are_asked_each_for_its_own(argo: ArgoServer) -> None:
    with argo_server() as other:
        other.put(application(OLD))
        asked = [
            (settings(argo), SUBJECT),
            (settings(other), SUBJECT),
            (settings(argo, application="shop-dev"), SUBJECT),
        ]
        answers = argocd.observe_all(asked)
        assert [one.revision for one in answers if isinstance(one, Deployed)] == [NEW, OLD, OLD]


# --- asking it to look -----------------------------------------------------------------------------------------------


def test_by_default_it_is_not_asked_to_look(argo: ArgoServer) -> None:
    argocd.refresh(settings(argo), SUBJECT)
    assert argo.asked == []


def test_a_refresh_by_its_api(argo: ArgoServer) -> None:
    argocd.refresh(settings(argo, refresh="annotate"), SUBJECT)
    assert argo.asked[-1] == ("GET", "/api/v1/applications/shop-qa", {"refresh": "normal"})


def test_a_push_event(argo: ArgoServer) -> None:
    """As a Git host tells of a push; signed when there is a secret, and the secret is nowhere."""
    subject = replace(SUBJECT, repository="git@git.example.com:deploy/shop.git", environ={"HOOK": "very secret"})
    argocd.refresh(settings(argo, refresh="webhook", webhook={"secret_env": "HOOK"}), subject)
    assert argo.asked == [("POST", "/api/webhook", {})]
    ((headers, body),) = argo.pushes
    assert headers["X-GitHub-Event"] == "push"
    signature = hmac.new(b"very secret", body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={signature}"
    said = json.loads(body)
    assert (said["ref"], said["after"]) == ("refs/heads/env/qa", NEW)
    assert said["repository"]["html_url"] == "https://git.example.com/deploy/shop"
    assert said["commits"] == []


def test_a_push_event_that_is_refused(argo: ArgoServer) -> None:
    argo.refused = (400, b"")
    with pytest.raises(ConfigError, match=r"refuses a push event \(400\)"):
        argocd.refresh(settings(argo, refresh="webhook", webhook={"url": f"{argo.url}/hook?token=x"}), SUBJECT)
    assert argo.asked == [("POST", "/hook?token=x", {})]
    with pytest.raises(TemporaryError, match=r"127\.0\.0\.1"):
        argocd.refresh(settings(argo, refresh="webhook", webhook={"url": "http://127.0.0.1:1/"}), SUBJECT)


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        (URL, "https://git.example.com/deploy/shop"),
        ("ssh://git@git.example.com:2222/deploy/shop.git", "https://git.example.com/deploy/shop"),
        ("http://git.example.com:3000/deploy/shop/", "https://git.example.com:3000/deploy/shop"),
    ],
)
def test_pages_of_repositories(repository: str, page: str) -> None:
    assert webhook.page(repository) == page
