"""Several applications in one repository: scopes, overrides, and what does not fit together; waves."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion import config
from promotion.config.graph import cycles
from promotion.errors import ConfigError
from promotion.model import Application, Verify
from tests.support.written import FILE, damaged, dump, env, file, parse, wrong

SHARED = "/srv/git/platform.git"
OUT = {"type": "directory", "path": "out/{application}/{environment}"}


def app(name: str, /, *paths: str, **more: Any) -> dict[str, Any]:
    """An entry of `applications` in the shared repository."""
    return {"name": name, "repository": SHARED} | ({"paths": list(paths)} if paths else {}) | more


def stage(name: str = "dev", source: str | None = None, /, **more: Any) -> dict[str, Any]:
    """An environment with a directory for each application."""
    return env(name, **({"engine": OUT, "from_": source} | more))


def platform(*applications: dict[str, Any], stages: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A file with these applications, by default with dev -> qa."""
    return file(*(stages or [stage(), stage("qa", "dev")]), repository=None, applications=list(applications))


def made(value: Any) -> dict[str, Application]:
    return {a.name: a for a in parse(dump(value)).applications}


# --- what it becomes ------------------------------------------------------------------------------------------------

WHOLE = """
version: 1
applications:
  - name: shop
    repository: ../git/platform.git
    paths: [shop/, shared/limits.yaml]
  - name: billing
    repository: ../git/platform.git
    paths: [billing]
    environments:
      prod-us: {requires: []}
      qa:
        branch: "{application}/{environment}"
        gates: [{type: soak, for: 2h}]
        verify: {on_failure: hold}
        engine: {type: directory, path: "other/{application}"}
        auto: false
      dev: {}
environments:
  - {name: dev, branch: main, engine: {type: directory, path: "{application}/dev"}, health: none}
  - {name: prod-us, from: qa, requires: [prod-eu], branch: us, engine: {type: directory, path: "{application}/us"}, health: none}
  - {name: prod-eu, from: qa, branch: eu, engine: {type: directory, path: "{application}/eu"}, health: none, history: linear}
  - name: qa
    from: dev
    branch: qa
    engine: {type: directory, path: "{application}/qa", keep: 3}
    health: none
    strategy: mirror
    verify: {within: 30m, on_timeout: hold}
    dwell: 20m
"""


@pytest.fixture
def whole() -> dict[str, Application]:
    # Its dwell is longer than the verification that the override leaves.
    return {
        a.name: a
        for a in parse(WHOLE.replace("hold}\n        engine", "hold, within: 1h}\n        engine")).applications
    }


def test_two_applications_in_one_repository(whole: dict[str, Application]) -> None:
    """A scope each, directories without a slash at their end, and a ledger each."""
    shop, billing = whole["shop"], whole["billing"]
    assert (shop.paths, billing.paths) == (("shop", "shared/limits.yaml"), ("billing",))
    assert shop.roots == (b"shop", b"shared/limits.yaml")
    assert shop.repository == billing.repository == "/srv/git/platform.git"
    assert (shop.ledger, billing.ledger) == ("refs/heads/promotion/shop", "refs/heads/promotion/billing")
    assert made(file(paths=["a/"]))["shop"].paths == ("a",)


def test_what_is_required_and_sources_come_first(whole: dict[str, Application]) -> None:
    """Waves in the order in which they go."""
    shop = whole["shop"]
    assert [e.name for e in shop.environments] == ["dev", "qa", "prod-eu", "prod-us"]
    assert shop.environment("prod-us").requires == ("prod-eu",)
    assert (shop.environment("qa").strategy, shop.environment("prod-eu").history) == ("mirror", "linear")
    assert (shop.environment("dev").strategy, shop.environment("dev").history) == ("merge", "merge")


def test_settings_are_overridden_as_a_whole(whole: dict[str, Application]) -> None:
    """Only the environments that are named, in an order of their own; placeholders are filled in overrides too."""
    billing, shop = whole["billing"], whole["shop"]
    assert [e.name for e in billing.environments] == ["dev", "qa", "prod-us"]
    qa = billing.environment("qa")
    assert (qa.branch, qa.auto, qa.strategy, qa.dwell) == ("billing/qa", False, "mirror", timedelta(minutes=20))
    assert qa.verify == Verify(timedelta(hours=1), on_failure="hold")
    assert dict(qa.engine.settings) == {"path": "/srv/conf/other/billing"}
    assert [g.type for g in qa.gates] == ["soak"]
    assert billing.environment("prod-us").requires == ()
    assert shop.environment("qa").branch == "qa"
    assert shop.environment("qa").verify == Verify(timedelta(minutes=30), on_timeout="hold")


