"""What happens in a clip is balanced, hidden between the sparse frames, and cannot be told from anything but its own frames."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable

import pytest
from pydantic import ValidationError

from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth
from deepsport.video.sample import uniform

N_SCRIPTS = 420


def scripts(sport: str, seed: int = 1, dials: Dials | None = None) -> list[ClipTruth]:
    return [write_script(SPORTS[sport], seed, number, dials or Dials()) for number in range(N_SCRIPTS)]


def gap_of(truth: ClipTruth) -> int:
    return sum(index <= truth.events[0].first_index for index in uniform(truth.n_frames, 8)) - 1


@pytest.mark.parametrize("sport", SPORTS)
def test_an_event_lies_strictly_between_two_sparse_frames_with_play_on_both_sides(sport: str) -> None:
    for truth in scripts(sport):
        (event,) = truth.events
        sparse = uniform(truth.n_frames, 8)
        gap = gap_of(truth)
        assert sparse[gap] + 1 < event.first_index <= event.last_index < sparse[gap + 1] - 1
        assert 3 <= event.last_index - event.first_index + 1 <= 6
        assert 64 <= truth.n_frames <= 112


@pytest.mark.parametrize("sport", SPORTS)
def test_longer_clips_and_shorter_events_keep_the_event_between_the_sparse_frames(sport: str) -> None:
    dials = Dials(shortest=500, longest=900, event_shortest=1, event_longest=2)
    for truth in scripts(sport, dials=dials)[:60]:
        (event,) = truth.events
        assert all(truth.event_at(index) is None for index in uniform(truth.n_frames, 8))
        assert event.last_index - event.first_index + 1 in (1, 2)


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize(
    "fact",
    [
        lambda t: t.events[0].kind,
        lambda t: t.events[0].actor,
        lambda t: t.events[0].ruling,
        lambda t: t.states[0].side,
        gap_of,
    ],
    ids=["kind", "actor", "ruling", "side", "gap"],
)
def test_every_value_of_a_fact_is_equally_frequent(sport: str, fact: Callable[[ClipTruth], Hashable]) -> None:
    counts = Counter(fact(truth) for truth in scripts(sport))
    assert max(counts.values()) == min(counts.values()) == N_SCRIPTS // len(counts)
    assert len(counts) >= 2


@pytest.mark.parametrize("sport", SPORTS)
def test_cues_of_one_ruling_are_about_equally_frequent(sport: str) -> None:
    counts = Counter((truth.events[0].ruling, truth.events[0].cue) for truth in scripts(sport))
    for ruling, cues in SPORTS[sport].rulings.items():
        assert all(counts[ruling, cue] > 0.7 * N_SCRIPTS / len(SPORTS[sport].rulings) / len(cues) for cue in cues)


HINTS: dict[str, Callable[[ClipTruth], Hashable]] = {
    "gap": gap_of,
    "score before": lambda t: t.states[0].score,
    "score after": lambda t: t.states[1].score,
    "the digit that goes up": lambda t: tuple(a - b for a, b in zip(t.states[1].score, t.states[0].score, strict=True)),
    "side": lambda t: t.states[0].side,
    "length of the clip": lambda t: t.n_frames // 6,
    "another fact of the event": lambda t: (t.events[0].cue, t.events[0].actor),
}


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("sport", SPORTS)
def test_nothing_that_is_seen_before_or_after_predicts_the_kind(sport: str, hint: str) -> None:
    known: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for truth in scripts(sport, seed=11):
        known[HINTS[hint](truth)][truth.events[0].kind] += 1
    fresh = scripts(sport, seed=12)
    guesses = [known[HINTS[hint](truth)].most_common(1) for truth in fresh]
    hits = sum(bool(guess) and guess[0][0] == truth.events[0].kind for guess, truth in zip(guesses, fresh, strict=True))
    chance = 1 / len(SPORTS[sport].kinds)
    four_sigma = 4 * (chance * (1 - chance) / N_SCRIPTS) ** 0.5
    assert hits / N_SCRIPTS < chance + four_sigma


@pytest.mark.parametrize("sport", SPORTS)
def test_the_board_changes_once_by_one_as_the_event_ends(sport: str) -> None:
    for truth in scripts(sport):
        before, after = truth.states
        assert before.first_index == 0
        assert before.last_index == truth.events[0].last_index
        assert after.first_index == before.last_index + 1
        assert after.last_index == truth.n_frames - 1
        assert sum(after.score) == sum(before.score) + 1
        assert max(after.score) <= 9
        assert before.side != after.side


def test_a_script_is_a_function_of_sport_seed_number_and_dials() -> None:
    soccer = SPORTS["soccer"]
    random.seed(0)
    first = write_script(soccer, 7, 3, Dials())
    random.seed(1)
    assert write_script(soccer, 7, 3, Dials()) == first
    assert write_script(soccer, 8, 3, Dials()).seed != first.seed
    assert write_script(soccer, 7, 4, Dials()).seed != first.seed


def test_an_event_too_long_for_the_gaps_is_refused_with_the_lengths() -> None:
    with pytest.raises(
        ValidationError, match=r"an event of 8 frames does not fit .* a clip of 64: they are 9 apart, and it needs 11"
    ):
        Dials(event_longest=8)


def test_a_frame_outside_the_clip_is_refused_with_the_valid_range() -> None:
    truth = write_script(SPORTS["diving"], 1, 0, Dials())
    with pytest.raises(IndexError, match=rf"\(0 to {truth.n_frames - 1}\)"):
        truth.state_at(truth.n_frames)
