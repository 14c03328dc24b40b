"""Questions of the arena: what they ask, how their options are laid out, which words they use."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import chain, product
from pathlib import Path

import pytest

from deepsport.arena.perception import describe, say_action
from deepsport.arena.questions import DIMENSIONS, N_OPTIONS, Topic, ask, topic_of
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import FPS, ClipTruth, Difficulty
from deepsport.records import Choice, Dimension, FreeText, Number, Provenance, Question
from deepsport.reward.accuracy import accuracy

N_CLIPS = 400

OPTIONS = {
    Topic.KIND: 5,
    Topic.ACTOR: 4,
    Topic.RULING: 3,
    Topic.SIGN: 3,
    Topic.ADVICE: 3,
    Topic.SPORT: N_OPTIONS,
    Topic.SCORE: N_OPTIONS,
}
"""Topics whose questions are closed, and how many options they have."""


def asking(sport: str, seed: int, n_clips: int) -> Iterator[tuple[ClipTruth, Question]]:
    for number in range(n_clips):
        truth = write_script(SPORTS[sport], seed, number, Dials())
        yield from ((truth, question) for question in ask(truth, number))


@cache
def asked(sport: str, seed: int = 5, n_clips: int = N_CLIPS) -> tuple[tuple[ClipTruth, Question], ...]:
    return tuple(asking(sport, seed, n_clips))


def choice(question: Question) -> Choice:
    assert isinstance(question.gold, Choice)
    return question.gold


def on(sport: str, topic: Topic, n_clips: int = N_CLIPS) -> list[Question]:
    pairs = asked(sport) if n_clips == N_CLIPS else asking(sport, 5, n_clips)  # a large number is not kept
    return [question for _, question in pairs if topic_of(question) is topic]


def every_event(sport: str) -> list[ClipTruth]:
    """A clip with each event that could be."""
    truth, facts = write_script(SPORTS[sport], 5, 0, Dials()), SPORTS[sport]
    signs = [(cue, ruling) for ruling, cues in facts.rulings.items() for cue in cues]
    events = [
        truth.event.model_copy(update={"kind": kind, "actor": actor, "cue": cue, "ruling": ruling, "form": form.sight})
        for kind, actor, (cue, ruling), form in product(facts.kinds, facts.actors, signs, facts.forms)
    ]
    return [truth.model_copy(update={"event": event}) for event in events]


@pytest.mark.parametrize("sport", SPORTS)
def test_a_sixth_of_the_questions_is_easy_and_the_others_have_the_window_of_the_event(sport: str) -> None:
    questions = asked(sport)
    assert sum(question.easy for _, question in questions) / len(questions) == 1 / 6
    for truth, question in questions:
        assert question.easy == (topic_of(question) in (Topic.SPORT, Topic.SCORE))
        if question.easy:
            assert question.window is None
        else:
            assert question.window is not None
            assert question.window.start_s == truth.event.first_index / FPS
            assert question.window.end_s == truth.event.last_index / FPS


@pytest.mark.parametrize("sport", SPORTS)
def test_every_clip_is_asked_about_in_all_four_dimensions(sport: str) -> None:
    dimensions: dict[str, set[Dimension | None]] = defaultdict(set)
    for truth, question in asked(sport):
        if not question.easy:
            dimensions[truth.video].add(question.dimension)
    assert len(dimensions) == N_CLIPS
    assert all(found == set(Dimension) for found in dimensions.values())


@pytest.mark.parametrize("sport", SPORTS)
def test_every_topic_is_asked_within_four_clips_of_a_sport(sport: str) -> None:
    topics = {topic_of(question) for _, question in asked(sport, n_clips=4)}
    assert topics == set(Topic) - (set() if SPORTS[sport].most_turns else {Topic.TURNS})


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("topic", OPTIONS)
def test_the_right_option_stands_in_every_place_about_equally_often(sport: str, topic: Topic) -> None:
    golds = [choice(question) for question in on(sport, topic)]
    places = Counter(gold.options.index(gold.answer) for gold in golds)
    n_options = OPTIONS[topic]
    four_sigma = 4 * (len(golds) * (1 / n_options) * (1 - 1 / n_options)) ** 0.5
    assert len(places) == n_options
    assert all(abs(count - len(golds) / n_options) < four_sigma for count in places.values())


def said(question: Question) -> str:
    """The right answer of a closed or numeric question."""
    assert isinstance(question.gold, Choice | Number)
    return f"{question.gold.answer:g}" if isinstance(question.gold, Number) else question.gold.answer


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("topic", [Topic.KIND, Topic.ACTOR, Topic.TURNS, Topic.RULING, Topic.POINTS, Topic.ADVICE])
def test_every_answer_is_right_about_equally_often(sport: str, topic: Topic) -> None:
    answers = Counter(said(question) for question in on(sport, topic))
    expected = {
        Topic.KIND: SPORTS[sport].kinds,
        Topic.ACTOR: SPORTS[sport].actors,
        Topic.TURNS: tuple(str(n) for n in range(1, SPORTS[sport].most_turns + 1)),
        Topic.RULING: tuple(SPORTS[sport].rulings),
        Topic.POINTS: tuple(str(form.points) for form in SPORTS[sport].forms),
        Topic.ADVICE: tuple(form.advice for form in SPORTS[sport].forms),
    }[topic]
    assert set(answers) == set(expected)
    for count in answers.values():
        chance = 1 / len(expected)
        assert abs(count - answers.total() * chance) < 4 * (answers.total() * chance * (1 - chance)) ** 0.5


@pytest.mark.parametrize("sport", SPORTS)
def test_every_sign_is_right_as_often_as_any_other_that_is_offered_with_it(sport: str) -> None:
    golds = [choice(question) for question in on(sport, Topic.SIGN, n_clips=1200)]
    offered = Counter(option for gold in golds for option in gold.options)
    right = Counter(gold.answer for gold in golds)
    assert set(offered) == set(SPORTS[sport].cues)
    for sign in offered:
        four_sigma = 4 * (offered[sign] * (1 / 3) * (2 / 3)) ** 0.5
        assert abs(right[sign] - offered[sign] / 3) < four_sigma


@pytest.mark.parametrize("sport", SPORTS)
def test_the_signs_offered_lead_to_different_rulings(sport: str) -> None:
    ruling_of = {cue: ruling for ruling, cues in SPORTS[sport].rulings.items() for cue in cues}
    for question in on(sport, Topic.SIGN):
        assert sorted(ruling_of[option] for option in choice(question).options) == sorted(SPORTS[sport].rulings)


def test_every_sport_offered_is_right_as_often_as_any_other_it_is_offered_with() -> None:
    golds = [choice(question) for sport in TRAINED for question in on(sport, Topic.SPORT)]
    offered = Counter(option for gold in golds for option in gold.options)
    right = Counter(gold.answer for gold in golds)
    assert len(offered) == len(TRAINED)
    for sport in offered:
        four_sigma = 4 * (offered[sport] * (1 / N_OPTIONS) * (1 - 1 / N_OPTIONS)) ** 0.5
        assert abs(right[sport] - offered[sport] / N_OPTIONS) < four_sigma


@pytest.mark.parametrize("sport", SPORTS)
def test_a_wrong_final_score_is_drawn_as_the_right_one_is(sport: str) -> None:
    golds = [choice(question) for question in on(sport, Topic.SCORE, n_clips=1200)]
    totals = Counter(sum(map(int, gold.answer.split())) for gold in golds)
    others = Counter(sum(map(int, option.split())) for gold in golds for option in gold.options if option != gold.answer)
    for total in totals | others:
        assert abs(totals[total] / totals.total() - others[total] / others.total()) < 0.06


@pytest.mark.parametrize("sport", SPORTS)
def test_a_question_says_its_options_and_its_dimension(sport: str) -> None:
    for _, question in asked(sport, n_clips=12):
        topic = topic_of(question)
        assert question.dimension is DIMENSIONS.get(topic, Dimension.RECOGNITION)
        if topic in OPTIONS:
            gold = choice(question)
            assert question.text.endswith(f"Options: {', '.join(gold.options)}.")
            assert len(gold.options) == OPTIONS[topic]


@pytest.mark.parametrize("sport", SPORTS)
def test_a_question_says_no_more_than_its_options(sport: str) -> None:
    texts: dict[Topic, set[str]] = defaultdict(set)
    for _, question in asked(sport):
        texts[topic_of(question)].add(question.text.partition(" Options: ")[0])
    assert all(len(found) == 1 for found in texts.values())


@pytest.mark.parametrize("sport", SPORTS)
def test_who_sees_no_frame_reads_the_same_whatever_happened(sport: str) -> None:
    every, ambiguous = every_event(sport), len(SPORTS[sport].cues) > len(SPORTS[sport].rulings)
    for number in range(4):
        read = {
            tuple(question.text for question in ask(truth, number) if not (ambiguous and topic_of(question) is Topic.SIGN))
            for truth in every
        }
        assert len(read) == 1


@pytest.mark.parametrize("sport", SPORTS)
def test_an_answer_is_right_if_it_is_the_right_option_and_wrong_if_it_is_another(sport: str) -> None:
    for topic in OPTIONS:
        for gold in map(choice, on(sport, topic)[:24]):
            assert {option: accuracy(gold, option) for option in gold.options} == {
                option: float(option == gold.answer) for option in gold.options
            }


@pytest.mark.parametrize("sport", SPORTS)
def test_points_are_asked_for_on_the_scale_of_the_sport(sport: str) -> None:
    for truth, question in asked(sport):
        if topic_of(question) is Topic.POINTS:
            scale = [float(number) for number in re.findall(r"\d+", question.text)]
            assert scale == [form.points for form in SPORTS[sport].forms]
            right = SPORTS[sport].form(truth.event.form).points
            assert question.gold is not None
            assert [accuracy(question.gold, f"{points:g}") for points in scale] == [float(points == right) for points in scale]


def comment_on(truth: ClipTruth) -> FreeText:
    (gold,) = [question.gold for question in ask(truth, 0) if topic_of(question) is Topic.COMMENT]
    assert isinstance(gold, FreeText)
    return gold


@pytest.mark.parametrize("sport", SPORTS)
def test_a_true_comment_on_any_event_is_wholly_right(sport: str) -> None:
    for truth in every_event(sport):
        gold = comment_on(truth)
        assert gold.answer == say_action(truth.event)
        assert accuracy(gold, gold.answer) == 1.0


@pytest.mark.parametrize("sport", SPORTS)
def test_a_comment_loses_a_quarter_for_each_thing_that_was_otherwise(sport: str) -> None:
    every = every_event(sport)
    happened = every[len(every) // 3]
    gold, right = comment_on(happened), happened.event
    for event in (truth.event for truth in every):
        pairs = ((event.actor, right.actor), (event.kind, right.kind), (event.cue, right.cue), (event.form, right.form))
        assert accuracy(gold, say_action(event)) == sum(a == b for a, b in pairs) / 4


@pytest.mark.parametrize("sport", SPORTS)
def test_only_the_question_for_the_sport_leaves_the_sport_unsaid(sport: str) -> None:
    for _, question in asked(sport, n_clips=12):
        assert question.sport == (None if topic_of(question) is Topic.SPORT else sport)


@pytest.mark.parametrize("sport", SPORTS)
def test_a_closed_question_in_other_words_asks_what_its_options_are_kinds_of(sport: str) -> None:
    for _, question in asked(sport, n_clips=4):
        if question.easy or not isinstance(question.gold, Choice):
            continue
        imported = question.model_copy(update={"id": "club/7/column", "text": "And this?"})
        assert topic_of(imported) is topic_of(question)


@pytest.mark.parametrize("sport", ["chess", None, "soccer"])
def test_a_question_whose_options_are_of_no_topic_is_none_of_the_arena(sport: str | None) -> None:
    gold = Choice(options=("lunge", "rook"), answer="rook")
    with pytest.raises(ValueError, match="column"):
        topic_of(Question(id="club/7/column", video="x.mp4", text="Which?", gold=gold, sport=sport))


def test_question_ids_are_unique_over_sports_and_seeds() -> None:
    ids = [question.id for sport in SPORTS for seed in (1, 2) for _, question in asked(sport, seed, n_clips=20)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("sport", SPORTS)
def test_a_question_says_its_clip_and_our_licence(sport: str) -> None:
    for truth, question in asked(sport, n_clips=4):
        clip = Path(truth.video).stem
        assert question.provenance == Provenance(
            source="arena", file="truth.jsonl", record=clip, match=clip, licence="Apache-2.0"
        )


@pytest.mark.parametrize("sport", SPORTS)
def test_a_description_names_the_event_an_attempt_or_play_each_on_its_own_frames(sport: str) -> None:
    truth = write_script(SPORTS[sport], 3, 0, Dials(shortest=250, longest=250, difficulty=Difficulty.HARD))
    assert truth.attempts
    for index in range(truth.n_frames):
        sentence, action = describe(truth, index), truth.action_at(index)
        if action is None:
            assert sentence.endswith(", play")
            continue
        turns = f" {action.turns} turn{'s' if action.turns > 1 else ''}" if action.turns else ""
        rest = f", {truth.event.cue}, {truth.event.form}" if action is truth.event else " attempt"
        assert sentence.endswith(f", {action.actor} {action.kind}{turns}{rest}")


def test_all_texts_together_use_few_words() -> None:
    clips = [pair for sport in SPORTS for pair in asked(sport, n_clips=40)]
    texts = chain((q.text for _, q in clips), (describe(t, i) for t, _ in clips for i in (0, t.event.first_index)))
    words = {word for text in texts for word in re.findall(r"[a-z]+|\d", text.lower())}
    assert len(words) < 300
    assert not any(len(word) > 12 for word in words)
