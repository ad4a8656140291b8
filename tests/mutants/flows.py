"""Prefect around the core: a run is started once, an answer recorded once and as somebody gave it, and what ends is what Git says is over."""

from __future__ import annotations

from tests.mutants.mutant import Edit, cut, cut_all

PURE = "test_flow_decisions"
SENT = f"{PURE}::test_what_no_form_of_ours_sends_is_refused"
FORM = f"{PURE}::test_a_form_fails_closed"
STARTS = f"{PURE}::test_what_to_do_about_a_hop_that_passes"
ASKED = f"{PURE}::test_people_are_asked_once"
TEXT = f"{PURE}::test_text_is_text"
NEWER = f"{PURE}::test_a_newer_one_supersedes_it_unless_somebody_said_yes"
AT_ONCE = "test_flow_approve::test_two_that_look_at_once_ask_once_and_start_one_hop"
ONCE = "test_flow_approve::test_a_process_killed_while_it_records_does_not_record_twice"
GONE = "test_flow_rollback::test_a_run_whose_process_is_gone_is_closed_from_git"

STARTED = (
    cut(
        "prefect", "a hop that has a run gets no other", "flows.runs:step", "if now - sign > PICKED_UP:", "True", STARTS
    ),
    cut(
        "prefect",
        "what fails is not started in every round",
        "flows.runs:step",
        "last is not None and now - last < pause",
        "False",
        STARTS,
    ),
    cut("prefect", "people are asked once", "flows.requests:step", "len(ended) < len(seen)", "False", ASKED),
    cut("prefect", "two that ask at once", "flows.asks:_ask", "f'{plan_id}:{step.number}'", "f'{now}'", AT_ONCE),
    cut("prefect", "two that start at once", "flows.rounds:_hop", "f'{plan_id}:{step.number}'", "f'{now}'", AT_ONCE),
    cut(
        "prefect",
        "a pause of people stops hops",
        "flows.rounds:_through_prefect",
        "if not prefect.paused:",
        "True",
        "test_flows::test_a_pause_by_a_person_stops_hops",
    ),
    cut(
        "prefect",
        "a pause of people asks nobody",
        "flows.asks:Asks.round",
        "not deployment.paused",
        "True",
        "test_flow_approve::test_a_pause_of_the_deployment_asks_nobody",
    ),
    cut(
        "prefect",
        "what another version asks is refused",
        "flows.asked:_known",
        "if key not in keys:",
        "False",
        f"{PURE}::test_what_another_version_asks_is_refused",
    ),
)

ANSWERED = (
    cut(
        "prefect",
        "nothing is filled in for anybody",
        "flows.form:model",
        "Field(title='Decision', json_schema_extra={'enum': [*WORDS], 'position': 0})",
        "Field('approve', title='Decision', json_schema_extra={'enum': [*WORDS], 'position': 0})",
        FORM,
    ),
    cut(
        "prefect",
        "who answers is chosen from those who are asked",
        "flows.form:model",
        "{'enum': [choice(each, people[each]) for each in choices]} if choices else {}",
        "{}",
        FORM,
    ),
    cut(
        "prefect",
        "an answer has the fields of the form",
        "flows.form:read",
        "not isinstance(data, dict) or not {'decision', 'who'} <= data.keys() <= KEYS",
        "False",
        SENT,
    ),
    cut("prefect", "an answer is text", "flows.form:read", "not isinstance(value, str)", "False", SENT),
    cut(
        "prefect", "an answer is no longer than people write", "flows.form:read", "len(value) > LONGEST", "False", SENT
    ),
    cut("prefect", "an answer is a yes or a no", "flows.form:read", "data['decision'] not in WORDS", "False", SENT),
    cut_all(
        "prefect",
        "an answer is recorded once",
        (
            Edit("flows.approve:_leg", "typed.newest is not None and (not typed.taken)", "typed.newest is not None"),
            Edit(
                "flows.approve:_leg",
                "surely(lambda: request.api.keep(request.run, form.taken(number), 'true'))",
                "True",
            ),
        ),
        ONCE,
    ),
    cut(
        "prefect",
        "a yes is to the plan that was asked about",
        "flows.approve:_answered",
        "plan.plan_id != request.plan_id",
        "False",
        "test_flow_approve::test_a_void_plan_says_what_changed",
    ),
    cut(
        "prefect",
        "a yes that nobody has judged yet is not superseded",
        "flows.asks:Asks._ended",
        "None if unjudged else current",
        "current",
        "test_flow_approve::test_an_answer_that_waits_to_be_recorded_is_not_superseded",
    ),
    cut("prefect", "text is no tag", "flows.pages:escape", "html.escape(shown, quote=False)", "shown", TEXT),
    cut("prefect", "text is no link", "flows.pages:escape", "shown.replace('://', ':\\\\/\\\\/')", "shown", TEXT),
    cut(
        "prefect",
        "a reason to roll back is a plain line",
        "flows.undo:rollback",
        "wording.reason(reason, 'reason')",
        "reason",
        "test_flow_rollback::test_what_cannot_be_is_said_in_a_line",
    ),
    cut(
        "prefect",
        "who asks to go back is a plain line",
        "flows.undo:_named",
        "wording.line(by, 'a name', 'by')",
        "by",
        "test_flow_rollback::test_what_cannot_be_is_said_in_a_line",
    ),
    cut(
        "prefect",
        "a name that was typed is recorded as a claim",
        "reconcile.undo:_event_of",
        "{'how': 'claimed', 'through': through} if through else {}",
        "{}",
        "test_flow_rollback::test_the_record_says_who_asked_and_who_serves",
    ),
)

ENDED = (
    cut(
        "prefect",
        "a no ends a request",
        "flows.requests:over",
        "rejection(plan, facts.plan_id)",
        "None",
        f"{PURE}::test_a_no_ends_it",
    ),
    cut_all(
        "prefect",
        "a request is of one plan",
        (
            Edit("flows.requests:over", "plan.plan_id != facts.plan_id or standing is None", "standing is None"),
            Edit("flows.approve:gather", "standing if plan.plan_id == plan_id else None", "standing"),
        ),
        f"{PURE}::test_another_target_voids_it",
    ),
    cut(
        "prefect",
        "nobody is asked about what is held",
        "flows.requests:over",
        "v.verdict == 'block' and v.gate in ('source', 'hold')",
        "False",
        f"{PURE}::test_a_hold_ends_it",
    ),
    cut(
        "prefect",
        "what people have begun to approve stays",
        "flows.requests:over",
        "not standing.approved",
        "True",
        NEWER,
    ),
    cut(
        "prefect",
        "a request ends in time",
        "flows.requests:over",
        "if now - since >= standing.expires:",
        "False",
        f"{PURE}::test_it_expires",
    ),
    cut(
        "prefect",
        "a form that is up is no dead process",
        "flows.requests:is_lost",
        "run.state.type in (StateType.RUNNING, StateType.PENDING)",
        "True",
        f"{PURE}::test_who_is_lost_and_who_waits",
    ),
    cut(
        "prefect",
        "a run is closed by what it did itself",
        "flows.runs:_landed",
        "_goes_back(run) != ('Promotion-Restores' in commit.trailers)",
        "False",
        GONE,
    ),
)

TOLD = (
    cut(
        "S15",
        "a Prefect server of our own gets no token",
        "flows.serve:_without_tokens",
        "key not in used",
        "True",
        "test_flows::test_the_server_of_our_own_gets_no_token",
    ),
)

MUTANTS = (*STARTED, *ANSWERED, *ENDED, *TOLD)