def test_what_decides(whole: dict[str, Application]) -> None:
    """Scope, requires, strategy and history too, where they are written; of each application only its environments."""
    shop, billing = whole["shop"], whole["billing"]
    assert shop.environment("prod-us").deciding == {
        "repository": "../git/platform.git",
        "paths": ["shop", "shared/limits.yaml"],
        "branch": "us",
        "from": "qa",
        "requires": ["prod-eu"],
        "health": "none",
    }
    assert shop.environment("prod-eu").deciding["history"] == "linear"
    qa = billing.environment("qa").deciding
    assert (qa["paths"], qa["branch"], qa["strategy"]) == (["billing"], "billing/qa", "mirror")
    assert qa["verify"] == {"on_failure": "hold", "within": "1h"}
    assert list(billing.in_force["environments"]) == ["dev", "qa", "prod-us"]
    assert billing.in_force["environments"]["qa"] == {**qa, "dwell": "20m", "auto": False}
    assert json.loads(json.dumps(billing.in_force)) == billing.in_force
    (alone,) = made(file()).values()
    assert "paths" not in alone.environments[0].deciding


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        ([], "$.paths: empty: at least one entry is needed"),
        ("a/", "$.paths: a list belongs here, not the text `a/`"),
        ([""], "$.paths[0]: empty: at least one character is needed"),
        (["a/*"], "$.paths[0]: `a/*` holds `*`, and patterns are not known here: name directories and files"),
        (["!a"], "$.paths[0]: `!a` holds `!`, and patterns are not known here: name directories and files"),
        (["/a"], "$.paths[0]: `/a` is nowhere: paths in a repository begin without `/`"),
        (["b", "a//"], "$.paths[1]: `a//` is nowhere: no `.`, `..` or `//` in paths"),
        (["a/", "b", "a"], "$.paths[2]: `a` stands here already: name each directory or file once"),
        (["a/", "a/b"], "$.paths[1]: overlaps with `a`: name each directory or file once"),
        (["a/b", "a"], "$.paths[1]: overlaps with `a/b`: name each directory or file once"),
    ],
)
def test_a_scope_that_is_none(paths: Any, problem: str) -> None:
    """One application's, before others are looked at."""
    assert wrong(file(paths=paths)) == [problem]
    entry = app("shop") | {"paths": paths}
    assert wrong(platform(entry)) == [problem.replace("$", "$.applications[0]")]


@pytest.mark.parametrize("paths", [["a", "ab", "a.b"], ["a", "A"], ["é", "e\u0301"], ["a/b", "a/c/", "b/a"]])
def test_names_that_only_look_alike(paths: list[str]) -> None:
    """Paths are bytes."""
    assert made(file(paths=paths))["shop"].paths == tuple(path.rstrip("/") for path in paths)


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (["a/"], ["a"], "paths[0]: `a` is in the scope of one, which has branch `env/dev` too"),
        (
            ["a/"],
            ["x", "a/b"],
            "paths[1]: `a/b` overlaps with `a`, in the scope of one, which has branch `env/dev` too",
        ),
        (
            ["x", "a/b/c"],
            ["a/"],
            "paths[0]: `a` overlaps with `a/b/c`, in the scope of one, which has branch `env/dev` too",
        ),
    ],
)
def test_scopes_that_overlap(first: list[str], second: list[str], problem: str) -> None:
    """Equal, inside, around; said once and not for each branch that both have."""
    found = wrong(platform(app("one", *first), app("two", *second)))
    assert found == [f"$.applications[1].{problem}: a file belongs to one application"]


