"""What happens in a clip is balanced, hidden between the sparse frames, and cannot be told from anything but its own frames."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from itertools import pairwise, permutations

import pytest
from pydantic import ValidationError

from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED, UNSEEN
from deepsport.arena.truth import Action, ClipTruth, Difficulty, Event
from deepsport.video.sample import uniform

N_SCRIPTS = 420

USUAL = Dials()
HARD = Dials(difficulty=Difficulty.HARD)
TWO_SECONDS = Dials(shortest=50, longest=50, event_shortest=2, event_longest=4, difficulty=Difficulty.HARD)
TEN_MINUTES = Dials(shortest=15_000, longest=15_000, event_shortest=2, event_longest=2, difficulty=Difficulty.HARD)
DIALS = {"usual": USUAL, "hard": HARD, "two seconds": TWO_SECONDS, "ten minutes": TEN_MINUTES}


def scripts(sport: str, seed: int = 1, dials: Dials = USUAL, n: int = N_SCRIPTS) -> tuple[ClipTruth, ...]:
    return _scripts(sport, seed, dials.model_dump_json(), n)


@cache
def _scripts(sport: str, seed: int, dials: str, n: int) -> tuple[ClipTruth, ...]:
    return tuple(write_script(SPORTS[sport], seed, number, Dials.model_validate_json(dials)) for number in range(n))


def gap_of(truth: ClipTruth) -> int:
    return sum(index <= truth.event.first_index for index in uniform(truth.n_frames, 8)) - 1


def length(action: Action) -> int:
    return action.last_index - action.first_index + 1


def test_there_are_thirteen_sports_of_three_kinds_or_more_and_sixty_kinds_in_all() -> None:
    assert len(SPORTS) == 13
    assert all(len(sport.kinds) >= 3 for sport in SPORTS.values())
    assert sum(len(sport.kinds) for sport in SPORTS.values()) >= 60


@pytest.mark.parametrize("sport", SPORTS)
def test_no_two_things_that_can_be_said_of_an_event_are_said_alike(sport: str) -> None:
    said = [*SPORTS[sport].kinds, *SPORTS[sport].actors, *SPORTS[sport].cues, *(form.sight for form in SPORTS[sport].forms)]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("sport", SPORTS)
def test_rulings_signs_points_and_advice_of_a_sport_are_distinct(sport: str) -> None:
    forms = SPORTS[sport].forms
    assert len({form.advice for form in forms}) == len({form.points for form in forms}) == len(forms)
    assert [form.points for form in forms] == sorted((form.points for form in forms), reverse=True)
    assert len(SPORTS[sport].rulings) == 3
    assert len(set(SPORTS[sport].cues)) == len(SPORTS[sport].cues)


def test_fencing_is_kept_out_of_what_is_trained_on() -> None:
    assert UNSEEN == ("fencing",)
    assert sorted((*TRAINED, *UNSEEN)) == sorted(SPORTS)


@pytest.mark.parametrize("sport", SPORTS)
def test_an_event_lies_strictly_between_two_sparse_frames_with_play_on_both_sides(sport: str) -> None:
    for truth in scripts(sport):
        event, sparse, gap = truth.event, uniform(truth.n_frames, 8), gap_of(truth)
        assert sparse[gap] + 1 < event.first_index <= event.last_index < sparse[gap + 1] - 1
        assert 3 <= length(event) <= 6
        assert 64 <= truth.n_frames <= 112


@pytest.mark.parametrize("sport", SPORTS)
def test_longer_clips_and_shorter_events_keep_the_event_between_the_sparse_frames(sport: str) -> None:
    dials = Dials(shortest=500, longest=900, event_shortest=1, event_longest=2)
    for truth in scripts(sport, dials=dials, n=60):
        assert not any(truth.event.shown_at(index) for index in uniform(truth.n_frames, 8))
        assert length(truth.event) in (1, 2)


@pytest.mark.parametrize("sport", SPORTS)
def test_a_clip_may_last_two_seconds(sport: str) -> None:
    for truth in scripts(sport, dials=TWO_SECONDS, n=60):
        sparse, gap = uniform(50, 8), gap_of(truth)
        assert truth.n_frames == 50
        assert sparse[gap] + 1 < truth.event.first_index <= truth.event.last_index < sparse[gap + 1] - 1
        assert 2 <= length(truth.event) <= 4


@pytest.mark.parametrize("sport", SPORTS)
def test_a_clip_may_last_ten_minutes_and_hide_an_event_of_two_frames(sport: str) -> None:
    for truth in scripts(sport, dials=TEN_MINUTES, n=7):
        assert (truth.n_frames, length(truth.event)) == (15_000, 2)
        assert not any(truth.event.shown_at(index) for index in uniform(truth.n_frames, 8))
        assert truth.states[-1].last_index == 14_999


@pytest.mark.parametrize("sport", SPORTS)
def test_any_frame_of_ten_minutes_is_drawn_without_those_before_it(sport: str) -> None:
    (truth,) = scripts(sport, dials=TEN_MINUTES, n=1)
    event, attempt = truth.event.first_index, truth.attempts[-1].first_index
    indices = (event, 14_999, 0, attempt, event)
    pictures = [picture.tobytes() for picture in frames(truth, indices)]
    assert pictures[0] == pictures[4]
    assert len(set(pictures)) == 4


def test_ten_minutes_are_the_longest_clip() -> None:
    with pytest.raises(ValidationError, match=r"longest\n.*15000"):
        Dials(longest=15_001)


FACTS: dict[str, Callable[[ClipTruth], Hashable]] = {
    "kind": lambda t: t.event.kind,
    "actor": lambda t: t.event.actor,
    "ruling": lambda t: t.event.ruling,
    "form": lambda t: t.event.form,
    "turns": lambda t: t.event.turns,
}


def knows(sport: str, fact: str) -> bool:
    return fact != "turns" or SPORTS[sport].most_turns > 0


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("fact", [*FACTS, "side", "gap"])
def test_every_value_of_a_fact_is_equally_frequent(sport: str, fact: str) -> None:
    if not knows(sport, fact):
        assert {truth.event.turns for truth in scripts(sport)} == {0}
        return
    value = {**FACTS, "side": lambda t: t.states[0].side, "gap": gap_of}[fact]
    counts = Counter(value(truth) for truth in scripts(sport))
    assert max(counts.values()) == min(counts.values()) == N_SCRIPTS // len(counts)
    assert len(counts) >= 2


@pytest.mark.parametrize("sport", SPORTS)
def test_cues_of_one_ruling_are_about_equally_frequent(sport: str) -> None:
    counts = Counter((truth.event.ruling, truth.event.cue) for truth in scripts(sport))
    for ruling, cues in SPORTS[sport].rulings.items():
        assert all(counts[ruling, cue] > 0.7 * N_SCRIPTS / len(SPORTS[sport].rulings) / len(cues) for cue in cues)
    assert counts.total() == sum(counts[ruling, cue] for ruling, cues in SPORTS[sport].rulings.items() for cue in cues)


def attempted(value: Callable[[Action], Hashable]) -> Callable[[ClipTruth], Hashable]:
    """What the attempt nearest to the event shows, which is what one would mistake for it."""

    def of(truth: ClipTruth) -> Hashable:
        nearest = sorted(truth.attempts, key=lambda attempt: abs(attempt.first_index - truth.event.first_index))
        return value(nearest[0]) if nearest else None

    return of


HINTS: dict[str, Callable[[ClipTruth], Hashable]] = {
    "gap": gap_of,
    "score before": lambda t: t.states[0].score,
    "score after": lambda t: t.states[1].score,
    "the digit that goes up": lambda t: t.states[1].lit,
    "side": lambda t: t.states[0].side,
    "length of the clip": lambda t: t.n_frames // 6,
    "length of the event": lambda t: length(t.event),
    "number of attempts": lambda t: len(t.attempts),
    "kind of an attempt": attempted(lambda a: a.kind),
    "actor of an attempt": attempted(lambda a: a.actor),
    "turns of an attempt": attempted(lambda a: a.turns),
}


def hit_rate(known: Sequence[tuple[Hashable, Hashable]], fresh: Sequence[tuple[Hashable, Hashable]]) -> float:
    """How often the most frequent value beside a hint is right on other clips."""
    seen: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for hint, value in known:
        seen[hint][value] += 1
    hits = [bool(guess := seen[hint].most_common(1)) and guess[0][0] == value for hint, value in fresh]
    return sum(hits) / len(hits)


def assert_no_better_than_chance(sport: str, hint: Callable[[ClipTruth], Hashable], fact: str) -> None:
    known, fresh = ([(hint(t), FACTS[fact](t)) for t in scripts(sport, seed=seed, dials=HARD)] for seed in (11, 12))
    chance = 1 / len({value for _, value in known})
    four_sigma = 4 * (chance * (1 - chance) / N_SCRIPTS) ** 0.5
    assert hit_rate(known, fresh) < chance + four_sigma


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("hint", HINTS)
def test_nothing_that_is_seen_before_or_after_predicts_a_fact_of_the_event(sport: str, hint: str) -> None:
    for fact in FACTS:
        if knows(sport, fact):
            assert_no_better_than_chance(sport, HINTS[hint], fact)


@pytest.mark.parametrize("sport", SPORTS)
def test_no_fact_of_an_event_predicts_another(sport: str) -> None:
    for a, b in permutations((fact for fact in FACTS if knows(sport, fact)), 2):
        assert_no_better_than_chance(sport, FACTS[a], b)


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("dials", DIALS)
def test_the_board_changes_once_by_one_as_the_event_ends(sport: str, dials: str) -> None:
    for truth in scripts(sport, dials=DIALS[dials], n=7 if dials == "ten minutes" else N_SCRIPTS):
        before, after = truth.states
        assert before.first_index == 0
        assert before.last_index == truth.event.last_index
        assert after.first_index == before.last_index + 1
        assert after.last_index == truth.n_frames - 1
        assert after.lit is not None
        assert [b - a for a, b in zip(before.score, after.score, strict=True)] == [
            int(place == after.lit) for place in range(len(after.score))
        ]
        assert max(after.score) <= 9
        assert before.side != after.side


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("dials", DIALS)
def test_an_attempt_keeps_a_frame_of_play_from_the_event_from_others_and_from_both_ends(sport: str, dials: str) -> None:
    n_attempts = 0
    for truth in scripts(sport, dials=DIALS[dials], n=7 if dials == "ten minutes" else N_SCRIPTS):
        actions = sorted((truth.event, *truth.attempts), key=lambda action: action.first_index)
        assert all(before.last_index + 1 < after.first_index for before, after in pairwise(actions))
        for attempt in truth.attempts:
            assert 0 < attempt.first_index <= attempt.last_index < truth.n_frames - 1
            assert DIALS[dials].event_shortest <= length(attempt) <= DIALS[dials].event_longest
            assert not isinstance(attempt, Event)
            n_attempts += 1
    assert n_attempts > 0


def test_an_easy_clip_has_no_attempt_a_usual_one_now_and_then_and_a_hard_one_several() -> None:
    ten_s = {
        level: [
            len(truth.attempts)
            for sport in SPORTS
            for truth in scripts(sport, dials=Dials(shortest=250, longest=250, difficulty=level), n=20)
        ]
        for level in Difficulty
    }
    assert set(ten_s[Difficulty.EASY]) == {0}
    assert {0, 1, 2} >= set(ten_s[Difficulty.NORMAL]) > {0}
    assert min(ten_s[Difficulty.HARD]) >= 2


@pytest.mark.parametrize("sport", SPORTS)
def test_attempts_leave_the_event_and_the_board_alone(sport: str) -> None:
    for level in (Difficulty.NORMAL, Difficulty.HARD):
        for plain, with_attempts in zip(
            scripts(sport, dials=Dials(difficulty=Difficulty.EASY)), scripts(sport, dials=Dials(difficulty=level)), strict=True
        ):
            assert plain.event == with_attempts.event
            assert plain.states == with_attempts.states


@pytest.mark.parametrize("sport", SPORTS)
def test_a_frame_shows_the_event_an_attempt_or_play(sport: str) -> None:
    for truth in scripts(sport, dials=HARD)[:40]:
        shown = [truth.action_at(index) for index in range(truth.n_frames)]
        assert [index for index, action in enumerate(shown) if action is truth.event] == list(
            range(truth.event.first_index, truth.event.last_index + 1)
        )
        assert sum(action is not None for action in shown) == sum(map(length, (truth.event, *truth.attempts)))


def test_a_script_is_a_function_of_sport_seed_number_and_dials() -> None:
    soccer = SPORTS["soccer"]
    random.seed(0)
    first = write_script(soccer, 7, 3, HARD)
    random.seed(1)
    assert write_script(soccer, 7, 3, HARD) == first
    assert write_script(soccer, 8, 3, HARD).seed != first.seed
    assert write_script(soccer, 7, 4, HARD).seed != first.seed


def test_an_event_too_long_for_the_gaps_is_refused_with_the_lengths() -> None:
    with pytest.raises(
        ValidationError, match=r"an event of 8 frames does not fit .* a clip of 64: they are 9 apart, and it needs 11"
    ):
        Dials(event_longest=8)


def test_a_frame_outside_the_clip_is_refused_with_the_valid_range() -> None:
    truth = write_script(SPORTS["diving"], 1, 0, Dials())
    with pytest.raises(IndexError, match=rf"\(0 to {truth.n_frames - 1}\)"):
        truth.state_at(truth.n_frames)
