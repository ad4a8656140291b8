"""What people say, and who may: S8, and S13 where people say no."""

from __future__ import annotations

from tests.mutants.mutant import cut

COUNTS = "test_gates_approval::test_who_counts"
DIES = "test_safety_people::test_s8_an_approval_dies_with_each_input_of_its_plan"
NO = "test_safety_people::test_s13_a_no_of_people_before_the_push_wins"
ELSEWHERE = "test_safety_people::test_s13_a_no_where_the_decision_is_taken_from_wins"
MAY_NOT = "test_approvals::test_who_may_not_approve_is_told_so_and_nothing_changes"
LAST = "test_approvals::test_the_last_word_of_a_person_counts"
HOPS = "test_safety_people::test_not_author_is_followed_through_three_hops"
OVER = "test_cli_approving::test_an_override_that_is_not_allowed_is_one_clear_line"

S8 = (
    cut("S8", "an approval is of one plan", "asking:standing", "answer.plan_id == question.plan_id", "True", DIES),
    cut(
        "S8",
        "what is decided elsewhere is void there, too",
        "asking:_said",
        "answer.plan_id == now",
        "True",
        "test_safety_people::test_what_is_decided_elsewhere_dies_with_its_plan_there",
    ),
    cut("S8", "an approval expires", "gates.approval:standing", "-AHEAD <= now - answer.at < expires", "True", COUNTS),
    cut(
        "S8",
        "what had expired grants nothing",
        "fold:_granted",
        "person(a.by) in counted",
        "a.word == 'approved'",
        "test_safety_people::test_s8_what_had_expired_grants_nothing",
    ),
    cut(
        "S8",
        "a commit of people where it is decided is noticed before the push",
        "reconcile.write:_same",
        "any((before.snapshot[other.ref] != after.snapshot[other.ref] for other in others))",
        "False",
        "test_safety_people::test_s8_a_decision_that_dies_elsewhere_before_the_push_counts_no_more",
    ),
    cut(
        "S8",
        "a code that was used meanwhile is noticed before the push",
        "reconcile.write:_same",
        "any(('step' in e.data for e in part.draft.events)) and before.state.codes != after.state.codes",
        "False",
        "test_safety_people::test_a_code_is_used_once_in_two_environments_at_once",
    ),
    cut(
        "S8",
        "what is held or rejected is not approved",
        "reconcile.approvals:approve",
        "_check_held(view, merged, plan)",
        "None",
        LAST,
    ),
    cut(
        "S8",
        "what is withdrawn after it landed grants nothing to those who follow",
        "fold:_answered",
        "{oid: said for oid, said in left.items() if said}",
        "e.granted",
        "test_safety_people::test_what_landed_first_is_taken_back_for_those_who_follow",
    ),
    cut(
        "S8",
        "the audit counts what was said of the very plan elsewhere",
        "report.consent:_said",
        "answer.plan_id == then",
        "True",
        "test_safety_people::test_s8_the_audit_counts_what_was_said_of_the_plan_and_not_of_the_commit",
    ),
    cut("S8", "only who is asked counts", "gates.approval:standing", "a.by in asked", "True", COUNTS),
    cut("S8", "an author does not count", "gates.approval:standing", "a.by not in excluded", "True", COUNTS),
    cut("S8", "a name alone is no code", "gates.approval:standing", "a.how in proofs", "True", COUNTS),
    cut(
        "S8", "as many as are asked for", "gates.approval:_verdict", "len(approved) >= count", "bool(approved)", COUNTS
    ),
    cut("S8", "who wrote it must be known", "gates.approval:_why_not", "isinstance(authors, Unknown)", "False", COUNTS),
    cut(
        "S8",
        "a void plan is not approved",
        "reconcile.approvals:_current",
        "plan_id(view, plan.commit, merged) != plan.plan_id",
        "False",
        DIES,
    ),
    cut(
        "S8",
        "only who is asked may answer",
        "reconcile.approvals:_check_person",
        "person(who) not in asked",
        "False",
        MAY_NOT,
    ),
    cut(
        "S8",
        "a code is used once",
        "reconcile.approvals:_step",
        "step <= world.state.codes.get(person(who), -1)",
        "False",
        "test_approvals::test_a_code_is_used_once_by_a_person_wherever",
    ),
    cut(
        "S8",
        "a code is used once, also by two at once",
        "reconcile.write:_same",
        "before.state.codes != after.state.codes",
        "False",
        "test_safety_people::test_a_code_is_used_once_in_two_environments_at_once",
    ),
    cut(
        "S8",
        "who gives no address may be anybody",
        "authors:together",
        "not _EMAIL.fullmatch(email)",
        "False",
        "test_safety_people::test_not_author_knows_nobody_without_an_address",
    ),
    cut(
        "S8",
        "who wrote it is known only if it leads to the root",
        "authors:_of",
        "_broken(site, old) or _broken(site, new)",
        "''",
        "test_safety_people::test_not_author_knows_nobody_where_a_commit_leads_nowhere",
    ),
    cut("S8", "co-authors are authors", "authors:_people", "_TOGETHER.findall(commit.message)", "()", MAY_NOT, HOPS),
    cut("S8", "a promotion is nobody's", "authors:_of", "each.oid not in ours", "True", HOPS),
    cut(
        "S8",
        "a message that says it is a promotion is not one",
        "confirmed:of",
        "frozenset(made.oid for one in found if (made := claims.get(commit_of(one))) and confirms(site, world, one, made))",
        "frozenset(claims)",
        HOPS,
    ),
    cut(
        "S8",
        "a record that does not count hides no author",
        "confirmed:confirms",
        "counts(site, world, one.record)",
        "True",
        "test_confirmed::test_a_record_that_does_not_count_hides_no_author",
        "test_confirmed::test_where_believes_no_record_that_does_not_count",
    ),
    cut(
        "S17",
        "only what landed before signatures were asked for counts without one",
        "confirmed:counts",
        "site.repository.is_ancestor(record.oid, begun)",
        "True",
        "test_confirmed::test_what_landed_before_only_signed_records_counted_did_land",
    ),
    cut("S8", "who may override", "reconcile.overriding:overriding", "person(who) not in allowed.by", "False", OVER),
    cut(
        "S8",
        "what may be overridden",
        "reconcile.overriding:overriding",
        "[gate for gate in gates if gate not in allowed.skip]",
        "[]",
        OVER,
    ),
    cut(
        "S8",
        "the audit counts approvals",
        "report.consent:approved",
        "stood.verdict.verdict != 'pass'",
        "False",
        "test_safety_people::test_s8_a_promotion_that_too_few_approved_is_found",
    ),
    cut(
        "S8",
        "the audit asks who may override",
        "report.consent:overridden",
        "person(event.by) not in allowed.get('by', ())",
        "False",
        "test_safety_people::test_s8_an_override_by_somebody_who_may_not_is_found",
    ),
)
S13 = (
    cut(
        "S13",
        "a person's last word stands in the place of the one before",
        "fold:_answered",
        "(a.plan_id, a.by) != (d['plan_id'], who)",
        "True",
        LAST,
        NO,
    ),
    cut(
        "S13",
        "a rejection holds the change",
        "fold:_answered",
        "(*holds, Hold(d['source'], entries, d['reason'], event.by, event.at, d['plan_id']))",
        "holds",
        LAST,
        NO,
    ),
    cut("S13", "what is held is not approved", "reconcile.approvals:_check_held", "if why:", "False", LAST),
    cut(
        "S13",
        "what is rejected where the decision is taken from is held here",
        "asking:rejections",
        "tuple(hold for other in others for hold in state.of(other.name).holds if hold.plan_id)",
        "()",
        "test_safety_people::test_one_rejection_for_eight",
        ELSEWHERE,
    ),
    cut(
        "S13",
        "what is withdrawn where the decision is taken from counts before the push",
        "reconcile.write:Part.read_on",
        "{name for other in others for name in (other.name, other.source)}",
        "set()",
        ELSEWHERE,
    ),
    cut(
        "S13",
        "a strict freeze is not overridden",
        "plan:_let",
        "not _is_strict(view, v)",
        "True",
        "test_safety_people::test_an_override_never_gets_past_a_no_or_the_source",
    ),
)
MUTANTS = (*S8, *S13)
