"""The operator's input: files into documents, documents into objects, and a line for whatever is none."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from promotion.engines.kubernetes import manifests
from promotion.engines.kubernetes.documents import UnreadableError, Written, read
from promotion.engines.kubernetes.objects import (
    OWNER,
    digest,
    doubles,
    in_the_clear,
    judged,
    ordered,
    owner,
    placed,
)
from promotion.engines.kubernetes.render import rendered
from promotion.engines.manifest import oid_of
from promotion.errors import ConfigError
from promotion.model import Entry, Subject

SUBJECT = Subject("shop", "prod", "a" * 40, "https://git.example/shop.git", "env/prod")


class Files:
    """The content of one commit."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self.files = {k.encode(): v if isinstance(v, bytes) else v.encode() for k, v in files.items()}

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield from ((path, Entry(0o100644, oid_of(data))) for path, data in self.files.items())

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        yield from {oid_of(data): data for data in self.files.values() if oid_of(data) in oids}.items()


def data_of(text: str) -> Any:
    return read("a.yaml", text.encode())[0].data


def config(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


# --- documents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("22:22", "22:22"), ("2026-01-01", "2026-01-01"), ("0o17", 15), ("017", 15), ("0x1F", 31), ("-12", -12)),
        *(("1_000", 1000), ("1e3", 1000), ("0.50", 0.5), (".5", 0.5), ("~", None), ("null", None), ("''", "")),
        *(("yes", True), ("Off", False), ("yEs", "yEs"), ("y", "y"), ("'1'", "1"), ("1.2.3", "1.2.3"), ("09", 9)),
        *(("!!str 1", "1"), ("100m", "100m"), ("1Gi", "1Gi"), ("+5", 5), ("18446744073709551615", 2**64 - 1)),
    ],
)
def test_words_are_what_kubectl_takes_them_for(word: str, value: Any) -> None:
    """Not what YAML 1.1 does: `22:22` is no number of seconds, and a day is a text, as in JSON."""
    found = data_of(f"a: {word}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "key `c` is written twice"),
        ("a: [1\n", 2, "not YAML"),
        ("a:\n\tb: 1\n", 2, "not YAML"),
        ("a: *x\n", 1, "no `&x`"),
        ("a: &x [*x]\n", 1, "no `&x`"),
        ("? [a]\n: b\n", 1, "a key must be a text"),
        ("a: !!python/object:os.system 1\n", 1, "tag"),
        ("a: .inf\n", 1, "JSON cannot hold"),
        ("a: 1e999\n", 1, "JSON cannot hold"),
        ("a: 99999999999999999999\n", 1, "JSON cannot hold"),
        ("[" * 101 + "]" * 101, 1, "nested deeper"),
        ("[" * 100_000, 1, "nested deeper"),
        ("a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 50)}]\n" for i in range(6)), 5, "holds more"),
        (b"a: \xff\n", 1, "byte 0xff is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_told_with_its_line(text: str | bytes, line: int, why: str) -> None:
    """Also what would be read as something else, or without end."""
    with pytest.raises(UnreadableError) as caught:
        read("a.yaml", text.encode() if isinstance(text, str) else text)
    assert why in str(caught.value)
    assert caught.value.line == line


def test_documents_are_numbered_where_there_are_several() -> None:
    """Empty ones are left out, and counted."""
    assert read("a.yaml", b"---\na: 1\n") == [Written("a.yaml", {"a": 1})]
    several = read("a.yaml", b"a: 1\n---\n# nothing\n---\na: 2\n")
    assert [one.where for one in several] == ["a.yaml, document 1", "a.yaml, document 3"]


def test_anchors_and_merge_keys() -> None:
    """What is written beside `<<` counts more."""
    assert data_of("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n")["d"] == {"b": 1, "c": 3}


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"a": 1, "a": 2}', "twice"), ('{"a": NaN}', "NaN"), ("{", "no JSON"), ("[" * 100_000, "deeply")],
)  # fmt: skip
def test_json(text: str, why: str) -> None:
    """The same rules."""
    with pytest.raises(UnreadableError, match=why):
        read("a.json", text.encode())


