"""The house's rules, so that they hold without anybody remembering them."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.git import Origin

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for package in ("promotion", "flows") for path in (ROOT / package).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = ROOT / "requirements.lock"

MODULE_LINES = 350
FUNCTION_LINES = 60
UNHELPFUL = re.compile(r"utils?|.*(Manager|Helper|Base|Mixin)|helpers?|common|misc")
HOSTS = re.compile(  # addresses that files may name: examples, ourselves, and public documentation
    r"([a-z0-9.-]+\.)?example(\.(com|org|net))?|[a-z0-9.-]+\.(test|invalid|localhost)|localhost|127\.0\.0\.1|0\.0\.0\.0|"
    r"keepachangelog\.com|semver\.org|json-schema\.org|(www\.)?apache\.org|docs\.prefect\.io|git-scm\.com|docs\.python\.org|"
    r"no-color\.org|www\.w3\.org"
)


def name_of(path: Path) -> str:
    """How a failing test names a module."""
    return str(path.relative_to(ROOT))


each_module = pytest.mark.parametrize("path", SOURCES, ids=name_of)
each_module_outside_cli = pytest.mark.parametrize(
    "path", [path for path in SOURCES if ROOT / "promotion/cli" not in path.parents], ids=name_of
)


def parsed(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(), str(path))


def imported(tree: ast.AST) -> set[str]:
    """Full names of all that is imported anywhere in a module, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(node: ast.AST) -> str:
    """`os.environ` for such an expression, the empty string for any other."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def tracked() -> Iterator[tuple[str, str]]:
    """Names and texts of all files in Git, as they are now; pictures and the like are left out."""
    # a checkout may belong to another user than the one who runs the tests, in a container for example
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data:
            yield name, data.decode()


def fresh(code: str, *args: str, cwd: Path = ROOT) -> str:
    """Run Python code in a new interpreter and return what it prints; its errors are the test's failure."""
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- layers ---------------------------------------------------------------------------------------------------------


def test_imports_go_down_only() -> None:
    """The contracts of pyproject.toml hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_a_layer() -> None:
    """A module that no layer names would be free to import anything."""
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip(" ()") for layer in layers for name in re.split(r"[|:]", layer)}
    there = {
        f"promotion.{path.stem}" for path in (ROOT / "promotion").iterdir() if path.suffix == ".py" or path.is_dir()
    }
    there = {name for name in there if not name.rpartition(".")[2].startswith("__")} | {"flows"}
    assert there == named


@each_module
def test_prefect_only_in_flows_and_flows_only_in_the_command_line(path: Path) -> None:
    """The core promotes without Prefect; imports inside functions count."""
    roots = {name.partition(".")[0] for name in imported(parsed(path))}
    if ROOT / "flows" not in path.parents:
        assert "prefect" not in roots
    if not {ROOT / "flows", ROOT / "promotion/cli"} & set(path.parents):
        assert "flows" not in roots


def test_importing_all_of_promotion_imports_no_prefect() -> None:
    """Only the verbs that need Prefect may load it, when they run: it costs a second."""
    fresh(
        "import importlib, pkgutil, sys, promotion\n"
        "names = [found.name for found in pkgutil.walk_packages(promotion.__path__, 'promotion.')]\n"
        "assert 'promotion.cli' in names, names\n"
        "for name in names: name.endswith('__main__') or importlib.import_module(name)\n"
        "assert not {'prefect', 'kubernetes', 'fastapi', 'sqlalchemy', 'flows'} & set(sys.modules)\n"
    )


@pytest.mark.parametrize("verb", [["status"], ["plan", "qa"]], ids=" ".join)
def test_looking_imports_no_prefect(verb: list[str], origin: Origin, tmp_path: Path) -> None:
    """What people type all day answers within 0.4 s: neither Prefect nor a Kubernetes client is loaded on the way."""
    dev, qa = (
        {"name": name, "branch": f"env/{name}", "engine": {"type": "directory", "path": name}} for name in ("dev", "qa")
    )
    environments = [{**dev, "health": "none"}, {**qa, "health": "none", "from": "dev"}]
    config = {"version": 1, "name": "shop", "repository": origin.url, "environments": environments}
    (tmp_path / "environments.yaml").write_text(json.dumps(config))
    printed = fresh(
        "import sys\n"
        "from promotion.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit: assert exit.code in (None, 0, 3), exit.code\n"
        "assert not {'prefect', 'kubernetes', 'fastapi', 'sqlalchemy', 'flows'} & set(sys.modules)\n",
        "--json",
        *verb,
        cwd=tmp_path,
    )
    assert {"applications", "verdict"} & set(json.loads(printed))


# --- modules --------------------------------------------------------------------------------------------------------


@each_module
def test_modules_are_short_and_say_their_job(path: Path) -> None:
    """One job that fits a docstring, and a size that fits a head."""
    tree = parsed(path)
    assert ast.get_docstring(tree), "no module docstring"
    assert len(path.read_text().splitlines()) <= MODULE_LINES
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: count for name, count in lines.items() if count > FUNCTION_LINES} == {}


@each_module
def test_names_say_something(path: Path) -> None:
    """No `utils`, `Manager`, `Helper`, `Base`."""
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in [path.stem, path.parent.name, *classes] if UNHELPFUL.fullmatch(name)] == []


def test_nothing_but_errors_inherits_from_us() -> None:
    """Kinds are functions in a dict; a class is for an open resource or a frozen value."""
    classes = [node for path in SOURCES for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    ours = {node.name for node in classes if not node.name.endswith("Error")}
    assert {node.name for node in classes if ours & {dotted(base).rpartition(".")[2] for base in node.bases}} == set()


@each_module_outside_cli
def test_only_the_command_line_prints_exits_and_reads_variables(path: Path) -> None:
    """Everything else takes what it needs as arguments and answers with values; a process's own entry is as free."""
    tree = parsed(path)
    if "__name__" in {dotted(node.left) for node in ast.walk(tree) if isinstance(node, ast.Compare)}:
        return
    used = {dotted(node) for node in ast.walk(tree)} | imported(tree)
    forbidden = {"print", "input", "os.environ", "os.environb", "os.getenv", "os.putenv", "sys.exit", "sys.argv"}
    forbidden |= {"sys.stdout", "sys.stderr", "SystemExit", "os._exit", "breakpoint"}
    if path == ROOT / "promotion/checks/command.py":
        forbidden -= {"os.environ"}  # the four harmless variables that it passes on, and no others
    assert used & forbidden == set()


