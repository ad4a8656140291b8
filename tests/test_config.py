"""environments.yaml -> Pipeline: what it becomes, and everything that can be wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from promotion import config
from promotion.errors import ConfigError
from promotion.model import Pipeline, Schedule, Spec, Verify
from promotion.texts import duration
from tests.support.written import FILE, damaged, dump, env, file, parse, wrong

ROOT = Path(__file__).resolve().parent.parent


# --- what it becomes ------------------------------------------------------------------------------------------------

WHOLE = """
version: 1
applications:
  - repository: https://git.example.com/deploy/shop.git
  - {name: billing, repository: ../git/platform.git, ledger: ledgers/billing}
heartbeat: 5m
environments:
  - name: prod
    from: dev
    branch: "{application}/prod"
    auto: false
    engine: {type: directory, path: "out/{application}-{environment}", keep: 3, reload: [systemctl, reload, "{application}"]}
    health: none
    gates:
      - {type: soak, for: 2h}
      - {type: window, allow: Mon-Fri 09:00-16:00, except: [2026-12-24, 2026-12-31..2027-01-02]}
      - {type: http, url: "https://{environment}.example.com/ready"}
    protect: [overlays/prod/**]
    strategy: merge
    verify: {within: 30m, on_timeout: hold}
    dwell: 10s
    schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}
  - name: dev
    branch: "{application}/dev"
    engine: {type: directory, path: "/srv/dev/{application}"}
    health:
      - {type: http, url: "https://{application}.{environment}.example.com/healthz", expect_json: {up: true}}
      - {type: command, command: [probe, "{a b}", '{"x": 1}', "-n"]}
"""


@pytest.fixture
def whole() -> Pipeline:
    return parse(WHOLE)


def test_applications(whole: Pipeline) -> None:
    """Name and ledger by default; relative paths are relative to the file."""
    assert [(a.name, a.repository, a.ledger) for a in whole.applications] == [
        ("shop", "https://git.example.com/deploy/shop.git", "refs/heads/promotion/shop"),
        ("billing", "/srv/git/platform.git", "refs/heads/ledgers/billing"),
    ]
    assert [a.heartbeat for a in whole.applications] == [timedelta(minutes=5)] * 2
    assert whole.path == FILE


def test_an_environment_with_everything(whole: Pipeline) -> None:
    """Settings stay plain values, with placeholders filled and no defaults; sources come first."""
    assert [e.name for e in whole.applications[1].environments] == ["dev", "prod"]
    prod = whole.applications[1].environment("prod")
    assert (prod.source, prod.branch, prod.ref, prod.auto) == ("dev", "billing/prod", "refs/heads/billing/prod", False)
    reload = ["systemctl", "reload", "billing"]
    assert prod.engine == Spec("directory", {"path": "/srv/conf/out/billing-prod", "keep": 3, "reload": reload})
    assert prod.health == ()
    assert prod.gates == (
        Spec("soak", {"for": "2h"}),
        Spec("window", {"allow": "Mon-Fri 09:00-16:00", "except": ["2026-12-24", "2026-12-31..2027-01-02"]}),
        Spec("http", {"url": "https://prod.example.com/ready"}),
    )
    assert prod.protect == ("overlays/prod/**",)
    assert prod.verify == Verify(timedelta(minutes=30), on_timeout="hold")
    assert prod.dwell == timedelta(seconds=10)
    assert prod.schedule == Schedule("0 9 * * *", "Europe/Berlin")


def test_defaults(whole: Pipeline) -> None:
    """What is not written; braces that are no placeholders stay."""
    dev = whole.applications[0].environment("dev")
    assert (dev.source, dev.auto, dev.gates, dev.protect, dev.schedule) == (None, True, (), (), None)
    assert (dev.verify, dev.dwell) == (Verify(), timedelta(0))
    assert dev.engine == Spec("directory", {"path": "/srv/dev/shop"})
    assert dev.health == (
        Spec("http", {"url": "https://shop.dev.example.com/healthz", "expect_json": {"up": True}}),
        Spec("command", {"command": ["probe", "{a b}", '{"x": 1}', "-n"]}),
    )
    plain = parse(dump(file())).applications[0]
    assert (plain.name, plain.heartbeat, plain.ledger) == ("shop", timedelta(minutes=10), "refs/heads/promotion/shop")


def test_programs_of_an_engine() -> None:
    """A relative path is relative to the file; a name is found on PATH, and arguments stay as they are."""
    made = parse(dump(file(env(engine=COMMAND, health="engine"), env("b", engine=COMMAND | {"deploy": ["/a/../b"]}))))
    one, two = made.applications[0].environments
    programs = {"deploy": ["/srv/conf/bin/deploy", "dev"], "observe": ["ask", "a/b"]}
    assert (one.engine, one.engine_says, one.health) == (Spec("command", programs), True, ())
    assert (two.engine.settings["deploy"], two.engine_says) == (["/b"], False)


def test_the_deciding_keys_are_those_written(whole: Pipeline) -> None:
    """Adding a default later must change no plan_id; engine, schedule and dwell decide nothing about a plan."""
    prod, dev = (whole.applications[1].environment(name).deciding for name in ("prod", "dev"))
    assert prod.keys() == {"repository", "branch", "from", "strategy", "protect", "gates", "health", "verify"}
    assert (prod["repository"], prod["branch"], prod["from"]) == ("../git/platform.git", "billing/prod", "dev")
    assert prod["health"] == "none"
    assert prod["gates"][2] == {"type": "http", "url": "https://prod.example.com/ready"}
    assert prod["verify"] == {"within": "30m", "on_timeout": "hold"}
    assert dev.keys() == {"repository", "branch", "health"}
    assert dev["health"][0]["url"] == "https://billing.dev.example.com/healthz"


def test_the_configuration_in_force(whole: Pipeline) -> None:
    """The deciding keys, dwell, auto and the heartbeat, as one JSON document."""
    in_force = whole.applications[1].in_force
    assert json.loads(json.dumps(in_force)) == in_force
    assert in_force["heartbeat"] == "5m"
    prod, dev = (whole.applications[1].environment(name) for name in ("prod", "dev"))
    assert in_force["environments"] == {
        "prod": {**prod.deciding, "dwell": "10s", "auto": False},
        "dev": dict(dev.deciding),
    }
    assert parse(dump(file())).applications[0].in_force["heartbeat"] == "10m"


def test_sources_come_first_and_else_the_order_of_the_file() -> None:
    """So that one round can go through them in this order."""
    stages = [env("c", from_="b"), env("x"), env("b", from_="a"), env("a"), env("d", from_="x")]
    assert [e.name for e in parse(dump(file(*stages))).applications[0].environments] == ["x", "a", "b", "c", "d"]


@pytest.mark.parametrize("ledger", ["refs/promotion/shop", "refs/heads/audit", "audit"])
def test_a_ledger_of_another_name(ledger: str) -> None:
    """A branch, or a whole ref."""
    ref = ledger if ledger.startswith("refs/") else "refs/heads/audit"
    assert parse(dump(file(ledger=ledger))).applications[0].ledger == ref


def test_a_root_may_protect_merge_and_dwell() -> None:
    """They say something about a root too."""
    (made,) = (
        parse(dump(file(env(protect=["{environment}"], strategy="merge", dwell="0s")))).applications[0].environments
    )
    assert made.protect == ("{environment}",)  # no placeholder here: a literal path
    assert made.deciding["protect"] == ["{environment}"]


def test_shorter_than_a_verification() -> None:
    """Dwell and grace may be anything below `within`; on a root nothing is verified, and a dwell may be long."""
    parse(dump(hop(dwell="14m59s", verify={"grace": "14m59s"})))
    parse(dump(hop(dwell="1h", verify={"within": "61m", "grace": "1h"})))
    parse(dump(root(dwell="2d")))


def test_the_file_of_this_repository() -> None:
    """The one that people copy, and that `make demo` runs on."""
    (shop,) = config.load(ROOT / "environments.yaml").applications
    assert shop.name == "shop"
    assert [(e.name, e.source) for e in shop.environments] == [("dev", None), ("qa", "dev"), ("prod", "qa")]
    assert {Path(e.engine.settings["path"]) for e in shop.environments} == {
        ROOT / ".demo" / name for name in ("dev", "qa", "prod")
    }
    assert len((ROOT / "environments.yaml").read_text().splitlines()) < 60


# --- what can be wrong ----------------------------------------------------------------------------------------------


def test_all_problems_at_once_each_with_its_place() -> None:
    """The lines of mocks.md: of an unknown key the key's place, else the value's; the file as the user named it."""
    text = (
        "version: 1\nrepository: shop.git\nenvironments:\n"
        "  - name: dev\n    branch: env/dev\n    health: none\n    engine: {type: directory, path: a}\n    dwel: 5s\n"
        "  - name: qa\n    branch: env/qa\n    health: none\n    engine: {type: directory, path: b}\n    from: dve\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.parse(text.encode(), Path("environments.yaml"))
    assert caught.value.problems == (
        "environments.yaml:8:5: $.environments[0].dwel: unknown key; did you mean `dwell`?",
        "environments.yaml:13:11: $.environments[1].from: no environment `dve`; did you mean `dev`? (dev)",
    )
    assert str(caught.value) == "environments.yaml: 2 errors"


DIRECTORY = {"type": "directory", "path": "x"}
COMMAND = {"type": "command", "deploy": ["bin/deploy", "{environment}"], "observe": ["ask", "a/b"]}
ONE = "$.environments[0]"
TWO = "$.environments[1]"
NO_DURATION = "is not a duration: write 90s, 15m, 2h or 3d"


def root(**more: Any) -> dict[str, Any]:
    """A file with one environment, with these keys."""
    return file(env(**more))


def hop(**more: Any) -> dict[str, Any]:
    """A file with dev and qa, with these keys on qa."""
    return file(env(), env("qa", **({"from_": "dev"} | more)))


def check(**more: Any) -> dict[str, Any]:
    """A file with one health check."""
    return root(health=[more])


def gate(**more: Any) -> dict[str, Any]:
    """A file with one gate."""
    return hop(gates=[more])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        # the top
        ({}, "$.environments: missing"),
        ("[]", "$: a mapping belongs here, not a list"),
        ("just text", "$: a mapping belongs here, not the text `just text`"),
        ("---\n", "$: a mapping belongs here, not nothing"),
        (file(version=2), "$.version: the number 1 belongs here, not the number 2"),
        (file(version="1"), "$.version: the number 1 belongs here, not the text `1`"),
        (file(version=True), "$.version: the number 1 belongs here, not true"),
        (file(version=None), "$.version: missing: write `version: 1`"),
        (file(grups={}), "$.grups: unknown key; did you mean `groups`?"),
        (file(people={}), "$.people: unknown key; allowed: version, repository, paths, name, ledger, "
                          "credentials, applications, heartbeat, environments, groups, approvers, overrides, trust, health_rules"),
        (file(heartbeat="0s"), "$.heartbeat: `0s` is not a duration of at least 1s: write 90s, 15m, 2h or 3d"),
        (file(heartbeat="0m0s"), "$.heartbeat: `0m0s` is not a duration of at least 1s: write 90s, 15m, 2h or 3d"),
        (file(environments=[]), "$.environments: empty: at least one entry is needed"),
        (file(environments={"dev": 1}), "$.environments: a list belongs here, not a mapping"),
        (file(environments=["dev"]), "$.environments[0]: a mapping belongs here, not the text `dev`"),
        # applications
        (file(repository=None), "$.repository: missing: write where it is, or a list of `applications`"),
        (file(repository=""), "$.repository: empty: at least one character is needed"),
        (file(repository="-u"), "$.repository: a repository must not begin with `-`: Git would take it for an option"),
        (file(repository="https://a:b@h/x.git"), "$.repository: an address must not hold a password"),
        (file(repository="/srv/git/.git"), "$.name: missing, and the repository's last segment is no name: write one "
                                           "(letters, digits, `.`, `_` and `-`, at most 63)"),
        (file(name="a b"), "$.name: `a b` is not a name: letters, digits, `.`, `_` and `-`, at most 63"),
        (file(name="a b", repository=".git"), "$.name: `a b` is not a name: letters, digits, `.`, `_` and `-`, at most 63"),
        (file(name="x" * 64), "$.name: longer than 63 characters"),
        (file(name="a.lock"), "$.ledger: branch `promotion/a.lock` must not have `.lock` there: Git does not allow it"),
        (file(ledger="a..b"), "$.ledger: branch `a..b` must not have `..` there: Git does not allow it"),
        (file(ledger="env/dev"), f"{ONE}.branch: branch `env/dev` is the ledger's already: an environment needs one of "
                                 "its own"),
        (file(applications=[{"repository": "b"}]), "$.repository: cannot stand beside `applications`: write it into its "
                                                   "entry"),
        (file(repository=None, applications=[{"name": "b"}]), "$.applications[0].repository: missing"),
        (file(repository=None, applications=[]), "$.applications: empty: at least one entry is needed"),
        (file(repository=None, applications=[{"repository": "a", "groups": []}]),
         "$.applications[0].groups: unknown key; allowed: name, repository, paths, ledger, credentials, environments"),
        # environments
        (root(name=None), f"{ONE}.name: missing"),
        (root(name="Dev"), f"{ONE}.name: `Dev` is not a name: lower-case letters, digits and dashes, at most 63"),
        (root(name="dev\n"), f"{ONE}.name: `dev\\n` is not a name: lower-case letters, digits and dashes, at most 63"),
        (root(branch="-x"), f"{ONE}.branch: branch `-x` must not begin with `-`"),
        (root(branch="+x"), f"{ONE}.branch: branch `+x` must not begin with `+`"),
        (root(branch="HEAD"), f"{ONE}.branch: `HEAD` is no branch: write its short name, such as `main`"),
        (root(branch="{app}/x"), f"{ONE}.branch: no placeholder `{{app}}` ({{application}}, {{environment}})"),
        (root(branch="{enviroment}"), f"{ONE}.branch: no placeholder `{{enviroment}}`; did you mean `{{environment}}`? "
                                      "({application}, {environment})"),
        (root(groups=["a"]), f"{ONE}.groups: unknown key; allowed: name, from, requires, branch, credentials, auto, engine, "
                             "health, gates, protect, strategy, history, verify, dwell, schedule"),
        (root(requires=[]), f"{ONE}.requires: not on a root: nothing is promoted into an environment without `from`"),
        (root(auto=True), f"{ONE}.auto: not on a root: nothing is promoted into an environment without `from`"),
        (root(gates=[]), f"{ONE}.gates: not on a root: nothing is promoted into an environment without `from`"),
        (root(verify={}), f"{ONE}.verify: not on a root: nothing is promoted into an environment without `from`"),
        (root(schedule="* * * * *"), f"{ONE}.schedule: not on a root: nothing is promoted into an environment without "
                                     "`from`"),
        (root(strategy="miror"), f"{ONE}.strategy: `miror` is not known here; did you mean `mirror`? (merge, mirror)"),
        (root(history="squash"), f"{ONE}.history: `squash` is not known here (merge, linear)"),
        (root(protect=["!x"]), f"{ONE}.protect[0]: `!` is not known in patterns: name what is protected"),
        (root(dwell="soon"), f"{ONE}.dwell: `soon` {NO_DURATION}"),
        (root(dwell="99999999999s"), f"{ONE}.dwell: `99999999999s` {NO_DURATION}"),
        (hop(from_="qa"), f"{TWO}.from: a cycle, in which nothing can begin: qa -> qa"),
        (hop(auto="yes"), f"{TWO}.auto: true or false belongs here, not the text `yes`"),
        (hop(verify={"within": "0s"}), f"{TWO}.verify.within: `0s` is not a duration of at least 1s: write 90s, 15m, 2h "
                                       "or 3d"),
        (hop(verify={"on_timeout": "rollback"}), f"{TWO}.verify.on_timeout: `rollback` is not known here (none, hold)"),
        (hop(verify={"for": "1s"}), f"{TWO}.verify.for: unknown key; allowed: within, grace, on_failure, on_timeout"),
        (hop(dwell="15m"), f"{TWO}.dwell: 15m is not shorter than `verify.within` (15m): each promotion would time out"),
        (hop(dwell="90s", verify={"within": "1m30s"}), f"{TWO}.dwell: 90s is not shorter than `verify.within` (1m30s): "
                                                       "each promotion would time out"),
        (hop(verify={"grace": "1h"}), f"{TWO}.verify.grace: 1h is not shorter than `within` (15m): no promotion could "
                                      "fail, only time out"),
        (hop(verify={"within": "5m", "grace": "5m"}), f"{TWO}.verify.grace: 5m is not shorter than `within` (5m): no "
                                                      "promotion could fail, only time out"),
        (hop(schedule="* * * *"), f"{TWO}.schedule: `* * * *` is no schedule: five fields, minute hour day month "
                                  "weekday, such as `*/5 * * * *`"),
        (hop(schedule={"cron": "61 * * * *"}), f"{TWO}.schedule.cron: `61 * * * *` is no schedule: bad minute"),
        (hop(schedule={"timezone": "UTC"}), f"{TWO}.schedule.cron: missing"),
        (hop(schedule={"cron": "* * * * *", "timezone": "Mars"}), f"{TWO}.schedule.timezone: no time zone `Mars` in the "
                                                                  "IANA database: write UTC or Europe/Berlin"),
        (hop(name="dev", from_=None, branch="x", engine=DIRECTORY), f"{TWO}.name: another environment is called `dev` already"),
        (hop(branch="env/dev"), f"{TWO}.branch: branch `env/dev` is dev's already: an environment needs one of its own"),
        (hop(branch="env"), f"{TWO}.branch: branch `env` and dev's `env/dev` cannot both exist in Git"),
        (hop(branch="promotion"), f"{TWO}.branch: branch `promotion` and the ledger's `promotion/shop` cannot both exist "
                                  "in Git"),
        # engines
        (root(engine=None), f"{ONE}.engine: missing"),
        (root(engine={}), f"{ONE}.engine.type: missing (directory, command, argocd, kubernetes, flux)"),
        (root(engine={"type": "jenkins"}), f"{ONE}.engine.type: `jenkins` is not known here (directory, command, argocd, kubernetes, flux)"),
        (root(engine={"type": "directory"}), f"{ONE}.engine.path: missing"),
        (root(engine={"type": "comand"}), f"{ONE}.engine.type: `comand` is not known here; did you mean `command`? (directory, "
                                          "command, argocd, kubernetes, flux)"),
        (root(engine=COMMAND | {"deploy": []}), f"{ONE}.engine.deploy: empty: at least one entry is needed"),
        (root(engine=COMMAND | {"deploy": "make deploy"}), f"{ONE}.engine.deploy: a list belongs here, not the text `make deploy`"),
        (root(engine={"type": "command", "deploy": ["a"]}), f"{ONE}.engine.observe: missing"),
        (root(engine=COMMAND | {"path": "x"}), f"{ONE}.engine.path: unknown key; allowed: type, deploy, observe, deploy_timeout, "
                                               "observe_timeout"),
        (root(engine=COMMAND | {"deploy_timeout": "0s"}), f"{ONE}.engine.deploy_timeout: `0s` is not a duration of at least 1s: "
                                                          "write 90s, 15m, 2h or 3d"),
        (root(engine=COMMAND | {"observe": ["ask", "{env}"]}), f"{ONE}.engine.observe[1]: no placeholder `{{env}}` "
                                                               "({application}, {environment})"),
        (root(health="engine"), f"{ONE}.health: a directory says nothing about health: write a list of checks, or `none`"),
        (root(engine=[DIRECTORY]), f"{ONE}.engine: a mapping belongs here, not a list"),
        (root(engine=DIRECTORY | {"keep": 0}), f"{ONE}.engine.keep: 0 is not allowed: at least 1"),
        (root(engine=DIRECTORY | {"keep": 2.0}), f"{ONE}.engine.keep: a whole number belongs here, not the number 2.0"),
        (root(engine=DIRECTORY | {"keep": True}), f"{ONE}.engine.keep: a whole number belongs here, not true"),
        (root(engine=DIRECTORY | {"reload": "ls"}), f"{ONE}.engine.reload: a list belongs here, not the text `ls`"),
        (root(engine=DIRECTORY | {"path": "~/x"}), f"{ONE}.engine.path: `~` is not filled in here: write the whole path"),
        (root(engine=DIRECTORY | {"path": "../../srv/git/shop.git/"}),
         f"{ONE}.engine.path: this is the repository itself: releases go to a directory of their own"),
        (hop(engine=DIRECTORY | {"path": "./out/../out/dev"}), f"{TWO}.engine.path: dev is deployed to this directory "
                                                               "already: an environment needs one of its own"),
        # checks
        (root(health=None), f"{ONE}.health: missing: write a list of checks, or `health: none` when there is none"),
        (root(health=[]), f"{ONE}.health: empty: at least one entry is needed"),
        (root(health="None"), f"{ONE}.health: `None` is not known here; did you mean `none`? (none, engine)"),
        (root(health={"type": "http"}), f"{ONE}.health: the word `none` or `engine` or a list belongs here, not a mapping"),
        (root(health=["http"]), f"{ONE}.health[0]: a mapping belongs here, not the text `http`"),
        (check(url="http://h/"), f"{ONE}.health[0].type: missing (http, command, metric, kubernetes)"),
        (check(type="htpp", url="http://h/"), f"{ONE}.health[0].type: `htpp` is not known here; did you mean `http`? "
                                              "(http, command, metric, kubernetes)"),
        (check(type="http"), f"{ONE}.health[0].url: missing"),
        (check(type="http", url="h/x"), f"{ONE}.health[0].url: not an address (http://, https://)"),
        (check(type="http", url="http://{x}/"), f"{ONE}.health[0].url: no placeholder `{{x}}` ({{application}}, "
                                                "{environment})"),
        (check(type="http", url="http://h/", expect_status=99), f"{ONE}.health[0].expect_status: 99 is not allowed: at "
                                                                "least 100"),
        (check(type="http", url="http://h/", expect_status=600), f"{ONE}.health[0].expect_status: 600 is not allowed: at "
                                                                 "most 599"),
        (check(type="http", url="http://h/", expect_json={}), f"{ONE}.health[0].expect_json: empty: at least one entry "
                                                              "is needed"),
        (check(type="http", url="http://h/", expect_json={"a": []}), f"{ONE}.health[0].expect_json.a: a text or a number "
                                                                     "or true or false or nothing belongs here, not a "
                                                                     "list"),
        (check(type="http", url="http://h/", timeout="0s"), f"{ONE}.health[0].timeout: `0s` is not a duration of at "
                                                            "least 1s: write 90s, 15m, 2h or 3d"),
        (check(type="http", url="http://h/", command=["x"]), f"{ONE}.health[0].command: unknown key; allowed: type, url, "
                                                             "expect_status, expect_json, expect_version, redirects, "
                                                             "timeout, connect_timeout, idle_timeout"),
        (check(type="command"), f"{ONE}.health[0].command: missing"),
        (check(type="command", command=[]), f"{ONE}.health[0].command: empty: at least one entry is needed"),
        (check(type="command", command=["a", 1]), f"{ONE}.health[0].command[1]: `1` is read by YAML as the number 1, but "
                                                  'a text belongs here: write "1" in quotes'),
        # gates
        (gate(type="policy"), f"{TWO}.gates[0].type: `policy` is not known here (soak, window, approval, http, command, "
                                 "metric, kubernetes)"),
        (hop(gates=["soak"]), f"{TWO}.gates[0]: a mapping belongs here, not the text `soak`"),
        (gate(type="soak"), f"{TWO}.gates[0].for: missing"),
        (gate(type="soak", **{"for": "2 h"}), f"{TWO}.gates[0].for: `2 h` {NO_DURATION}"),
        (gate(type="soak", **{"for": "2h"}, count="all"), f"{TWO}.gates[0].count: `all` is not known here (environment, "
                                                          "commit)"),
        (gate(type="window"), f"{TWO}.gates[0].allow: missing"),
        (gate(type="window", allow=["Mon 9-17"]), f"{TWO}.gates[0].allow[0]: `Mon 9-17` is not a window: write `Mon-Fri "
                                                  "09:00-16:00`, `Mon,Wed 22:00-02:00` or `00:00-24:00`"),
        (gate(type="window", allow="09:00-09:00"), f"{TWO}.gates[0].allow: `09:00-09:00` opens and closes at once: for "
                                                   "the whole day write 00:00-24:00"),
        (gate(type="window", allow="00:00-24:00", timezone="A\nB"), f"{TWO}.gates[0].timezone: no time zone `A\\nB` in the "
                                                                   "IANA database: write UTC or Europe/Berlin"),
        (gate(type="window", allow=[]), f"{TWO}.gates[0].allow: empty: at least one entry is needed"),
        (gate(type="window", allow="00:00-24:00", timezone="CEST+1"), f"{TWO}.gates[0].timezone: no time zone `CEST+1` "
                                                                      "in the IANA database: write UTC or Europe/Berlin"),
        (gate(type="window", allow="00:00-24:00", **{"except": ["2026-02-30"]}),
         f"{TWO}.gates[0].except[0]: `2026-02-30` is no day of the calendar: write 2026-12-24 or 2026-12-24..2027-01-02"),
        (gate(type="http", url="http://u:p@h/"), f"{TWO}.gates[0].url: an address must not hold a password"),
        (gate(type="command", command=["a", "{b}"]), f"{TWO}.gates[0].command[1]: no placeholder `{{b}}` "
                                                     "({application}, {environment})"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_clear_line(value: Any, problem: str) -> None:
    """Where, what, what is allowed, the nearest spelling."""
    found = wrong(value)
    assert problem in found
    assert len(found) == 1 or value == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: no", '$.name: `no` is read by YAML as false, but a text belongs here: write "no" in quotes'),
        ("name: 1.10", '$.name: `1.10` is read by YAML as the number 1.1, but a text belongs here: write "1.10" in quotes'),
        ("name: 12:30", "$.name: `12:30` is read by YAML as the number 750, and is not a name: letters, digits, `.`, `_` "
                        "and `-`, at most 63"),
        ("ledger: 0x10", '$.ledger: `0x10` is read by YAML as the number 16, but a text belongs here: write "0x10" in '
                         "quotes"),
        ("ledger:", "$.ledger: a text belongs here, not nothing"),
        ("ledger: {application}", "$.ledger: a text belongs here, not a mapping: what begins with `{` must be in quotes"),
        ("heartbeat: 12:30", "$.heartbeat: `12:30` is read by YAML as the number 750, and is not a duration of at least "
                             "1s: write 90s, 15m, 2h or 3d"),
        ("heartbeat: 90", "$.heartbeat: `90` is read by YAML as the number 90, and is not a duration of at least 1s: "
                          "write 90s, 15m, 2h or 3d"),
        ("heartbeat: !x 1s", "$.heartbeat: tag `!x`: tags are not allowed"),
        ("version: 1", "$.version: key `version` is written twice: first on line 1, again on line 2"),
        ("on: 1", "$: key `on` is read by YAML as true: write it in quotes"),
        ("<<: {name: x}", "$: merge keys (`<<`) are not allowed: write the keys out"),
    ],
)  # fmt: skip
def test_what_yaml_makes_of_plain_words(text: str, problem: str) -> None:
    """Said, because nobody sees it in the file."""
    rest = {key: value for key, value in file().items() if key != "version"}
    assert wrong(f"version: 1\n{text}\n" + yaml.safe_dump(rest)) == [problem]


