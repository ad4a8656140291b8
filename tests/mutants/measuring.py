"""What a number, a window of numbers and objects in a cluster must be to count: S3, S2."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, cut

MOMENT = "test_checks_prometheus::test_a_moment"
NO_ANSWER = "test_checks_prometheus::test_what_is_no_whole_answer"
WINDOW = "test_checks_prometheus::test_a_window"
NEVER = "test_checks_metric::test_whatever_is_no_whole_number_never_passes"


def judging(name: str, place: str, old: str, new: str, *tests: str) -> Mutant:
    return cut("S3", name, f"checks.prometheus:{place}", old, new, *tests)


MUTANTS = (
    cut(
        "S3",
        "what is no number meets nothing",
        "expectation:Expectation.met_by",
        "math.isfinite(value) and OPERATORS[self.sign](value, self.bound)",
        "OPERATORS[self.sign](value, self.bound)",
        "test_expectation::test_what_is_no_number_meets_nothing",
    ),
    judging("one bad series of several is bad", "judge", "if bad:", "len(bad) == len(values)", MOMENT),
    judging("NaN and infinities are unknown", "judge", "if odd or not values:", "not values", MOMENT),
    judging(
        "no series is nothing good",
        "judge",
        "if odd or not values:",
        "odd",
        "test_checks_prometheus::test_no_series_is_no_answer",
    ),
    judging("a query that finds nothing", "now", "if not found:", "False", NO_ANSWER),
    judging("an answer about several moments", "now", "len(times) != 1", "False", NO_ANSWER),
    judging("an answer of another kind", "now", "kind != 'vector'", "False", NO_ANSWER),
    judging("an answer with warnings or infos", "_result", "('warnings', 'infos')", "()", NO_ANSWER),
    judging("a part of an answer", "_result", "answer.get('isPartial')", "False", NO_ANSWER),
    judging("an error in an answer", "_result", "answer.get('status') != 'success'", "False", NO_ANSWER),
    judging(
        "two equal keys",
        "_unique",
        "len((found := dict(pairs))) != len(pairs)",
        "not (found := dict(pairs))",
        NO_ANSWER,
    ),
    judging(
        "histograms",
        "_listed",
        "any('histogram' in each or 'histograms' in each for each in result)",
        "False",
        NO_ANSWER,
    ),
    judging("one series twice", "_distinct", "len({each.name for each in found}) != len(found)", "False", NO_ANSWER),
    judging(
        "a hole in a window",
        "lasting",
        "not moments or moments != list(range(moments[0], asked.end + 1, asked.step))",
        "not moments",
        WINDOW,
    ),
    judging(
        "each moment of a window",
        "lasting",
        "(at + asked.step for at in moments if not expected.met_by(values[at]))",
        "()",
        WINDOW,
    ),
    judging("a window that is not full yet", "lasting", "since > asked.start", "False", WINDOW),
    judging(
        "the last moment of a window",
        "lasting",
        "reading.health is not Health.HEALTHY",
        "False",
        WINDOW,
        "test_checks_prometheus::test_no_series_at_all_never_held",
    ),
    judging(
        "a series without a past",
        "lasting",
        "[each.name for each in at_once if each.name not in there]",
        "[]",
        "test_checks_prometheus::test_a_series_that_the_window_does_not_know",
    ),
    judging(
        "a window is never too short",
        "window",
        "math.ceil(seconds / step)",
        "seconds // step",
        "test_checks_prometheus::test_a_window_is_whole",
    ),
    cut("S3", "a metric's answer is one with 200", "checks.metric:_asking", "answer.status != 200", "False", NEVER),
    cut(
        "S2",
        "an answer that somebody kept is none of now",
        "checks.metric:_ask",
        "abs(at - time.time()) > ASTRAY",
        "False",
        NEVER,
    ),
    cut(
        "S2",
        "with nothing deployed there is no revision to ask about",
        "checks.metric:_ask",
        "raise UnclearError('nothing is deployed that could be asked about')",
        "return Reading(Health.HEALTHY, '')",
        "test_checks_metric::test_nothing_deployed_is_no_revision",
    ),
    *(
        cut("S3", name, f"checks.kubernetes:{place}", old, new, f"test_checks_kubernetes::{test}")
        for name, place, old, new, test in (
            (
                "the worst of several objects is the answer",
                "worst",
                "min((reading.health for _, reading in readings), key=WORST_FIRST.index)",
                "max((reading.health for _, reading in readings), key=WORST_FIRST.index)",
                "test_all_of_them_must_be_well",
            ),
            (
                "an object that is not there is missing",
                "_look",
                "Reading(Health.MISSING, f'{name} is not there{where}')",
                "Reading(Health.HEALTHY, f'{name} is not there{where}')",
                "test_all_of_them_must_be_well",
            ),
            (
                "a kind that several groups have",
                "_kind",
                "len(groups) > 1 and '' not in groups",
                "False",
                "test_a_kind_that_is_not_there_or_there_twice",
            ),
            ("an answer that is late", "_ask", "time.monotonic() > deadline", "False", "test_an_answer_that_is_late"),
            ("as long as is asked for", "unchanged", "age >= wanted", "True", "test_since_when_nothing_changed"),
            (
                "times are a second old",
                "unchanged",
                "max(times) + TICK",
                "max(times)",
                "test_since_when_nothing_changed",
            ),
            (
                "the newest write counts",
                "unchanged",
                "max(times) + TICK",
                "min(times) + TICK",
                "test_since_when_nothing_changed",
            ),
        )
    ),
)
