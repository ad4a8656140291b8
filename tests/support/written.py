"""Environment files as values, and what is said of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from promotion import config
from promotion.errors import ConfigError
from promotion.model import Pipeline

FILE = Path("/srv/conf/environments.yaml")


def parse(text: str) -> Pipeline:
    return config.parse(text.encode(), FILE)


def dump(value: Any) -> str:
    """YAML by which the same value is read back; JSON is YAML."""
    return json.dumps(value)


def env(name: str = "dev", /, **more: Any) -> dict[str, Any]:
    """A valid environment; None takes a key away, and a trailing `_` is for words of Python."""
    engine = {"type": "directory", "path": f"out/{name}"}
    keys = {"name": name, "branch": f"env/{name}", "engine": engine, "health": "none"}
    keys |= {key.rstrip("_"): value for key, value in more.items()}
    return {key: value for key, value in keys.items() if value is not None}


def file(*environments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A valid file with one application; None takes a key away."""
    keys = {"version": 1, "repository": "/srv/git/shop.git", "environments": list(environments) or [env()]} | more
    return {key: value for key, value in keys.items() if value is not None}


def wrong(value: Any) -> list[str]:
    """The problems of a file, without its name and the places."""
    with pytest.raises(ConfigError) as caught:
        config.parse((value if isinstance(value, str) else dump(value)).encode(), FILE)
    return [re.sub(r"^/srv/conf/environments\.yaml:\d+:\d+: ", "", line) for line in caught.value.problems]


def damaged(value: Any, data: st.DataObject, trees: st.SearchStrategy[Any]) -> Any:
    """The same file with one of `trees` in the place of one of its values, or as it was."""
    at = value
    while isinstance(at, dict | list) and at:
        step = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        inner = at[step]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 4)) == 0:
            at[step] = data.draw(trees)
            break
        at = inner
    return value