# --- objects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([], "no object, but a list"),
        ({"kind": "ConfigMap", "metadata": {"name": "a"}}, "no `apiVersion`: ConfigMap/a is no Kubernetes object"),
        ({"apiVersion": "v1", "metadata": {"name": "a"}}, "no `kind`"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "no `metadata`"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, "no `metadata.name`"),
        ({"apiVersion": "v1", "kind": "Job", "metadata": {"generateName": "a-"}}, "`generateName`"),
        (config("../a"), "is none that an object can have"),
        (config("a", sops={"version": 3}), "encrypted with SOPS"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": ["x"]}}, "`metadata.labels`"),
    ],
)
def test_what_is_no_object_is_told(data: Any, why: str) -> None:
    """Where it stands, and what it lacks."""
    found, problems = judged([Written("web.yaml, document 2", data)])
    assert not found
    assert problems[0].startswith("web.yaml, document 2: ")
    assert why in problems[0]


@pytest.mark.parametrize("text", ["a\ud800", "a\x1b[31m", "a\nb", "a\u202eb"])
@pytest.mark.parametrize("key", ["kind", "apiVersion", "name"])
def test_what_a_terminal_or_an_address_cannot_have_names_nothing(key: str, text: str) -> None:
    """Neither is it said."""
    body = {**config(text)} if key == "name" else {**config("a"), key: text}
    found, (line,) = judged([Written("a.yaml", body)])
    assert (found, line.isprintable()) == ([], True)


def test_a_secret_of_another_shape_is_the_servers_to_refuse() -> None:
    """A text where its values belong is no bug of ours."""
    secret = {**config("db"), "kind": "Secret", "data": "x", "stringData": {"a": "b"}}
    (manifest,), _ = judged([Written("a.yaml", secret)])
    body = placed(manifest, namespaced=True, namespace="shop", label="shop.prod").body
    assert (body["data"], body["stringData"]) == ("x", {"a": "b"})


def test_lists_are_taken_apart() -> None:
    """Lists in lists too; each object says where it stood."""
    inner = {"apiVersion": "v1", "kind": "List", "items": [config("b")]}
    found, problems = judged([Written("a.yaml", {"apiVersion": "v1", "kind": "List", "items": [config("a"), inner]})])
    assert not problems
    assert [(one.ref.name, one.where) for one in found] == [("a", "a.yaml, item 1"), ("b", "a.yaml, item 2, item 1")]


def test_one_object_stands_there_once() -> None:
    """In its namespace by default or in words, and in whichever version."""
    one, other = config("a"), config("a") | {"metadata": {"name": "a", "namespace": "shop"}}
    found, _ = judged([Written("a.yaml", one), Written("b.yaml", other)])
    at = [placed(each, namespaced=True, namespace="shop", label="shop.prod") for each in found]
    assert list(doubles(at)) == ["b.yaml: ConfigMap/shop/a stands in a.yaml already"]


def test_another_namespace_is_refused() -> None:
    """The operator serves one; what has none is of the whole cluster, and the server says who may."""
    found, _ = judged([Written("a.yaml", config("a") | {"metadata": {"name": "a", "namespace": "kube-system"}})])
    with pytest.raises(ValueError, match="for namespace `kube-system`, and only `shop` is served"):
        placed(found[0], namespaced=True, namespace="shop", label="shop.prod")


def test_an_object_is_applied_without_what_only_the_server_writes() -> None:
    """With our label, in our namespace."""
    written = config("a", status={"x": 1}) | {
        "metadata": {"name": "a", "uid": "1", "managedFields": [], "labels": {"a": "b"}}
    }
    found, _ = judged([Written("a.yaml", written)])
    body = placed(found[0], namespaced=True, namespace="shop", label="shop.prod").body
    assert body == config("a") | {
        "metadata": {"name": "a", "namespace": "shop", "labels": {"a": "b", OWNER: "shop.prod"}}
    }
    assert placed(found[0], namespaced=False, namespace="shop", label="l").body["metadata"].get("namespace") is None