def test_one_repository_without_paths() -> None:
    """The common mistake: what to write, and where."""
    both = "one has this repository already, and branch `env/dev` of it: write `paths` in both, the directories and files of each"
    assert wrong(platform(app("one"), app("two", repository="../git/platform"))) == [
        f"$.applications[1].repository: {both}"
    ]
    text = (
        "has this repository already, and branch `env/dev` of it: write `paths` here too, its own directories and files"
    )
    assert wrong(platform(app("one"), app("two", "two/"))) == [f"$.applications[0].repository: two {text}"]
    assert wrong(platform(app("one", "one/"), app("two"))) == [f"$.applications[1].repository: one {text}"]


def test_scopes_that_may_overlap() -> None:
    """In different repositories, or on different branches of one."""
    made(platform(app("one", "a/"), app("two", "a/", repository="/srv/git/b.git")))
    own = [stage(branch="{application}/dev"), stage("qa", "dev", branch="{application}/qa")]
    made(platform(app("one", "a/"), app("two"), app("three", "a/b"), stages=own))
    apart = {"dev": {"branch": "a"}, "qa": {"branch": "b"}}
    made(platform(app("one", "a/"), app("two", "a/b", environments=apart)))
    found = wrong(platform(app("one", "a/"), app("two", "a/b", environments=apart | {"qa": {}})))
    assert ["branch `env/qa`" in line for line in found] == [True]


def test_a_scope_that_is_wrong_is_not_compared() -> None:
    """One mistake, one line."""
    assert len(wrong(platform(app("one", "a"), app("two", "a/../b")))) == 1
    assert len(wrong(platform(app("one", "a"), app("two") | {"paths": "b"}))) == 1