def test_no_is_none_of_the_words() -> None:
    """Where a word is chosen from a list, and where health is meant."""
    text = yaml.safe_dump(hop(verify={"on_failure": "hold"})).replace("hold", "no")
    said = f"{TWO}.verify.on_failure: `no` is not known here; did you mean `none`? (none, hold, rollback)"
    assert wrong(text) == [said]
    text = yaml.safe_dump(file()).replace("health: none", "health: no")
    assert wrong(text) == [
        f"{ONE}.health: `no` is read by YAML as false, but the word `none` or `engine` or a list belongs here"
    ]


def test_cycles_are_printed() -> None:
    """In the direction of promotion, each once, beside what is right."""
    stages = [env("a", from_="c"), env("b", from_="a"), env("c", from_="b"), env("d", from_="a"), env("e", from_="e")]
    assert wrong(file(*stages)) == [
        f"{ONE}.from: a cycle, in which nothing can begin: a -> b -> c -> a",
        "$.environments[4].from: a cycle, in which nothing can begin: e -> e",
    ]


def test_applications_that_collide() -> None:
    """Names, repositories however they are written, directories, branches with placeholders."""
    written = ["/srv/git/a.git", "file:///srv/git/a", "../git/a/", "b"]
    applications = [{"name": name, "repository": place} for name, place in zip("abca", written, strict=True)]
    own = env(engine={"type": "directory", "path": "{application}"})
    taken = ": a has this repository already, and branch `env/dev` of it: write `paths` in both, the directories and files of each"
    assert wrong(file(own, repository=None, applications=applications)) == [
        f"$.applications[1].repository{taken}",
        f"$.applications[2].repository{taken}",
        "$.applications[3].name: another application is called `a` already",
    ]
    applications = [{"repository": "a"}, {"repository": "b"}]
    assert wrong(file(env(), repository=None, applications=applications)) == [
        f"{ONE}.engine.path: dev of a is deployed to this directory already: an environment needs one of its own"
    ]


