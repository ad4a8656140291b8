"""--sign, and what a configured key signs, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.keys import key
from tests.support.shop import Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.delenv("PROMOTION_SIGNING_KEY", raising=False)
    return Shop(tmp_path)


def signed(shop: Shop, branch: str) -> list[bool]:
    """Of a branch's commits, newest first: whether they have a signature."""
    texts = (shop.origin.git("cat-file", "commit", c.commit) for c in shop.origin.log(branch))
    return ["\ngpgsig " in text for text in texts]


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "qa", "{dev}", "--reason", "r"),
        ("lift", "qa", "{dev}"),
        ("freeze", "qa", "--reason", "r"),
        ("thaw", "qa"),
        ("adopt", "qa"),
        ("configure", "--reason", "r"),
    ],
)
def test_sign_without_a_key_records_nothing(shop: Shop, words: tuple[str, ...]) -> None:
    """Said in one line, with the way to a key."""
    before = shop.origin.refs()
    said = shop(*(word.replace("{dev}", shop.tip("dev")) for word in words), "--sign")
    assert (said.status, "no key to sign with" in said.err, "user.signingkey" in said.err) == (2, True, True)
    assert shop.origin.refs() == before


def test_a_key_signs_records_and_promotions(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's own key by `--sign` or by itself; everything that a round writes."""
    shop.round()
    assert not any(signed(shop, "promotion/shop"))
    (tmp_path / "gitconfig").write_text(f"[gpg]\nformat = ssh\n[user]\nsigningkey = {key(tmp_path, 'ann')}\n")
    assert shop("freeze", "prod", "--reason", "inventory", "--sign").status == 0
    assert signed(shop, "promotion/shop")[:2] == [True, False]
    (tmp_path / "gitconfig").unlink()
    monkeypatch.setenv("PROMOTION_SIGNING_KEY", str(key(tmp_path, "bot")))
    shop.push("dev", {"web": "2\n"})
    shop.round()
    shop.round()
    assert signed(shop, "env/qa")[:1] == [True]
    assert all(signed(shop, "promotion/shop")[:4])