SCOPES = st.lists(
    st.lists(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(SCOPES)
def test_scopes_are_disjoint_or_refused(scopes: list[list[str]]) -> None:
    """As said by looking at each two paths."""
    written = [path for scope in scopes for path in scope]
    meet = any(
        f"{one}/".startswith(f"{two}/") or f"{two}/".startswith(f"{one}/")
        for i, one in enumerate(written)
        for two in written[:i]
    )
    text = dump(platform(*(app(f"app{i}", *scope) for i, scope in enumerate(scopes))))
    if meet:
        with pytest.raises(ConfigError):
            parse(text)
    else:
        parse(text)


# --- what one repository can hold -----------------------------------------------------------------------------------


def test_each_ledger_is_its_own() -> None:
    """Equal ones, those that Git cannot hold together, and branches of whichever application."""
    two = app("two", "b", ledger="promotion/one")
    assert wrong(platform(app("one", "a"), two)) == [
        "$.applications[1].ledger: `refs/heads/promotion/one` is the ledger of one already: an application needs one of its own"
    ]
    assert wrong(platform(app("one", "a"), app("two", "b", ledger="promotion/one/x"))) == [
        "$.applications[1].ledger: `refs/heads/promotion/one/x` and the ledger of one, `refs/heads/promotion/one`, cannot "
        "both exist in Git"
    ]
    assert wrong(platform(app("one", "a", environments={"dev": {}}), app("two", "b", ledger="env/dev"))) == [
        "$.environments[0].branch: branch `env/dev` is the ledger of two's already: an environment needs one of its own"
    ]
    made(platform(app("one", "a"), app("two", "b", ledger="promotion/one", repository="/srv/git/b.git")))


def test_branches_that_git_cannot_hold_together() -> None:
    """Of different applications; each is said where it is written."""
    two = app("two", "b", environments={"dev": {}, "qa": {"branch": "env"}})
    assert wrong(platform(app("one", "a"), two)) == [
        "$.applications[1].environments.qa.branch: branch `env` and dev of one's `env/dev` cannot both exist in Git",
    ]
    two = app("two", "b", environments={"dev": {"branch": "env/qa/x"}})
    assert wrong(platform(app("one", "a"), two)) == [
        "$.applications[1].environments.dev.branch: branch `env/qa/x` and qa of one's `env/qa` cannot both exist in Git",
    ]


def test_the_one_that_is_overridden_is_blamed() -> None:
    """Though it comes first: the other is right for everybody else."""
    two = app("two", "b", environments={"dev": {"branch": "env/qa"}, "qa": {}})
    assert wrong(platform(app("one", "a"), two)) == [
        "$.applications[1].environments.dev.branch: branch `env/qa` is qa's already: an environment needs one of its own"
    ]


# --- overrides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environments", "problem"),
    [
        ({"dve": {}, "dev": {}}, "dve: no environment `dve`; did you mean `dev`? (dev, qa)"),
        ({}, ": empty: at least one entry is needed"),
        (["dev"], ": a mapping belongs here, not a list"),
        ({"dev": None}, "dev: a mapping belongs here, not nothing"),
        ({"dev": {"brnch": "x"}}, "dev.brnch: unknown key; did you mean `branch`?"),
        ({"dev": {"name": "x"}}, "dev.name: unknown key; allowed: "),
        ({"dev": {"branch": "a..b"}}, "dev.branch: branch `a..b` must not have `..` there: Git does not allow it"),
        ({"dev": {"branch": "{app}"}}, "dev.branch: no placeholder `{app}` ({application}, {environment})"),
        ({"dev": {"branch": 5}}, "dev.branch: `5` is read by YAML as the number 5, but a text belongs here"),
        ({"dev": {"engine": {"type": "directory", "path": "~/x"}}}, "dev.engine.path: `~` is not filled in here"),
        ({"dev": {"engine": {"type": "directory"}}}, "dev.engine.path: missing"),
        ({"dev": {"gates": []}}, "dev.gates: not on a root: nothing is promoted into an environment without `from`"),
        ({"dev": {"from": "dev"}}, "dev.from: a cycle, in which nothing can begin: dev -> dev"),
        ({"dev": {"from": "q"}}, "dev.from: no environment `q`; did you mean `qa`? (qa)"),
        ({"dev": {"from": "qa"}, "qa": {}}, "dev.from: a cycle, in which nothing can begin: dev -> qa -> dev"),
        ({"qa": {}}, ": `dev` is left out, but qa takes commits from it: name it too, or override `from` of qa"),
        ({"qa": {"from": "dev"}}, "qa.from: `dev` is left out, but qa takes commits from it: name it too"),
        ({"dev": {}, "qa": {"dwell": "1h"}}, "qa.dwell: 1h is not shorter than `verify.within` (15m)"),
        ({"dev": {}, "qa": {"verify": {"within": "1m"}}}, "qa.verify: `dwell`, 2m is not shorter than `verify.within` (1m)"),
        ({"dev": {}, "qa": {"verify": {"grace": "1h"}}}, "qa.verify.grace: 1h is not shorter than `within` (15m)"),
        ({"dev": {}, "qa": {"schedule": "x"}}, "qa.schedule: `x` is no schedule"),
        ({"dev": {}, "qa": {"protect": ["!x"]}}, "qa.protect[0]: `!` is not known in patterns"),
        ({"dev": {}, "qa": {"history": "merge"}}, "qa.history: with `paths` a history is always linear"),
        ({"dev": {}, "qa": {"gates": [{"type": "http", "url": "http://u:p@h/"}]}}, "qa.gates[0].url: an address must not"),
        ({"dev": {}, "qa": {"gates": [{"type": "window", "allow": "Mon 9-5"}]}}, "qa.gates[0].allow: `Mon 9-5` is not a"),
    ],
)  # fmt: skip
def test_what_is_overridden_is_judged_where_it_is_written(environments: Any, problem: str) -> None:
    """Each alone, of one application, though another has the same environments."""
    stages = [stage(), stage("qa", "dev", dwell="2m")]
    (found,) = wrong(platform(app("one", "a"), app("two", "b") | {"environments": environments}, stages=stages))
    way = "$.applications[1].environments" + ("" if problem.startswith(":") else ".")
    assert found.startswith(way + problem)


def test_the_line_of_an_override() -> None:
    """And of an environment, when it is not overridden."""
    text = WHOLE.replace('"{application}/{environment}"', "us").replace("branch: eu", "branch: e..u")
    with pytest.raises(ConfigError) as caught:
        config.parse(text.encode(), FILE)
    lines = [line.removeprefix("/srv/conf/environments.yaml:") for line in caught.value.problems]
    assert lines == [
        "13:17: $.applications[1].environments.qa.branch: branch `us` is prod-us's already: an environment needs one of its own",
        "15:17: $.applications[1].environments.qa.verify: `dwell`, 20m is not shorter than `verify.within` (15m): each "
        "promotion would time out",
        "22:39: $.environments[2].branch: branch `e..u` must not have `..` there: Git does not allow it",
    ]


def test_a_cycle_that_an_override_makes() -> None:
    """It is said there, wherever it begins."""
    stages = [stage(), stage("a", "b"), stage("b", "dev")]
    assert wrong(platform(app("one", "a", environments={"dev": {}, "a": {}, "b": {"from": "a"}}), stages=stages)) == [
        "$.applications[0].environments.b.from: a cycle, in which nothing can begin: a -> b -> a"
    ]


def test_a_history_that_is_written_out() -> None:
    """`merge` says something where there are no paths, `linear` everywhere."""
    own = {"dev": {}, "qa": {"history": "linear"}}
    stages = [stage(), stage("qa", "dev", history="merge")]
    two = made(platform(app("one", repository="a"), app("two", "b", environments=own), stages=stages))
    assert [a.environment("qa").history for a in two.values()] == ["merge", "linear"]


def test_what_many_applications_have_is_said_once() -> None:
    """Also when some override other settings of it."""
    stages = [stage(branch="a b"), stage("qa", "dve", dwell="1h", protect=["!x"], schedule="x")]
    applications = [app(f"app{i}", f"app{i}/") for i in range(5)]
    applications[3]["environments"] = {"dev": {}, "qa": {"auto": False}}
    found = wrong(platform(*applications, stages=stages))
    assert len(found) == 5
    assert all(line.startswith("$.environments[") for line in found)


def test_a_setting_of_an_environment_that_everybody_overrides() -> None:
    """It is judged by what counts."""
    stages = [stage(branch="a..b"), stage("qa", "dev")]
    made(platform(app("one", "a", environments={"dev": {"branch": "x"}, "qa": {}}), stages=stages))


def test_an_environment_that_nobody_has_is_judged_all_the_same() -> None:
    """It may be used tomorrow."""
    stages = [stage(), stage("qa", "dve", branch="a..b")]
    assert wrong(platform(app("one", "a", environments={"dev": {}}), stages=stages)) == [
        "$.environments[1].branch: branch `a..b` must not have `..` there: Git does not allow it",
        "$.environments[1].from: no environment `dve`; did you mean `dev`? (dev)",
    ]


def test_a_wrong_override_does_not_bring_back_what_it_overrides() -> None:
    """Here a root, whose gate would then be wrong too."""
    stages = [stage(), stage("qa", gates=[{"type": "soak", "for": "1h"}])]
    assert len(wrong(platform(app("one", "a", environments={"dev": {}, "qa": {"from": 5}}), stages=stages))) == 2
    two = app("two", "b", environments={"dev": {"branch": 5}, "qa": {"from": "dev", "branch": "env/dev"}})
    assert len(wrong(platform(two, stages=stages))) == 1


def test_paths_beside_applications() -> None:
    """Whose they would be is not known."""
    assert wrong(platform(app("one", "a")) | {"paths": ["a"]}) == [
        "$.paths: cannot stand beside `applications`: write it into its entry"
    ]


# --- waves ----------------------------------------------------------------------------------------------------------

GRAPH = [("dev", None), ("qa", "dev"), ("eu", "qa"), ("us", "qa"), ("lab", None), ("lab2", "lab")]


def requiring(**required: Any) -> dict[str, Any]:
    """dev -> qa -> (eu, us), lab -> lab2, with what these require."""
    return file(*(env(n, from_=s, requires=required.get(n)) for n, s in GRAPH))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (requiring(us=["euu"]), "$.environments[3].requires[0]: no environment `euu`; did you mean `eu`? (dev, qa, eu, lab, lab2)"),
        (requiring(us=["eu", "eu"]), "$.environments[3].requires[1]: `eu` is required already"),
        (requiring(us=["us"]), "$.environments[3].requires[0]: an environment cannot require itself"),
        (requiring(us="eu"), "$.environments[3].requires: a list belongs here, not the text `eu`"),
        (requiring(us=[5]), '$.environments[3].requires[0]: `5` is read by YAML as the number 5, but a text belongs here: write "5" in quotes'),
        (requiring(dev=["lab"]), "$.environments[0].requires: not on a root: nothing is promoted into an environment without `from`"),
        (requiring(us=["lab2"]), "$.environments[3].requires[0]: lab2 gets its commits from lab, us from dev: it can never have the same"),
        (requiring(us=["lab"]), "$.environments[3].requires[0]: lab gets its commits from lab, us from dev: it can never have the same"),
        (requiring(us=["eu"], eu=["us"]), "$.environments[2].requires[0]: a cycle, in which nothing can begin: eu -> us -> eu"),
        (requiring(qa=["eu"]), "$.environments[1].requires[0]: a cycle, in which nothing can begin: qa -> eu -> qa"),
    ],
)  # fmt: skip
def test_what_cannot_be_required(value: Any, problem: str) -> None:
    """One clear line each."""
    assert wrong(value) == [problem]


