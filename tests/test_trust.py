"""Whose records count, on real repositories with real keys: what others push changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from promotion import ledger, observe, reconcile, report
from promotion.errors import ConfigError, RefusedError
from promotion.events import Event
from promotion.model import Health
from promotion.reconcile import people
from promotion.state import Fact, Release, State
from promotion.trust import check
from tests.support.counted import Counted
from tests.support.keys import key, line
from tests.support.trusted import ALICE, BOB, BOT, Trusted

HOLD = {"commit": "1" * 40, "entries": {}, "reason": "leaks"}
FREEZE = {"reason": "mine", "until": None, "strict": False}


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Trusted]:
    """A change waits in dev: healthy, and ready to go on to qa."""
    made = Trusted.create(tmp_path)
    made.stage.round()
    made.stage.commit("dev", {"web": "2\n"})
    yield made
    made.stage.close()


def test_an_orchestrators_records_count(ours: Trusted) -> None:
    """Everything as without trust, and each record is signed."""
    for _ in range(4):
        ours.stage.round()
    assert ours.stage.origin.files("env/prod")["web"] == "2\n"
    signed = ours.stage.site.repository.signatures.line(ours.trust.signers, ours.tip(), 100)
    assert len(signed) > 10
    assert {one.principal for one in signed} == {BOT}
    assert report.audit(ours.stage.site, ours.stage.world()) == []


@pytest.mark.parametrize(("kind", "data"), [("held", HOLD), ("frozen", FREEZE)])
def test_an_approvers_decisions_count(ours: Trusted, kind: str, data: dict[str, object]) -> None:
    """Above the orchestrator's record, and below the next one."""
    ours.record("alice", ours.event(kind, "qa", ALICE, **data))
    ours.record("bob", ours.event("held", "prod", BOB, **HOLD))
    for _ in range(2):
        state = ours.stage.world().state
        assert bool(state.of("qa").holds) == (kind == "held")
        assert bool(state.of("qa").frozen) == (kind == "frozen")
        assert [h.by for h in state.of("prod").holds] == [BOB]
        assert ours.stage.world().ignored == {}
        ours.stage.round()
    assert report.audit(ours.stage.site, ours.stage.world()) == []


def test_an_approver_uses_up_a_code(ours: Trusted) -> None:
    """Their own: what they claim is used, and what they claim of another's is not."""
    said = {"plan_id": "0" * 64, "source": "0" * 40, "step": 7}
    ours.record("alice", ours.event("identified", "qa", ALICE, **said))
    ours.record("bob", ours.event("identified", "qa", ALICE, **said | {"step": 8}))
    state = ours.stage.world().state
    assert state.codes == {ALICE: 7}
    assert list(ours.stage.world().ignored.values()) == [f"{BOB} signed it for {ALICE}"]


def forged(ours: Trusted, commit: str) -> dict[str, object]:
    tip = ours.stage.tip("qa")
    tree = ours.stage.site.repository.objects.commit(ours.stage.tip("dev")).tree
    data = {"plan_id": "0" * 64, "commit": tip, "source": commit, "base": tip, "target": tip, "tree": tree}
    return {**data, "until": "2026-11-25T12:00:00Z"}


def stranger(ours: Trusted) -> str:
    """By a stranger's key."""
    ours.record("stranger", ours.event("frozen", "qa", BOT, **FREEZE))
    return "which allowed_signers does not have"


def unsigned(ours: Trusted) -> str:
    """By whoever may push."""
    ours.record("nobody", ours.event("frozen", "qa", BOT, **FREEZE))
    return "it is not signed"


def expired(ours: Trusted) -> str:
    """By an orchestrator's key whose time is over."""
    ours.record("old", ours.event("frozen", "qa", "old@example.com", **FREEZE))
    return "not for that day"


def approver_promotes(ours: Trusted) -> str:
    """By an approver, that qa has what it has not."""
    ours.record("alice", ours.event("promoted", "qa", ALICE, **forged(ours, ours.stage.tip("dev"))))
    return "`promoted` is for orchestrators"


