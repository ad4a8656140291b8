"""What numbers are expected and which objects are asked about, as written."""

from __future__ import annotations

import math

import pytest

from promotion.expectation import OPERATORS, expectation
from promotion.objectname import ObjectName, object_name


@pytest.mark.parametrize(
    ("text", "meets", "fails"),
    [
        ("< 0.01", [0.009, -5], [0.01, 1]),
        ("<= 0.01", [0.01], [0.0101]),
        (">0", [1e-9], [0, -1]),
        (" >=  +1e3 ", [1000], [999.9]),
        ("== .5", [0.5], [0.49]),
        ("!= -1", [0], [-1]),
    ],
)
def test_a_number_meets_it_or_not(text: str, meets: list[float], fails: list[float]) -> None:
    """As the operator says, which may stand close to the number."""
    read = expectation(text)
    assert all(map(read.met_by, meets))
    assert not any(map(read.met_by, fails))
    assert expectation(str(read)) == read


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_meets_nothing(sign: str, value: float) -> None:
    """Neither `!= 0` nor `> 0` is met by what could not be measured."""
    assert not expectation(f"{sign} 0").met_by(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "`` is nothing that a number can meet"),
        ("0.01", "an operator is missing: write an operator (<, <=, >, >=, ==, !=) and a number, such as `< 0.01`"),
        ("= 1", "no operator `=`"),
        ("=< 1", "no operator `=<`"),
        ("< ", "`< ` is nothing that a number can meet"),
        ("< NaN", "`< NaN` is nothing"),
        ("< 1e999", "`< 1e999` is nothing"),
        ("< 1%", "`< 1%` is nothing"),
        ("< 1 and > 0", "nothing that a number can meet"),
        ("< ٣", "nothing that a number can meet"),
    ],
)
def test_what_is_no_expectation(text: str, problem: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(ValueError, match=r".") as caught:
        expectation(text)
    assert problem in str(caught.value)
    assert "such as `< 0.01`" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deployment/shop", ObjectName("deployment", "shop")),
        ("Deployments.apps/shop", ObjectName("Deployments", "shop", "apps")),
        ("rollouts.argoproj.io/shop", ObjectName("rollouts", "shop", "argoproj.io")),
        ("v1/Pod/x", ObjectName("Pod", "x", "", "v1")),
        ("apps/v1/Deployment/a.b-c", ObjectName("Deployment", "a.b-c", "apps", "v1")),
        ("clusterrole/system:node", ObjectName("clusterrole", "system:node")),
    ],
)
def test_names_of_objects(text: str, name: ObjectName) -> None:
    """With as much of the kind as is written."""
    assert object_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "shop", "deployment/", "/shop", "a/b/c", "apps/v1/D/x/y", "../x", "pod/a b", "pod/-x"]
)
def test_what_names_no_object(text: str) -> None:
    """One line says what is allowed."""
    with pytest.raises(ValueError, match="names no object: write `deployment/shop`"):
        object_name(text)