def test_what_can_be_required() -> None:
    """Sisters, sources, what is upstream."""
    (shop,) = made(requiring(us=["eu", "qa"], eu=["dev"])).values()
    assert shop.environment("us").requires == ("eu", "qa")


def test_a_required_environment_that_is_left_out() -> None:
    """For this application, unless it requires something else."""
    stages = [stage(), stage("eu", "dev"), stage("us", "dev", requires=["eu"])]
    assert wrong(platform(app("one", "a", environments={"dev": {}, "us": {}}), stages=stages)) == [
        "$.applications[0].environments: `eu` is left out, but us requires it: name it too, or override `requires` of us"
    ]
    made(platform(app("one", "a", environments={"dev": {}, "us": {"requires": []}}), stages=stages))


NODES = [f"n{i}" for i in range(6)]
GRAPHS = st.dictionaries(st.sampled_from(NODES), st.lists(st.sampled_from([*NODES, "away"]), max_size=3))


@given(GRAPHS)
def test_cycles_are_found_if_there_are_any(before: dict[str, list[str]]) -> None:
    """Each is one; none is told when taking away what waits for nothing leaves nothing."""
    found = list(cycles(before))
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert all(first in before[then] for first, then in pairwise(cycle))
    left = dict(before)
    while ready := [name for name, waits in left.items() if not any(w in left for w in waits)]:
        for name in ready:
            del left[name]
    assert bool(found) == bool(left)


