"""Evaluation over real clips and the real episode loop: recorded, resumable, bounded, in order."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle
from deepsport.bench.evaluate import evaluate, number_of, seed_of
from deepsport.bench.measure import measure
from deepsport.bench.score import scores
from deepsport.bench.workers import MANY, MANY_LATER, Losses
from deepsport.errors import BadRecord, PolicyError, RunError, Stopped
from deepsport.policy.base import Message, Policy, Reply, Sampling, Session
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Episode, Question, StopReason, TokenRecord
from deepsport.run import Run
from deepsport.video.source import FrameSource
from made_episodes import question as made_question

FILE = "episodes.jsonl"
LIMITS, SAMPLING = Limits(), Sampling()
LOOK_THEN_ANSWER = (write_call("", 20, 30), write_answer("", "A"))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=4, seed=7, sports=("soccer",))
    return folder


@pytest.fixture
def questions(arena: Path) -> list[Question]:
    lines = (arena / "questions.jsonl").read_text().splitlines()
    found = [Question.model_validate_json(line) for line in lines]
    return [question.model_copy(update={"video": str(arena / question.video)}) for question in found]


@pytest.fixture
def source() -> Iterator[FrameSource]:
    opened = FrameSource()
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.open(tmp_path / "run", None) as opened:
        yield opened


@dataclass
class Patient:
    """A policy that waits a moment before it answers, and counts how many wait at once."""

    name: str = "patient"
    waiting: int = 0
    most: int = 0
    seeds: list[int] = field(default_factory=list[int])
    on_reply: Callable[[int], None] | None = None

    def session(self, sampling: Sampling) -> Session:
        self.seeds.append(sampling.seed)
        return PatientSession(self)


@dataclass
class PatientSession:
    policy: Patient

    async def reply(self, messages: Sequence[Message]) -> Reply:
        self.policy.waiting += 1
        self.policy.most = max(self.policy.most, self.policy.waiting)
        await asyncio.sleep(0.01)
        self.policy.waiting -= 1
        if self.policy.on_reply:
            self.policy.on_reply(len(self.policy.seeds))
        return Reply(text=write_answer("", "A"))

    def tokens(self) -> TokenRecord | None:
        return None


def run_all(questions: Sequence[Question], policy: Policy, source: FrameSource, run: Run, **more: Any) -> list[Episode]:
    return asyncio.run(evaluate(questions, policy, source, run, FILE, limits=LIMITS, sampling=SAMPLING, **more))


def test_the_oracle_scores_full_marks_on_the_arena_and_calls_only_where_it_must(
    arena: Path, questions: list[Question], source: FrameSource, run: Run
):
    report = measure(scores(run_all(questions, Oracle(load_truths(arena), questions), source, run)))
    assert (report.score, report.valid_action_rate, report.grounding_hit_rate, report.over_call_rate) == (100, 1, 1, 0)


def test_episodes_come_back_in_the_order_of_the_questions_and_are_all_recorded(
    questions: list[Question], source: FrameSource, run: Run
):
    episodes = run_all(questions, Scripted(LOOK_THEN_ANSWER), source, run)
    assert [episode.question for episode in episodes] == questions
    assert {episode.id for episode in run.read(FILE, Episode)} == {episode.id for episode in episodes}
    assert len(run.read(FILE, Episode)) == len(questions)


def test_a_second_run_asks_nothing_again(questions: list[Question], source: FrameSource, run: Run):
    first = run_all(questions[:3], Patient(), source, run)
    again = Patient()
    episodes = run_all(questions, again, source, run)
    assert episodes[:3] == first
    assert len(again.seeds) == len(questions) - 3
    assert len(run.read(FILE, Episode)) == len(questions)


def test_only_what_a_fault_lost_is_tried_again(questions: list[Question], source: FrameSource, run: Run):
    def fails_on_the_first_text(messages: list[Message]) -> str:
        if any(questions[0].text in part for message in messages for part in message.parts if isinstance(part, str)):
            raise PolicyError("the endpoint is down")
        return "no tags at all"

    lost = run_all(questions[:2], Scripted(fails_on_the_first_text), source, run)
    assert [episode.stop for episode in lost] == [StopReason.POLICY_ERROR, StopReason.FORMAT_ERROR]
    again = Patient()
    episodes = run_all(questions[:2], again, source, run)
    assert [episode.stop for episode in episodes] == [StopReason.ANSWERED, StopReason.FORMAT_ERROR]
    assert len(again.seeds) == 1


def test_a_missing_video_ends_its_own_question_only(questions: list[Question], source: FrameSource, run: Run):
    gone = questions[0].model_copy(update={"video": "gone.mp4"})
    episodes = run_all([gone, *questions[1:3]], Patient(), source, run)
    assert [episode.stop for episode in episodes] == [StopReason.VIDEO_ERROR, StopReason.ANSWERED, StopReason.ANSWERED]


def test_no_more_episodes_run_at_once_than_there_is_room_for(questions: list[Question], source: FrameSource, run: Run):
    policy = Patient()
    run_all(questions, policy, source, run, concurrency=3)
    assert policy.most <= 3
    assert len(policy.seeds) == len(questions)


def test_every_question_draws_from_a_seed_of_its_own_whatever_the_order(questions: list[Question], source: FrameSource, run: Run):
    episodes = run_all(questions[::-1], Patient(), source, run, seed=5)
    assert {episode.seed for episode in episodes} == {seed_of(5, question.id) for question in questions}
    assert seed_of(5, "a") != seed_of(6, "a") != seed_of(6, "b")


def test_an_interrupted_evaluation_keeps_what_is_finished(questions: list[Question], source: FrameSource, run: Run):
    def interrupt(n_sessions: int) -> None:
        if n_sessions > 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(questions, Patient(on_reply=interrupt), source, run, concurrency=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(run.read(FILE, Episode)) == 4  # the fourth reply was in when the signal came
    assert len(run_all(questions, Patient(), source, run)) == len(questions)
    assert len(run.read(FILE, Episode)) == len(questions)


def test_a_bug_in_a_policy_is_a_crash_and_not_data(questions: list[Question], source: FrameSource, run: Run):
    def buggy(n_sessions: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        run_all(questions, Patient(on_reply=buggy), source, run)
    assert caught.group_contains(ZeroDivisionError)
    assert run.read(FILE, Episode) == []


def test_a_disk_that_takes_no_record_is_told_in_plain_words(questions: list[Question], source: FrameSource, run: Run):
    run.path(FILE).mkdir()
    with pytest.raises(RunError, match=r"episodes\.jsonl"):
        run_all(questions, Patient(), source, run)


def test_a_question_that_changed_under_its_id_is_refused(questions: list[Question], source: FrameSource, run: Run):
    run_all(questions[:1], Patient(), source, run)
    changed = questions[0].model_copy(update={"gold": Choice(options=("x", "y"), answer="x")})
    with pytest.raises(RunError, match="answers another question under the id"):
        run_all([changed], Patient(), source, run)


def test_videos_that_moved_are_no_other_question(questions: list[Question], source: FrameSource, run: Run, tmp_path: Path):
    run_all(questions[:1], Patient(), source, run)
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(Path(questions[0].video).read_bytes())
    again = Patient()
    [episode] = run_all([questions[0].model_copy(update={"video": str(moved)})], again, source, run)
    assert again.seeds == []
    assert {episode.question.video, *(frame.video for frame in episode.frames_seen)} == {str(moved)}


def test_two_questions_of_one_id_are_refused_before_anything_runs(source: FrameSource, run: Run):
    with pytest.raises(BadRecord, match="two questions have the id 'q'"):
        run_all([made_question("q"), made_question("q")], Patient(), source, run)
    assert not run.path(FILE).exists()


# Several runs


def test_several_runs_stand_in_one_file_and_draw_from_seeds_of_their_own(
    questions: list[Question], source: FrameSource, run: Run
):
    episodes = run_all(questions[:2], Patient(), source, run, seed=5, n_runs=3)
    asked = [(question.id, seed_of(5 + number, question.id)) for question in questions[:2] for number in range(3)]
    assert [(episode.question.id, episode.seed) for episode in episodes] == asked
    assert [number_of(episode, 5, 3) for episode in episodes] == [0, 1, 2, 0, 1, 2]
    assert len({episode.id for episode in run.read(FILE, Episode)}) == 6


def test_a_run_that_is_missing_is_asked_and_no_other(questions: list[Question], source: FrameSource, run: Run):
    first = run_all(questions[:2], Patient(), source, run, n_runs=2)
    again = Patient()
    episodes = run_all(questions[:2], again, source, run, n_runs=3)
    assert [episodes[place] for place in (0, 1, 3, 4)] == first
    assert sorted(again.seeds) == sorted(seed_of(2, question.id) for question in questions[:2])


def test_of_what_was_lost_and_answered_later_the_answer_counts(questions: list[Question], source: FrameSource, run: Run):
    run_all(questions[:1], Scripted(down), source, run, n_runs=2)
    run_all(questions[:1], Patient(), source, run, n_runs=2)
    again = Patient()
    episodes = run_all(questions[:1], again, source, run, n_runs=2)
    assert [episode.stop for episode in episodes] == [StopReason.ANSWERED] * 2
    assert again.seeds == []


# Ends


def down(messages: list[Message]) -> str:
    raise PolicyError("the endpoint is down")


def test_however_many_questions_there_are_no_more_tasks_wait_than_episodes_run(
    questions: list[Question], source: FrameSource, run: Run
):
    n_tasks: list[int] = []
    policy = Patient(on_reply=lambda _: n_tasks.append(len(asyncio.all_tasks())))
    run_all(questions, policy, source, run, concurrency=2, n_runs=5)
    assert len(n_tasks) == 5 * len(questions)
    assert max(n_tasks) <= 3


def test_a_stop_lets_what_is_in_flight_end_and_keeps_it(questions: list[Question], source: FrameSource, run: Run):
    allowance = Allowance()
    policy = Patient(on_reply=lambda n_sessions: allowance.stop("told to") if n_sessions > 3 else None)
    with pytest.raises(Stopped, match="told to"):
        run_all(questions, policy, source, run, concurrency=3, allowance=allowance)
    assert len(policy.seeds) == len(run.read(FILE, Episode)) < len(questions)
    assert len(run_all(questions, Patient(), source, run)) == len(questions)


def test_the_first_loss_ends_an_evaluation_that_is_to_fail_on_errors(questions: list[Question], source: FrameSource, run: Run):
    gone = questions[1].model_copy(update={"video": "gone.mp4"})
    policy = Patient()
    with pytest.raises(Stopped, match=rf"question {gone.id} was lost: .*gone\.mp4.* What is finished is kept"):
        run_all([questions[0], gone, *questions[2:]], policy, source, run, concurrency=1, fail_on_error=True)
    assert len(policy.seeds) == 2
    assert [episode.stop for episode in run.read(FILE, Episode)] == [StopReason.ANSWERED, StopReason.VIDEO_ERROR]


def test_a_policy_that_loses_every_episode_ends_the_evaluation_with_its_fault(
    questions: list[Question], source: FrameSource, run: Run
):
    with pytest.raises(PolicyError, match="each of the first 16 episodes was lost; the last one: the endpoint is down"):
        run_all(questions, Scripted(down), source, run, concurrency=1, n_runs=4)
    assert len(run.read(FILE, Episode)) == MANY


def test_what_was_lost_before_may_be_lost_again_without_ending_anything(questions: list[Question], source: FrameSource, run: Run):
    with pytest.raises(PolicyError):
        run_all(questions, Scripted(down), source, run, concurrency=1, n_runs=4)
    assert MANY == 4 * 4
    episodes = run_all(questions[:4], Scripted(down), source, run, concurrency=1, n_runs=4)
    assert {episode.stop for episode in episodes} == {StopReason.POLICY_ERROR}


def test_losses_in_a_row_are_counted_anew_after_each_that_was_none():
    losses = Losses("episodes")
    losses.count("")
    for _ in range(2):
        for _ in range(MANY_LATER - 1):
            losses.count("down")
        losses.count("")
    for _ in range(MANY_LATER - 1):
        losses.count("down")
    with pytest.raises(PolicyError, match="64 episodes in a row were lost; the last one: down"):
        losses.count("down")


def test_videos_that_cannot_be_read_say_nothing_about_the_endpoint(questions: list[Question], source: FrameSource, run: Run):
    gone = [question.model_copy(update={"video": "gone.mp4"}) for question in questions]
    episodes = run_all(gone, Patient(), source, run, n_runs=3)
    assert len(episodes) > MANY
    assert {episode.stop for episode in episodes} == {StopReason.VIDEO_ERROR}


def test_tokens_are_left_out_where_nobody_wants_them(questions: list[Question], source: FrameSource, run: Run):
    tokens = TokenRecord(ids=(1,), sampled=(True,), logprobs=(0.0,), images=())

    class Counting(PatientSession):
        def tokens(self) -> TokenRecord:
            return tokens

    policy = Patient()
    policy.session = lambda sampling: Counting(policy)  # type: ignore[method-assign]
    [kept], [left_out] = (run_all(questions[n : n + 1], policy, source, run, keep_tokens=not n) for n in (0, 1))
    assert (kept.tokens, left_out.tokens) == (tokens, None)