def approver_adopts(ours: Trusted) -> str:
    """By an approver, that prod stands for something else."""
    data = {"commit": ours.stage.tip("prod"), "source": ours.stage.tip("dev")}
    ours.record("alice", ours.event("adopted", "prod", ALICE, **data))
    return "`adopted` is for orchestrators"


def approver_for_another(ours: Trusted) -> str:
    """By an approver in another's name."""
    ours.record("alice", ours.event("held", "qa", BOB, **HOLD))
    return f"{ALICE} signed it for {BOB}"


def forged_state(ours: Trusted) -> str:
    """A stranger's event that says little, with a state that says everything."""
    state = ours.stage.world().state
    dev, qa = state.of("dev"), state.of("qa")
    fact = Fact(Health.HEALTHY, ours.stage.now, ours.stage.now, ours.stage.now)
    state = state.with_environment("dev", replace(dev, facts={ours.stage.tip("dev"): fact}))
    state = state.with_environment("qa", replace(qa, release=Release("2" * 40, "3" * 40)))
    ours.record("nobody", ours.event("lifted", "qa", BOT, commit="1" * 40), state)
    return "it is not signed"


def of_another_application(ours: Trusted) -> str:
    """An approver's own word, said of another application."""
    event = replace(ours.event("frozen", "qa", ALICE, **FREEZE), application="billing")
    ours.record("alice", event)
    return "it is of application 'billing'"


def stripped(ours: Trusted) -> str:
    """An approver's record whose signature was taken off, with what it says changed."""
    before = ours.tip()
    oid = ours.record("alice", ours.event("held", "qa", ALICE, **HOLD))
    made = ours.stage.site.repository.objects.commit(oid)
    site = ours.site("nobody")
    ours.put(site.repository.commit_tree(made.tree, [before], made.message.replace("leaks", "so"), made.at))
    return "it is not signed"


def said_again(ours: Trusted) -> str:
    """An approver's record once more, on top of where it was taken back: with its signature it is another commit."""
    oid = ours.record("alice", ours.event("held", "qa", ALICE, **HOLD))
    ours.record("bot", ours.event("lifted", "qa", BOT, commit=HOLD["commit"]))
    repository = ours.stage.site.repository
    raw = repository._git.run(repository.path, "cat-file", "commit", oid).output
    parent = repository.objects.commit(oid).parents[0]
    again = raw.replace(f"parent {parent}".encode(), f"parent {ours.tip()}".encode())
    ours.put(
        repository._git.run(repository.path, "hash-object", "-wt", "commit", "--stdin", stdin=again)
        .output.decode()
        .strip()
    )
    return "its signature is not good"


def merged_in(ours: Trusted) -> str:
    """An approver's record with a second parent."""
    state = ours.stage.world().state
    oid = ours.record("alice", ours.event("held", "qa", ALICE, **HOLD), state)
    made = ours.stage.site.repository.objects.commit(oid)
    site = ours.site("alice")
    parents = [made.parents[0], ours.stage.tip("dev")]
    ours.put(site.repository.commit_tree(made.tree, parents, made.message, made.at))
    return "it has 2 parents"


def not_a_record(ours: Trusted) -> str:
    """A signed commit that is none of ours."""
    site = ours.site("bot")
    tree = site.repository.objects.commit(ours.tip()).tree
    ours.put(site.repository.commit_tree(tree, [ours.tip()], "hello", ours.stage.now))
    return "it is not readable"


