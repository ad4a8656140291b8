"""What a mutant is: the product without one guard. Finds guards by their syntax, so that no formatting hides them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class StaleError(Exception):
    """A guard of the list is not in the code."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: in `place` (`module:function`, `module:Class.method` or `module:`) `old` becomes `new`.

    Both are an expression or one statement, compared as syntax. `if X:` is the X of an `if`, and not of anything else.
    """

    place: str
    old: str
    new: str

    @property
    def path(self) -> str:
        """The file, below the project's folder; modules are those of promotion, unless they say `flows.`."""
        module = self.place.partition(":")[0].replace(".", "/")
        return f"{module}.py" if module.startswith("flows/") else f"promotion/{module}.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard that is removed, and the tests that must notice: `test_module::test_function`, in any folder of tests."""

    property: str
    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def cut(property: str, name: str, place: str, old: str, new: str, *tests: str) -> Mutant:
    """A guard that stands in one place."""
    return Mutant(property, name, (Edit(place, old, new),), tests)


def cut_all(property: str, name: str, edits: Sequence[Edit], *tests: str) -> Mutant:
    """Guards that stand in for each other, removed together."""
    return Mutant(property, name, tuple(edits), tests)


def mutated(mutant: Mutant, root: Path = ROOT) -> dict[str, str]:
    """The files that differ, path -> text. Raises StaleError."""
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        path = root / edit.path
        if edit.path not in texts and not path.is_file():
            raise _stale(mutant, edit, "there is no such file")
        text = texts.get(edit.path) or path.read_text("utf-8")
        texts[edit.path] = _edited(mutant, edit, text)
    return texts


def _stale(mutant: Mutant, edit: Edit, why: str) -> StaleError:
    where = f"{mutant.property} {mutant.name!r}: {edit.place}: `{' '.join(edit.old.split())}`"
    return StaleError(f"guard not found: update the list in tests/mutants ({where}: {why})")


def _edited(mutant: Mutant, edit: Edit, text: str) -> str:
    tree = ast.parse(text)
    scope = _scope(tree, edit.place.partition(":")[2])
    if scope is None:
        raise _stale(mutant, edit, "no such function")
    old, is_test = _parsed(edit.old)
    new, _ = _parsed(edit.new)
    wanted = ast.dump(old)
    found = [
        (holder, name, at)
        for holder, name, at, node in _children(scope)
        if type(node) is type(old)
        and ast.dump(node) == wanted
        and (not is_test or (name == "test" and isinstance(holder, ast.If)))
    ]
    if len(found) != 1:
        raise _stale(mutant, edit, f"it is there {len(found)} times")
    holder, name, at = found[0]
    if at is None:
        setattr(holder, name, new)
    else:
        if isinstance(old, ast.stmt) and isinstance(new, ast.expr):
            new = ast.Expr(new)
        getattr(holder, name)[at] = new
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _parsed(source: str) -> tuple[ast.AST, bool]:
    """The expression or the statement that a text is, and whether it is the question of an `if`."""
    text = textwrap.dedent(source).strip()
    if text.startswith("if ") and text.endswith(":"):
        return _expression(text[3:-1]), True
    try:
        return _expression(text), False
    except SyntaxError:
        (statement,) = ast.parse(text).body
        return statement, False


def _expression(text: str) -> ast.expr:
    return ast.parse(f"({text}\n)", mode="eval").body


def _scope(tree: ast.Module, name: str) -> ast.AST | None:
    scope: ast.AST | None = tree
    for part in filter(None, name.split(".")):
        body = getattr(scope, "body", [])
        scope = next((node for node in body if getattr(node, "name", None) == part), None)
    return scope


def _children(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every node below a node, with where it hangs."""
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                yield node, name, None, value
            elif isinstance(value, list):
                yield from ((node, name, at, item) for at, item in enumerate(value) if isinstance(item, ast.AST))
