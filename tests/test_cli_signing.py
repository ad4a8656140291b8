"""--sign, and what a configured key signs, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.keys import key, line
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


def trusted(shop: Shop, tmp_path: Path) -> Path:
    """A file that trusts the robot; the robot's key."""
    bot = key(tmp_path, "bot")
    (tmp_path / "signers").write_text(line("bot@example.com", bot))
    shop.write(trust={"allowed_signers": "signers", "orchestrators": ["bot@example.com"]})
    return bot


def test_a_trusted_ledger_says_so(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `status`, `validate` and `audit`; a record that changes nothing is named, and `audit` ends with 4."""
    bot = trusted(shop, tmp_path)
    said = shop("run")
    assert (said.status, "no key to sign with" in said.err) == (2, True)
    assert "promotion/shop" not in "".join(shop.origin.refs())
    assert "signing" in shop("validate", "--online").out
    monkeypatch.setenv("PROMOTION_SIGNING_KEY", str(bot))
    shop.round()
    assert "ledger: signed" in shop("status").out
    assert "ledger: signed" in shop("validate").out
    assert "records are signed by bot@example.com" in shop("validate", "--online").out
    assert "all holds; ledger: signed" in shop("audit").out
    record = shop.origin.git("cat-file", "commit", shop.origin.tip("promotion/shop")).partition("\n\n")[2]
    tree = shop.origin.git("rev-parse", "promotion/shop^{tree}").strip()
    bad = shop.origin.git("commit-tree", tree, "-p", "promotion/shop", input=record).strip()
    shop.origin.set("promotion/shop", bad)
    assert f"! record {bad[:7]} changes nothing: it is not signed" in shop("status").out
    assert "records that change nothing" in shop("validate", "--online").out
    said = shop("audit")
    assert (said.status, "changes nothing: it is not signed" in said.out) == (4, True)


def test_another_list_of_keys_is_stopped(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another gate would be: what differs is shown, and the way to make it the one in force."""
    bot = trusted(shop, tmp_path)
    monkeypatch.setenv("PROMOTION_SIGNING_KEY", str(bot))
    shop.round()
    (tmp_path / "signers").write_text(line("bot@example.com", bot) + line("eve@example.com", key(tmp_path, "eve")))
    said = shop("status")
    assert (said.status, "trust.allowed_signers" in said.err, "promotion configure" in said.err) == (2, True, True)
    assert shop("configure", "--reason", "eve is here").status == 0
    assert shop("status").status == 0
