"""environments.yaml: what `metric` and `kubernetes` are asked with, and everything that can be wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from promotion.model import Spec
from tests.support.written import dump, env, file, parse, wrong

ONE = "$.environments[0].health[0]"
METRIC = {"type": "metric", "server": "http://prometheus.example", "query": "sum(rate(e[5m]))", "expect": "< 0.01"}
OBJECTS = {"type": "kubernetes", "namespace": "shop", "objects": ["deployment/shop"]}


def check(**more: Any) -> dict[str, Any]:
    return file(env(health=[{key.rstrip("_"): value for key, value in more.items() if value is not None}]))


def metric(**more: Any) -> dict[str, Any]:
    return check(**METRIC | more)


def objects(**more: Any) -> dict[str, Any]:
    return check(**OBJECTS | more)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (metric(server=None), "server: missing"),
        (metric(server="prometheus:9090"), "server: not an address (http://, https://)"),
        (metric(server="http://u:p@h"), "server: an address must not hold a password"),
        (metric(server="http://h/?a=b"), "server: a server's address has no `?` and no `#`: the question is asked by `query`"),
        (metric(server="http://h/api/v1/query"), "server: write what comes before `/api/v1`"),
        (metric(query=""), "query: empty: at least one character is needed"),
        (metric(query=" \n"), "query: empty: write PromQL that gives a number, such as `sum(rate(errors_total[5m]))`"),
        (metric(query="sum(rate(e[5m])"), "query: not PromQL: `(` is not closed"),
        (metric(query="sum(e[5m)])"), "query: not PromQL: `)` closes nothing"),
        (metric(query="e}"), "query: not PromQL: `}` closes nothing"),
        (metric(query='e{a="b}'), 'query: not PromQL: `"` is not closed'),
        (metric(query='e{a="b\\"}'), 'query: not PromQL: `"` is not closed'),
        (metric(query="x" * 4001), "query: longer than 4000 characters"),
        (metric(query='e{a="{version}"}'), "query: no placeholder `{version}` ({application}, {environment}, "
                                           "{revision})"),
        (metric(server="http://{revision}"), "server: no placeholder `{revision}` ({application}, {environment})"),
        (metric(expect="0.01"), "expect: an operator is missing: write an operator (<, <=, >, >=, ==, !=) and a number, "
                                "such as `< 0.01`"),
        (metric(expect=5), "expect: `5` is read by YAML as the number 5, but a text belongs here: write \"5\" in quotes"),
        (metric(for_="0s"), "for: `0s` is not a duration of at least 1s: write 90s, 15m, 2h or 3d"),
        (metric(for_="169h"), "for: 169h is too long to be asked about: 7d at most"),
        (metric(token_env="A", token_file="b"), "token_file: `token_env` and `token_file` both: write one of them"),
        (metric(token_env="PATH"), "token_env: `PATH` is handed to every program that is started: a token needs a variable "
                                   "of its own"),
        (metric(token_env="x y"), "token_env: not the name of a variable: letters, digits and `_`, such as "
                                  "PROMETHEUS_TOKEN, and never the token"),
        (metric(token_file="~/t"), "token_file: `~` is not filled in here: write the whole path"),
        (metric(ca_file="ca.pem"), "ca_file: only an https:// server shows a certificate"),
        (objects(namespace=None), "namespace: missing"),
        (objects(objects=[]), "objects: empty: at least one entry is needed"),
        (objects(objects=["shop"]), "objects[0]: `shop` names no object: write `deployment/shop`, "
                                    "`rollouts.argoproj.io/shop` or `apps/v1/Deployment/shop`"),
        (objects(kubeconfig="~/.kube/config"), "kubeconfig: `~` is not filled in here: write the whole path"),
        (objects(selector="a=b"), "selector: unknown key; allowed: type, context, kubeconfig, namespace, objects, for, timeout"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_clear_line(value: dict[str, Any], problem: str) -> None:
    """Where, what, what is allowed."""
    assert wrong(value) == [f"{ONE}.{problem}"]


@pytest.mark.parametrize(
    "query",
    ["up", "vector(0)", 'a{b=~"x{2}[)"}', "a{b='\"'}", r'a{b="\\"}', r'a{b="\""}', "a{b=`\\`}", 'a{b="{revision}"}'],
)
def test_queries_with_quotes_and_brackets(query: str) -> None:
    """What stands in quotes closes and opens nothing."""
    parse(dump(metric(query=query)))


def test_as_a_gate() -> None:
    """By the same rules, said at the gate."""
    gates = [METRIC | {"expect": "1"}, OBJECTS | {"objects": ["x"]}]
    (first, second) = wrong(file(env(), env("qa", from_="dev", gates=gates)))
    assert first.startswith("$.environments[1].gates[0].expect: an operator is missing")
    assert second.startswith("$.environments[1].gates[1].objects[0]: `x` names no object")


def test_files_are_relative_to_the_file_and_words_are_filled_in() -> None:
    """The revision is filled in when it is known."""
    asked = METRIC | {"server": "https://p.example", "ca_file": "ca.pem", "token_file": "run/token"}
    asked |= {"query": 'e{app="{application}",env="{environment}",rev="{revision}"}'}
    looked = OBJECTS | {"kubeconfig": "conf/kube", "namespace": "{application}-{environment}"}
    (environment,) = parse(dump(file(env(health=[asked, looked])))).applications[0].environments
    assert environment.health == (
        Spec(
            "metric",
            {
                "server": "https://p.example",
                "query": 'e{app="shop",env="dev",rev="{revision}"}',
                "expect": "< 0.01",
                "ca_file": "/srv/conf/ca.pem",
                "token_file": "/srv/conf/run/token",
            },
        ),
        Spec(
            "kubernetes",
            {"kubeconfig": "/srv/conf/conf/kube", "namespace": "shop-dev", "objects": ["deployment/shop"]},
        ),
    )