def test_kinds_of_the_schema_are_the_kinds_of_the_code() -> None:
    """What an editor offers is what exists."""
    from promotion.checks import CHECKS
    from promotion.engines import ENGINES
    from promotion.gates import GATES

    definitions = json.loads((ROOT / "promotion/schema.json").read_text())["$defs"]
    offered = {name: set(definitions[name]["properties"]["type"]["enum"]) for name in ("check", "gate", "engine")}
    assert offered == {"check": set(CHECKS), "gate": set(GATES), "engine": set(ENGINES)}


# --- what is committed ----------------------------------------------------------------------------------------------


def test_no_file_names_this_machine(machine_environment: Mapping[str, str]) -> None:
    """Neither the checkout's path, nor people's homes, nor this host, nor where it gets its packages."""
    indexes = {value for name, value in machine_environment.items() if re.match(r"(PIP|UV)_.*(INDEX|LINKS|HOST)", name)}
    private = {word for value in indexes for word in value.split() if len(word) > 5}
    private |= {str(ROOT)} if len(ROOT.parts) > 2 else set()
    private |= {socket.gethostname()} if len(socket.gethostname()) > 8 else set()
    homes = re.compile(r"/(?:home|Users)/[a-z][\w.-]*/|/root/\w")
    found = {name: sorted(word for word in private if word in text) + homes.findall(text) for name, text in tracked()}
    assert {name: words for name, words in found.items() if words} == {}


def test_no_file_names_an_unknown_host() -> None:
    """Examples use the reserved names; anything else is a deliberate line in HOSTS."""
    address = re.compile(r"\b(?:https?|ssh|git)://(?:[^\s/@\"'`]+@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
    found = {name: {host for host in address.findall(text) if not HOSTS.fullmatch(host)} for name, text in tracked()}
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


def test_the_lock_pins_by_hash_and_names_no_address() -> None:
    """It installs from whatever index the machine has, and only what was there when it was made."""
    text = LOCK.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+.*\\\n\s+--hash=sha256:", entry)] == []


def test_the_lock_fulfils_pyproject() -> None:
    """Every direct dependency is in it, within its bounds; `make lock` mends it."""
    locked = {
        canonical(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.!+]+)", LOCK.read_text(), re.M)
    }
    project = PROJECT["project"]
    wanted = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]
    missing = [str(one) for one in wanted if not one.specifier.contains(locked.get(canonical(one.name), "0"))]
    assert missing == []


def canonical(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