# --- size, and anything else ----------------------------------------------------------------------------------------


def fleet(applications: int) -> dict[str, Any]:
    """Applications x 13 environments: dev, qa, three stagings, eight prods in two waves."""
    ways = [f"stage-{region}" for region in ("eu", "us", "ap")]
    prods = [f"prod-{i}" for i in range(8)]
    stages = [
        stage(),
        stage("qa", "dev"),
        *(stage(name, "qa") for name in ways),
        *(stage(name, ways[0], requires=prods[:4] if i > 3 else None) for i, name in enumerate(prods)),
    ]
    override = {"qa": {"auto": False}} | {each["name"]: {} for each in stages if each["name"] != "qa"}
    return platform(
        *(app(f"app{i}", f"app{i}/", f"shared/{i}.yaml", environments=override) for i in range(applications)),
        stages=stages,
    )


def test_a_whole_platform() -> None:
    """20 x 13."""
    applications = made(fleet(20)).values()
    assert [len(a.environments) for a in applications] == [13] * 20
    assert [e.name for e in next(iter(applications)).environments][-4:] == ["prod-4", "prod-5", "prod-6", "prod-7"]


def test_the_work_grows_with_the_applications() -> None:
    """Nobody compares each with each: counted in calls."""

    def calls(applications: int) -> int:
        text, count = dump(fleet(applications)).encode(), 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += 1

        before = sys.getprofile()
        sys.setprofile(counted)
        try:
            config.parse(text, FILE)
        finally:
            sys.setprofile(before)
        return count

    calls(1)  # the schema is read once
    assert calls(40) < 5 * calls(10)


KEYS = ["dev", "qa", "prod-us", "branch", "from", "requires", "paths", "environments", "name", "history", "gates"]
SCALARS = st.sampled_from(["dev", "qa", "a/b", "merge", "none", "../x", ""]) | st.none() | st.integers(0, 3)
TREES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(KEYS), x, max_size=4), max_leaves=10
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_random_damage(data: st.DataObject) -> None:
    """A file with anything in the place of one value is right, or wrong in a way that is said."""
    value = damaged(yaml.safe_load(WHOLE), data, TREES)
    with suppress(ConfigError):
        parse(dump(value))