def test_the_order_is_safe() -> None:
    """What others need comes first; what could keep others away comes last; a kind's name alone says nothing."""
    kinds = [
        *(
            "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
            "shop.example/v1/Widget",
            "apps/v1/Deployment",
        ),
        *(
            "v1/Service",
            "v1/ConfigMap",
            "rbac.authorization.k8s.io/v1/RoleBinding",
            "rbac.authorization.k8s.io/v1/Role",
        ),
        *("v1/ServiceAccount", "apiextensions.k8s.io/v1/CustomResourceDefinition", "serving.example.com/v1/Service"),
        "v1/Namespace",
    ]
    documents = [
        {"apiVersion": one.rpartition("/")[0], "kind": one.rpartition("/")[2], "metadata": {"name": "a"}}
        for one in kinds
    ]
    found, _ = judged(Written("a.yaml", one) for one in documents)
    assert [f"{one.ref.group}/{one.ref.kind}".strip("/") for one in ordered(found)] == [
        *("Namespace", "apiextensions.k8s.io/CustomResourceDefinition", "ServiceAccount"),
        *("rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding", "ConfigMap", "Service"),
        *("apps/Deployment", "serving.example.com/Service", "shop.example/Widget"),
        "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
    ]


def test_a_secret_in_the_clear_is_told_without_its_content() -> None:
    """One without values is none."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "hunter2"}}
    found, _ = judged([Written("db.yaml", secret), Written("e.yaml", secret | {"stringData": {}})])
    lines = list(in_the_clear(found))
    assert len(lines) == 1
    assert "db.yaml: Secret/db has its values in the clear" in lines[0]
    assert "hunter2" not in lines[0]


def test_owners_are_told_apart() -> None:
    """Whatever their names' length; a label has 63 characters."""
    assert owner("shop", "prod", "web") == "shop.prod.web"
    assert owner("a.b", "c", "d") != owner("a", "b-c", "d")
    long, other = owner("a" * 63, "prod", "web"), owner("a" * 63, "prod", "api")
    assert len({long, other}) == 2
    assert max(len(long), len(other)) <= 63


def test_a_digest_is_of_the_value() -> None:
    """Not of the order of its keys."""
    assert digest({"a": 1, "b": [1]}) == digest({"b": [1], "a": 1}) != digest({"a": 1, "b": [2]})


# --- rendering ------------------------------------------------------------------------------------------------------

WEB = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"


def test_plain_files_are_found_below_the_path() -> None:
    """In any depth; hidden ones are a tool's, and others are no manifests."""
    files = {
        "prod/a.yaml": WEB,
        "prod/b/c.yml": WEB,
        "prod/d.json": "{}",
        "prod/.github/x.yaml": "no: [",
        "prod/README.md": "#",
    }
    found = rendered({"path": "prod"}, SUBJECT, Files({**files, "qa/z.yaml": "no: ["}))
    assert [one.where for one in found] == ["prod/a.yaml", "prod/b/c.yml", "prod/d.json"]


def test_a_path_that_is_not_there_names_the_nearest() -> None:
    """Nothing is deployed by accident."""
    with pytest.raises(ConfigError, match="no files below `overlays/prd` in this commit; did you mean `overlays/prod`"):
        rendered({"path": "overlays/prd"}, SUBJECT, Files({"overlays/prod/web.yaml": WEB}))


def test_a_kustomization_further_down_is_refused() -> None:
    """Its patches are no objects."""
    with pytest.raises(ConfigError, match="write `path: overlays/prod`"):
        rendered({"path": "overlays"}, SUBJECT, Files({"overlays/prod/kustomization.yaml": "resources: []\n"}))


def test_every_file_that_cannot_be_read_is_told() -> None:
    """With its line; nothing of the others counts."""
    with pytest.raises(ConfigError) as caught:
        rendered({}, SUBJECT, Files({"a.yaml": "a: [\n", "b.yaml": "a: 1\na: 2\n", "c.yaml": WEB}))
    assert [line.partition(": ")[0] for line in caught.value.problems] == ["a.yaml:2", "b.yaml:2"]


def test_a_manifest_that_becomes_a_link_is_told() -> None:
    """Left out it would be gone from Git, and what it stood for pruned."""

    class Links(Files):
        def entries(self) -> Iterator[tuple[bytes, Entry]]:
            for path, entry in super().entries():
                yield path, Entry(0o120000, entry.oid) if path.startswith(b"prod/link") else entry

    files = Links({"prod/a.yaml": WEB, "prod/link.yaml": "../base/b.yaml", "prod/link": "../base", "base/b.yaml": WEB})
    with pytest.raises(ConfigError, match=r"prod/link\.yaml: is no file but a link, and none is followed"):
        rendered({"path": "prod"}, SUBJECT, files)


