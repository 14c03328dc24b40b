"""Questions of the arena: what they ask, how their options are laid out, which words they use."""

import re
from collections import Counter
from itertools import chain

import pytest

from deepsport.arena.perception import describe
from deepsport.arena.questions import N_OPTIONS, Topic, ask, topic_of
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import FPS, ClipTruth
from deepsport.records import Choice, Dimension, Question

N_CLIPS = 400


def asked(sport: str, seed: int = 5, n_clips: int = N_CLIPS) -> list[tuple[ClipTruth, Question]]:
    truths = [write_script(SPORTS[sport], seed, number, Dials()) for number in range(n_clips)]
    return [(truth, question) for number, truth in enumerate(truths) for question in ask(truth, number)]


def choice(question: Question) -> Choice:
    assert isinstance(question.gold, Choice)
    return question.gold


@pytest.mark.parametrize("sport", SPORTS)
def test_a_fifth_of_the_questions_is_easy_and_the_others_have_the_window_of_the_event(sport: str) -> None:
    questions = asked(sport)
    assert sum(question.easy for _, question in questions) / len(questions) == 0.2
    for truth, question in questions:
        event = truth.events[0]
        if question.easy:
            assert question.window is None
        else:
            assert question.window is not None
            assert question.window.start_s == event.first_index / FPS
            assert question.window.end_s == event.last_index / FPS


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("topic", Topic)
def test_the_right_option_stands_in_every_place_about_equally_often(sport: str, topic: Topic) -> None:
    golds = [choice(question) for _, question in asked(sport) if topic_of(question) is topic]
    places = Counter(gold.options.index(gold.answer) for gold in golds)
    n_options = len(golds[0].options)
    four_sigma = 4 * (len(golds) * (1 / n_options) * (1 - 1 / n_options)) ** 0.5
    assert len(places) == n_options
    assert all(abs(count - len(golds) / n_options) < four_sigma for count in places.values())


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("topic", [Topic.KIND, Topic.ACTOR, Topic.RULING])
def test_every_answer_is_right_about_equally_often(sport: str, topic: Topic) -> None:
    answers = Counter(choice(question).answer for _, question in asked(sport) if topic_of(question) is topic)
    assert set(answers) == set(choice(next(q for _, q in asked(sport, n_clips=1) if topic_of(q) is topic)).options)
    assert max(answers.values()) - min(answers.values()) <= 1


@pytest.mark.parametrize("sport", SPORTS)
def test_a_wrong_final_score_is_drawn_as_the_right_one_is(sport: str) -> None:
    golds = [choice(question) for _, question in asked(sport, n_clips=1600) if topic_of(question) is Topic.SCORE]
    totals = Counter(sum(map(int, gold.answer.split())) for gold in golds)
    others = Counter(sum(map(int, option.split())) for gold in golds for option in gold.options if option != gold.answer)
    for total in totals | others:
        assert abs(totals[total] / totals.total() - others[total] / others.total()) < 0.06


@pytest.mark.parametrize("sport", SPORTS)
def test_a_question_says_its_options_and_its_dimension(sport: str) -> None:
    for _, question in asked(sport, n_clips=12):
        gold = choice(question)
        assert question.text.endswith(f"Options: {', '.join(gold.options)}.")
        assert (question.dimension is Dimension.RULES) == (topic_of(question) is Topic.RULING)
        assert len(gold.options) == (3 if topic_of(question) is Topic.RULING else N_OPTIONS)


@pytest.mark.parametrize("sport", SPORTS)
def test_only_the_question_for_the_sport_leaves_the_sport_unsaid(sport: str) -> None:
    for _, question in asked(sport, n_clips=12):
        assert question.sport == (None if topic_of(question) is Topic.SPORT else sport)


def test_question_ids_are_unique_over_sports_and_seeds() -> None:
    ids = [question.id for sport in SPORTS for seed in (1, 2) for _, question in asked(sport, seed, n_clips=20)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("sport", SPORTS)
def test_a_description_names_the_event_on_its_own_frames_and_play_on_all_others(sport: str) -> None:
    truth = write_script(SPORTS[sport], 3, 0, Dials())
    event = truth.events[0]
    for index in range(truth.n_frames):
        sentence = describe(truth, index)
        during = event.first_index <= index <= event.last_index
        assert sentence.endswith(f"{event.actor} {event.kind}, {event.cue}" if during else ", play")


def test_all_texts_together_use_few_words() -> None:
    clips = [pair for sport in SPORTS for pair in asked(sport, n_clips=40)]
    texts = chain((q.text for _, q in clips), (describe(t, i) for t, _ in clips for i in (0, t.events[0].first_index)))
    words = {word for text in texts for word in re.findall(r"[a-z]+|\d", text.lower())}
    assert len(words) < 300
    assert not any(len(word) > 12 for word in words)