ATTACKS = (
    stranger,
    unsigned,
    expired,
    approver_promotes,
    approver_adopts,
    approver_for_another,
    forged_state,
    of_another_application,
    stripped,
    said_again,
    merged_in,
    not_a_record,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_what_others_push_changes_nothing(ours: Trusted, attack: Callable[[Trusted], str]) -> None:
    """It stays in the chain, it is named, and what is right lands all the same, on top of it and of the true state."""
    before = ours.stage.world().state
    why = attack(ours)
    bad, world = ours.tip(), ours.stage.world()
    if attack is not said_again:
        assert world.state == before
    assert not world.state.of("qa").holds
    assert why in world.ignored[bad]
    ours.stage.round()
    first = report.audit(ours.stage.site, ours.stage.world())[0]
    assert (first["record"], first["problem"]) == (bad, f"record changes nothing: {world.ignored[bad]}")
    world = ours.stage.world()
    assert world.ignored == {}, "an orchestrator's record is on top of it, and carries the true state"
    assert bad in [c.commit for c in ours.stage.origin.log("promotion/shop")]
    assert ours.stage.origin.files("env/qa")["web"] == "2\n"
    assert not world.state.of("qa").holds
    assert ours.stage.site.repository.objects.commit(world.state.of("qa").release.commit).parents[1] == ours.stage.tip(
        "dev"
    )  # type: ignore[union-attr]


def test_a_signed_promotion_is_no_ledger(ours: Trusted) -> None:
    """A commit that an orchestrator signed for a branch, with a file called state.json in it, says nothing as a ledger."""
    state = ours.stage.origin.show(ours.tip(), "state.json")
    assert state is not None
    ours.stage.commit("dev", {"state.json": state.replace('"frozen":null', '"frozen":null ')})
    for _ in range(3):
        ours.stage.round()
    ours.put(ours.stage.tip("qa"))
    found = observe.survey(ours.site("bot", cache="another"), any_configuration=True, any_history=True)
    assert found.state == State("shop")


def test_whoever_would_not_be_believed_is_told_before_writing(ours: Trusted) -> None:
    """Without a key, with a stranger's, with an approver's for what is not an approver's, and in another's name."""
    before = ours.stage.origin.refs()
    names = [e.name for e in ours.stage.application.environments]
    for name, why in (
        ("nobody", "there is no key to sign with"),
        ("stranger", "which allowed_signers does not have"),
        ("alice", "is an approver, and `observed` is for orchestrators"),
    ):
        with pytest.raises(ConfigError, match=why) as caught:
            reconcile.reconcile(ours.site(name), names, sync=True)
        assert caught.value.hint
    alice = replace(ours.site("alice"), by=BOB)
    with pytest.raises(ConfigError, match=f"{ALICE} signed it for {BOB}"):
        people.freeze(alice, [], "r", None, strict=False)
    assert ours.stage.origin.refs() == before
    people.freeze(replace(alice, by=ALICE.upper()), [], "r", None, strict=False)
    assert ours.stage.world().state.frozen is not None


def test_an_approver_begins_no_ledger(tmp_path: Path) -> None:
    """The configuration in force is not for approvers to record."""
    ours = Trusted.create(tmp_path)
    with pytest.raises(ConfigError, match="`configured` is for orchestrators"):
        people.freeze(ours.site("alice"), [], "r", None, strict=False)
    assert "refs/heads/promotion/shop" not in ours.stage.origin.refs()
    ours.stage.close()


def test_trust_is_turned_on(tmp_path: Path) -> None:
    """Over a ledger that nobody signed: stopped until somebody configures it, and from then on only signatures count."""
    ours = Trusted.create(tmp_path)
    signing, plain = ours.stage.application, replace(ours.stage.application, trust=None)
    without = {k: v for k, v in plain.in_force.items() if k != "trust"}
    ours.stage.application = replace(plain, in_force=without)
    ours.stage.site = ours.site("nobody")
    ours.stage.walked()
    before = ours.stage.world().state
    ours.stage.application = signing
    ours.stage.site = ours.site("bot")
    with pytest.raises(ConfigError, match="decides differently"):
        ours.stage.world()
    with pytest.raises(ConfigError, match="no key to sign with"):
        people.configure(ours.site("nobody"), "trust")
    people.configure(ours.stage.site, "trust")
    assert ours.stage.world().state == replace(before, in_force=signing.in_force)
    ours.record("nobody", ours.event("frozen", "qa", BOT, **FREEZE))
    assert ours.stage.world().state.of("qa").frozen is None
    assert [f["problem"] for f in report.audit(ours.stage.site, ours.stage.world())] == [
        "record changes nothing: it is not signed"
    ], "what was there before is judged as it was then"
    ours.stage.close()


def test_a_key_gives_way_to_another(ours: Trusted) -> None:
    """With both in the list nothing stops; with only the new one all is refused before it has signed."""
    fresh = key(ours.stage.folder / "keys", "fresh")
    ours.keys["fresh"] = fresh
    only = replace(ours.trust, signers=line("fresh@example.com", fresh).encode(), orchestrators=("fresh@example.com",))
    both = replace(only, signers=ours.trust.signers + only.signers, orchestrators=(BOT, "fresh@example.com"))
    ours.turn_on(only)
    for ask in (observe.survey, lambda site: people.configure(site, "new key")):
        with pytest.raises(RefusedError, match="no record of its ledger is signed by an orchestrator") as caught:
            ask(ours.site("fresh"))
        assert "keep the old keys" in (caught.value.hint or "")
    ours.turn_on(both)
    people.configure(ours.site("fresh"), "both")
    ours.turn_on(only)
    people.configure(ours.site("fresh"), "new key")
    assert ours.stage.world().state.of("qa").release is not None


def test_an_answer_is_signed_by_whoever_gave_it(ours: Trusted) -> None:
    """Even an orchestrator's record of a signed answer does not count in another's name; of a claimed one it does."""
    data = {"plan_id": "0" * 64, "source": "1" * 40, "reason": ""}
    for how, counts in (("signed", False), ("claimed", True)):
        event = Event("approved", "shop", "qa", ours.stage.now, ALICE, {**data, "how": how})
        with contextlib.nullcontext() if counts else pytest.raises(ConfigError, match=f"{BOT} signed it for {ALICE}"):
            check(ours.stage.site.repository, ours.stage.application, ours.tip(), [event])


def test_a_verified_tip_is_not_verified_again(tmp_path: Path) -> None:
    """One process for a tip that an orchestrator signed, however long the ledger; none while it stays."""
    ours = Trusted.create(tmp_path)
    ours.stage.walked()
    counted = Counted.create(tmp_path / "counting")
    site = ours.stage.open(PROMOTION_SIGNING_KEY=str(ours.keys["bot"]), PATH=counted.environ(os.environ)["PATH"])
    observe.survey(site)
    assert counted.since().count("log") == 1
    observe.survey(site)
    assert "log" not in counted.since()
    ours.record("alice", ours.event("frozen", "qa", ALICE, **FREEZE))
    observe.survey(site)
    assert counted.since().count("log") == 2, "the tip, and what is below it at once"
    ours.stage.close()


def test_without_trust_nothing_is_verified(tmp_path: Path) -> None:
    """And no process is started for it."""
    ours = Trusted.create(tmp_path)
    ours.stage.application = replace(ours.stage.application, trust=None)
    counted = Counted.create(tmp_path / "counting")
    ours.stage.site = ours.stage.open(PATH=counted.environ(os.environ)["PATH"])
    ours.stage.round()
    assert not {"log", "commit-tree"} & set(counted.since())
    assert list(ledger.events(ours.stage.site.repository, ours.tip()))
    ours.stage.close()


def test_audit_names_an_approvers_forged_state(ours: Trusted) -> None:
    """What it records counts, and the state that comes with it does not."""
    state = ours.stage.world().state
    forged = state.with_environment("qa", replace(state.of("qa"), release=Release("2" * 40, "3" * 40)))
    oid = ours.record("alice", ours.event("held", "qa", ALICE, **HOLD), forged)
    after = ours.stage.world().state
    assert after.of("qa").release == state.of("qa").release
    assert [h.by for h in after.of("qa").holds] == [ALICE]
    (found,) = report.audit(ours.stage.site, ours.stage.world())
    assert (found["record"], found["environment"]) == (oid, "qa")
    assert "its state is not what the events" in found["problem"]


def test_audit_of_a_ledger_without_any_trusted_record(ours: Trusted) -> None:
    """It is replayed all the same, and the reason is named."""
    fresh = key(ours.stage.folder / "keys", "fresh")
    ours.turn_on(replace(ours.trust, signers=line(BOT, fresh).encode(), approvers=()))
    world = observe.survey(ours.stage.site, any_configuration=True, any_history=True)
    problems = [f["problem"] for f in report.audit(ours.stage.site, world)]
    assert problems == ["no orchestrator signed that only signed records count"]