def test_a_revision_is_rendered_once(caplog: pytest.LogCaptureFixture) -> None:
    """An idle round renders nothing; a warning is said once."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {a: aGk=}\n"
    once = Subject("once", "prod", "a" * 40)
    first = manifests({}, once, Files({"a.yaml": secret}))
    assert manifests({}, once, Files({})) is first
    assert len([line for line in caplog.messages if "in the clear" in line]) == 1


@pytest.fixture
def kustomize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on PATH for a kustomize; deployments have their places below the test's own folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def program(folder: Path, text: str) -> Subject:
    path = folder / "kustomize"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Subject("shop", "prod", "a" * 40, environ={"PATH": f"{folder}:{os.environ['PATH']}"})


OVERLAY = {"overlays/prod/kustomization.yaml": "resources: [../../base]\n", "base/web.yaml": WEB}


def test_kustomize_gets_the_files_of_the_commit(kustomize: Path) -> None:
    """All of them, for its bases are elsewhere; its output is read from a file, however long it is."""
    subject = program(kustomize, 'test "$1 $2" = "build --output" && cat "$4/../../base/web.yaml" > "$3"')
    found = rendered({"path": "overlays/prod"}, subject, Files(OVERLAY))
    assert [(one.where, one.data["metadata"]["name"]) for one in found] == [("kustomize overlays/prod", "web")]


def test_kustomize_fetches_nothing(kustomize: Path) -> None:
    """What is deployed comes from the commit."""
    subject = program(kustomize, 'echo "Error: $HTTPS_PROXY $http_proxy $NO_PROXY $GIT_ALLOW_PROTOCOL" >&2; exit 1')
    with pytest.raises(ConfigError, match="kustomize: what it names would have to be fetched"):
        rendered({"path": "overlays/prod"}, subject, Files(OVERLAY))
    subject = program(kustomize, 'echo "Error: $NO_PROXY $GIT_ALLOW_PROTOCOL" >&2; exit 1')
    with pytest.raises(ConfigError, match="kustomize: Error: none"):
        rendered({"path": "overlays/prod"}, subject, Files(OVERLAY))


def test_without_kustomize_it_is_said() -> None:
    """Which programs were looked for."""
    nowhere = Subject("shop", "prod", "a" * 40, environ={"PATH": "/nowhere"})
    with pytest.raises(ConfigError, match="neither `kustomize` nor `kubectl` is on PATH"):
        rendered({"path": "overlays/prod"}, nowhere, Files(OVERLAY))


KUBECTL = Path(sys.executable).parent / "kubectl"


@pytest.mark.skipif(not KUBECTL.exists(), reason="no kubectl beside this Python")
@pytest.mark.parametrize(
    "fetched", ["", "https://example.com/base.yaml", "git@example.com:shop/base.git", "../../../outside"]
)
def test_a_real_kubectl_renders_what_is_in_the_commit_alone(kustomize: Path, fetched: str) -> None:
    """Bases and patches of the commit; nothing that would have to be fetched, or lies outside."""
    (kustomize / "kubectl").symlink_to(KUBECTL)
    subject = Subject("shop", "prod", "a" * 40, environ={"PATH": str(kustomize)})
    resources = ["../../base", *([fetched] if fetched else [])]
    files = {
        "base/web.yaml": WEB,
        "base/kustomization.yaml": "resources: [web.yaml]\n",
        "overlays/prod/kustomization.yaml": f"resources: {resources}\nnamePrefix: prod-\ncommonLabels: {{a: b}}\n",
    }
    if fetched:
        why = "would have to be fetched, and nothing is" if "example" in fetched else "kustomize: "
        with pytest.raises(ConfigError, match=why):
            rendered({"path": "overlays/prod"}, subject, Files(files))
        return
    (found,) = rendered({"path": "overlays/prod"}, subject, Files(files))
    assert (found.data["metadata"]["name"], found.data["metadata"]["labels"]) == ("prod-web", {"a": "b"})