def test_a_problem_of_every_application_is_told_once() -> None:
    """The environments are the same for all."""
    own = env(branch="a..b", engine={"type": "directory", "path": "out/{application}"})
    applications = [{"repository": "a"}, {"repository": "b"}]
    assert len(wrong(file(own, repository=None, applications=applications))) == 1


def test_a_wrong_name_is_still_a_name_to_take_commits_from() -> None:
    """One mistake is told once, not again wherever it is used."""
    assert len(wrong(file(env("Dev"), env("qa", from_="Dev")))) == 1


def test_secrets_are_never_repeated() -> None:
    """An error may land in a CI log."""
    text = file(env(health=[{"type": "http", "url": "http://u:hunter2@h/"}]), repository="https://u:hunter2@h/x.git")
    assert "hunter2" not in "\n".join(wrong(text))


# --- files ----------------------------------------------------------------------------------------------------------


def unread(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    (line,) = caught.value.problems
    assert str(caught.value) == line
    return line


def test_a_file_is_loaded_and_named_as_the_user_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are relative to the file, not to where we are."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/e.yaml").write_text(dump(file(repository="../shop.git")))
    monkeypatch.chdir(tmp_path)
    loaded = config.load(Path("conf/e.yaml"))
    assert loaded.path == Path("conf/e.yaml")
    assert loaded.applications[0].repository == str(tmp_path / "shop.git")
    assert loaded.applications[0].environments[0].engine.settings["path"] == str(tmp_path / "conf/out/dev")
    (tmp_path / "conf/e.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        config.load(Path("conf/e.yaml"))
    assert caught.value.problems == ("conf/e.yaml:1:1: the file is empty: `version: 1` is its first line",)


def test_no_file_a_directory_and_names_that_no_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each."""
    monkeypatch.chdir(tmp_path)
    assert unread(Path("e.yaml")) == "e.yaml: no such file"
    Path("d").mkdir()
    assert unread(Path("d")) == "d: is a directory, not a file"
    Path("f").touch()
    assert unread(Path("f/e.yaml")) == "f/e.yaml: not a directory"
    assert "null" in unread(Path("a\0b"))


def test_a_file_without_end(tmp_path: Path) -> None:
    """No more than the limit is read."""
    (tmp_path / "e.yaml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="1 error") as caught:
        config.load(tmp_path / "e.yaml")
    assert "larger than 256 KiB" in caught.value.problems[0]


# --- nothing else than a configuration error ------------------------------------------------------------------------

KEYS = sorted(
    {key for each in config.schema()["$defs"].values() for key in each.get("properties", ())}
    | config.schema()["properties"].keys()
)
WORDS = [
    "none",
    "merge",
    "hold",
    "http",
    "soak",
    "window",
    "directory",
    "command",
    "dev",
    "qa",
    "env/x",
    "5s",
    "-x",
    "::",
]
SCALARS = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers(-1, 600) | st.text(max_size=5)
TREES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(KEYS), x, max_size=5), max_leaves=20
)


@settings(deadline=None)
@given(st.binary(max_size=100) | st.text("ab:-[]{}, \n\"'#&*!|1.", max_size=60).map(str.encode))
def test_random_texts(text: bytes) -> None:
    """Whatever the bytes are."""
    with suppress(ConfigError):
        config.parse(text, FILE)


@settings(deadline=None)
@given(TREES)
def test_random_values(value: Any) -> None:
    """Whatever stands under the keys that exist."""
    with suppress(ConfigError):
        parse(dump(value))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_random_damage(data: st.DataObject) -> None:
    """A valid file with anything in the place of one value."""
    value = damaged(json.loads(json.dumps(yaml.safe_load(WHOLE), default=str)), data, TREES)
    with suppress(ConfigError):
        parse(dump(value) if data.draw(st.booleans()) else yaml.safe_dump(value))


# --- the schema -----------------------------------------------------------------------------------------------------


def subschemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from subschemas(inner)


def test_the_schema_is_one() -> None:
    """JSON Schema 2020-12; patterns match whole texts in every editor."""
    Draft202012Validator.check_schema(config.schema())
    assert config.schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    patterns = [each["pattern"] for each in subschemas(config.schema()) if isinstance(each.get("pattern"), str)]
    assert patterns
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)


def test_the_schema_allows_no_unknown_key() -> None:
    """Everywhere; kinds are told apart by their type, so that a message is about the kind that was meant."""
    for each in subschemas(config.schema()):
        assert "oneOf" not in each
        if each.get("type") == "object" and "properties" in each:
            if "allOf" in each:
                refs = [branch["then"]["$ref"].removeprefix("#/$defs/") for branch in each["allOf"]]
                assert [ref.removesuffix("-engine") for ref in refs] == each["properties"]["type"]["enum"]
                assert all(config.schema()["$defs"][ref]["additionalProperties"] is False for ref in refs)
            else:
                assert each["additionalProperties"] is False


def properties() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(definition, key, schema) of every key."""
    top = config.schema()
    for name, each in {"": top, **top["$defs"]}.items():
        if name == "override":
            continue  # the same as those of an environment, by a test
        yield from ((name, key, rule) for key, rule in each.get("properties", {}).items())
    verify = top["$defs"]["environment"]["properties"]["verify"]["properties"]
    yield from (("verify", key, rule) for key, rule in verify.items())


def test_every_setting_of_an_environment_can_be_overridden() -> None:
    """All but its name, and by the same rules."""
    definitions = config.schema()["$defs"]
    keys = [key for key in definitions["environment"]["properties"] if key != "name"]
    assert definitions["override"]["properties"] == {
        key: {"$ref": f"#/$defs/environment/properties/{key}"} for key in keys
    }


@pytest.mark.parametrize(("name", "key", "rule"), list(properties()), ids=lambda v: v if isinstance(v, str) else "")
def test_editors_can_explain_every_key(name: str, key: str, rule: dict[str, Any]) -> None:
    """A description on each."""
    assert rule["description"].endswith((".", ")")), (name, key)


@pytest.mark.parametrize(("name", "key", "rule"), list(properties()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_key_is_documented(name: str, key: str, rule: dict[str, Any]) -> None:
    """docs/configuration.md has a section for each mapping, and in it a row for each key, with its default."""
    text = (ROOT / "docs/configuration.md").read_text()
    if name in ("check", "gate", "engine"):
        assert all(f"`{kind}`" in text for kind in rule["enum"])
        return
    titles = {"": "The file", "application": "Applications", "environment": "Environments"}
    kind = name.removesuffix("-engine")
    heading = titles.get(name, f"`{kind}` as an engine" if kind != name else f"`{name}`")
    sections = {part.split("\n", 1)[0].strip("# "): part for part in re.split(r"^(?=##)", text, flags=re.MULTILINE)}
    section = sections[heading]
    if key == "type":
        return
    (row,) = re.findall(rf"^\| `{key}` \|.*", section, re.MULTILINE)
    default = rule.get("default")
    assert default is None or f"`{json.dumps(default).strip(chr(34))}`" in row


def test_durations_that_pass_the_schema_are_durations() -> None:
    """The largest one is still a time that can be added to now."""
    rule = config.schema()["$defs"]["duration"]["pattern"]
    for text in ("0s", "90s", "1h30m", "3d", "99999999s", "9999d9999d9999d9999d"):
        assert re.fullmatch(rule, text)
        assert duration(text) < timedelta(days=50_000)
    for text in ("", "s", "1", "1w", "-1s", "1.5h", "1 h", "999999999d", "1S"):
        assert not re.fullmatch(rule, text)
