"""Distillation: what a trajectory must hold to, which is kept, and what the steps write down."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepsport.agent.grammar import Malformed, parse, write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.arena.generate import make_set
from deepsport.bench.load import episode_load
from deepsport.bench.tasks import load_episodes
from deepsport.bench.workers import work_through
from deepsport.data.distill.canonical import canonical
from deepsport.data.distill.checks import Drop, fault_of_ending, fault_of_form, saw_the_event
from deepsport.data.distill.distill import run_distill
from deepsport.data.distill.estimate import estimate
from deepsport.data.distill.facts import facts_by_rule, names_the_answer
from deepsport.data.distill.hints import Hinted, gives_away
from deepsport.data.distill.judging import Judgement, judge_episode
from deepsport.data.distill.recipe import Bounds, DistillRecipe, TeacherConfig
from deepsport.data.distill.selection import Playback, frames_sha256, select
from deepsport.data.moved import moved
from deepsport.durable import read_records
from deepsport.errors import BadConfig, BadRecord, RunError, Stopped
from deepsport.policy.base import Message, Sampling
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Fact, FreeText, Gold, Number, Question, StopReason, Turn
from deepsport.reward.gated import answer_accuracy
from deepsport.reward.judge import Case, Unscored, Verdict, scored, unscored
from deepsport.video.source import FrameSource, Shown
from made_episodes import KIND, episode, look, malformed, question, refused

# What the facts say


@pytest.mark.parametrize(
    ("gold", "text", "named"),
    [
        (KIND, "It was a volley.", True),
        (KIND, "It was a header.", False),
        (KIND, "It was a header or a volley.", False),
        (Number(answer=3, unit="turns"), "The jump has three turns.", True),
        (Number(answer=3, unit="turns"), "At 1.20 s the jump has 3 turns.", True),
        (Number(answer=3, unit="turns"), "The jump has 2 turns.", False),
        (Number(answer=3, unit="turns"), "Judge 3 was there; the jump has 2 turns.", False),
        (Number(answer=3, unit="turns"), "It happens between 3 s and 5 s.", False),
        (Number(answer=3, unit="turns"), "The jump does not have 3 turns.", False),
        (Number(answer=7.5), "The judges gave 7.5.", True),
        (FreeText(answer="a red card for the tackle"), "There is no red card for the tackle.", False),
        (
            FreeText(answer="red heads it in", facts=(Fact(options=("red", "blue"), answer="red"),)),
            "Blue scores, not red.",
            False,
        ),
        (FreeText(answer="red heads it in", facts=(Fact(options=("red", "blue"), answer="red"),)), "Red scores.", True),
        (FreeText(answer="red heads it in", facts=(Fact(options=("red", "blue"), answer="red"),)), "Somebody scores.", False),
        (FreeText(answer="The keeper drops the ball"), "The keeper then drops it: the ball.", True),
        (FreeText(answer="The keeper drops the ball"), "A corner is taken.", False),
    ],
)
def test_facts_that_leave_the_answer_out_are_recognised(gold: Gold, text: str, named: bool) -> None:
    assert names_the_answer(question(gold=gold), text) is named


@pytest.mark.parametrize("gold", [KIND, Number(answer=-1.5), FreeText(answer="red heads it in.")])
def test_facts_by_rule_always_name_the_answer_and_the_time(gold: Gold) -> None:
    asked = question(gold=gold)
    text = facts_by_rule(asked).text
    assert names_the_answer(asked, text)
    assert "between 1.20 s and 1.36 s" in text


# Thoughts that give the facts away

FACTS = "The striker in red scores with a volley from the edge of the box. It happens between 1.20 s and 1.36 s."


def with_thoughts(*thoughts: str) -> Episode:
    """All but the last ask for a window."""
    looks = [look(20 + 10 * number, 40 + 10 * number, thought=thought) for number, thought in enumerate(thoughts[:-1])]
    last = Turn(text=write_answer(thoughts[-1], "volley"), thought=thoughts[-1], answer="volley")
    return episode(None, [*looks, last]).model_copy(update={"answer": "volley"})


@pytest.mark.parametrize(
    "thought",
    [
        "I see the striker in red scores with a volley from the edge.",
        "According to the note it is a volley.",
        "The hint says to look later.",
        "I was told that it is a volley.",
        "The ground truth is a volley.",
        "The annotation is clear.",
        "Look around 1.20 s, where it happens.",
        "It must be around 1.3 s.",
        "At 1.25 s there must be something.",
        "Let me see second 1.28.",
        "I go to t=1.30 now.",
        "The right answer is: volley, I only need to look.",
        "The correct answer is volley.",
        "As per the note, a volley.",
        "The notes mention a volley.",
        "The supplied answer is volley.",
    ],
)
def test_a_thought_that_gives_the_facts_away_is_found(thought: str) -> None:
    assert gives_away(with_thoughts("the ball moves", thought, "a volley"), FACTS, 6).startswith("thought 2")


@pytest.mark.parametrize(
    "thought",
    [
        "The striker in red is about to shoot.",
        "A yellow card was given to blue.",
        "There is a hint of spin on the ball.",
        "Frames 15 and 29 differ: the score changes between 0.60 s and 1.16 s.",
        "He notes the position of the keeper.",
        "His body position hints at a pass.",
        "The scoreboard gives a hint that the score changed.",
        "The broadcast annotation marks the offside line.",
        "The clip ends at 4.00 s and it is 2-1 now.",
        "Frame 31 is what I need.",
    ],
)
def test_an_honest_thought_is_left_alone(thought: str) -> None:
    assert gives_away(with_thoughts(thought, "a volley"), FACTS, 6) == ""


def test_a_time_that_a_frame_has_shown_may_be_named() -> None:
    facts = "It happens between 1.24 s and 1.36 s."
    thoughts = ("the score changes here", "At 1.24 s the ball is struck.", "a volley")
    assert "1.24" in {f"{frame.time_s:.2f}" for frame in with_thoughts(*thoughts).turns[0].frames}
    assert gives_away(with_thoughts(*thoughts), facts, 6) == ""
    assert gives_away(with_thoughts(*thoughts[1:]), facts, 6) == "thought 1 knows the time 1.24 s, which no frame had shown"


def test_words_of_the_question_are_no_quotation() -> None:
    asked = question().model_copy(update={"text": "The striker in red scores with a volley: why did he?"})
    quoting = with_thoughts("The striker in red scores with a volley.", "so").model_copy(update={"question": asked})
    assert gives_away(quoting, FACTS, 6) == ""


def test_the_teacher_reads_the_note_once_and_the_record_does_not_hold_it() -> None:
    told: list[list[Message]] = []

    def listen(seen: list[Message]) -> str:
        told.append(list(seen))
        return "ok"

    async def scene() -> None:
        session = Hinted(Scripted(listen, name="teacher"), "The answer is X.").session(Sampling())
        await session.reply([Message("system", ("rules",)), Message("user", ("frames", "Question?"))])
        await session.reply([Message("user", ("more",))])
        assert session.tokens() is None

    asyncio.run(scene())
    said = ["".join(str(part) for part in message.parts) for message in told[-1]]
    assert [("The answer is X." in text) for text in said] == [False, True, False]
    assert Hinted(Scripted([], name="teacher"), "").name == "teacher"


# What a trajectory must hold to


@pytest.mark.parametrize(
    ("ended", "drop"),
    [
        (episode("volley"), None),
        (episode(None, [malformed()], stop=StopReason.FORMAT_ERROR), Drop.MALFORMED),
        (episode(None, [look(20, 40)], stop=StopReason.MAX_TURNS), Drop.NO_ANSWER),
        (episode(None, stop=StopReason.MAX_TOKENS), Drop.NO_ANSWER),
        (episode(None, stop=StopReason.CONTEXT_OVERFLOW), Drop.NO_ANSWER),
        (episode(None, stop=StopReason.POLICY_ERROR), Drop.FAULT),
        (episode(None, stop=StopReason.VIDEO_ERROR), Drop.FAULT),
    ],
)
def test_how_an_episode_ended_decides_first(ended: Episode, drop: Drop | None) -> None:
    assert fault_of_ending(ended) is drop


@pytest.mark.parametrize(
    ("event", "turns", "seen"),
    [
        ((30, 34), [look(20, 40)], True),
        ((30, 34), [look(60, 80)], False),
        ((30, 34), [refused(20, 4000)], False),
        ((30, 34), [look(0, 99)], False),  # it touches the event, and steps over it
        ((33, 33), [look(20, 40)], True),  # an instant, and a frame near it
        ((50, 50), [look(20, 30)], False),
        ((30, 34), [], False),
        ((14, 20), [], True),  # frame 14 is a sparse frame
        (None, [], True),
    ],
)
def test_the_event_was_seen_if_a_frame_shown_lies_in_it(event: tuple[int, int] | None, turns: list[Turn], seen: bool) -> None:
    assert saw_the_event(episode("volley", turns, question(event=event))) is seen


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ([look(20, 40)], None),
        ([look(0, 99, thought="first of all"), look(20, 40)], None),
        ([look(20, 40, thought="first of all"), look(20, 41)], Drop.REPETITION),
        ([look(20, 40), look(50, 60)], Drop.REPETITION),  # the same thought twice
        ([refused(20, 4000)], Drop.REFUSED_CALL),
        ([look(20, 40, thought="hm")], Drop.SHORT),
        ([look(20, 40, thought="well, " * 400)], Drop.LONG),
    ],
)
def test_redundancy_and_length_are_bounded(turns: list[Turn], fault: Drop | None) -> None:
    found = fault_of_form(with_answer_thought(episode("volley", turns)), Bounds())
    assert (found[0] if found else None) is fault


def with_answer_thought(made: Episode) -> Episode:
    last = made.turns[-1].model_copy(update={"thought": "seen in frame 31"})
    return made.model_copy(update={"turns": (*made.turns[:-1], last)})


# The judge


class Verdicts:
    """A judge that gives what it is told to give, and counts what it is asked."""

    name = "told"

    def __init__(self, answer: Verdict | None = None, thoughts: Verdict | None = None) -> None:
        self.asked: list[str] = []
        self._verdicts = {"answer": answer, "thoughts": thoughts or scored(9, "fine", "told")}

    async def judge(self, case: Case) -> Verdict:
        self.asked.append(case.matter)
        verdict = self._verdicts[case.matter]
        assert verdict is not None
        return verdict


def judged(made: Episode, judge: Verdicts, **settings: object) -> Judgement:
    recipe = DistillRecipe.model_validate({"questions": "q", **settings})
    return asyncio.run(judge_episode(made, FACTS, judge, recipe))


GOOD = with_answer_thought(episode("volley", [look(20, 40)]))
OPEN = with_answer_thought(episode("red volleys", [look(20, 40)], question(gold=FreeText(answer="red scores with a volley"))))


def test_a_good_trajectory_passes_and_its_answer_needs_no_judge() -> None:
    judge = Verdicts()
    judgement = judged(GOOD, judge)
    assert (judgement.drop, judgement.accuracy, judgement.thought_points, judgement.n_calls) == (None, 1.0, 9, 1)
    assert judge.asked == ["thoughts"]


def test_the_judge_is_not_asked_about_what_rules_refuse() -> None:
    judge = Verdicts()
    wrong = with_answer_thought(episode("header", [look(20, 40)]))
    assert judged(wrong, judge).drop is Drop.WRONG
    assert judged(with_answer_thought(episode("volley", [look(60, 80)])), judge).drop is Drop.MISSED
    assert judge.asked == []


@pytest.mark.parametrize(
    ("answer", "drop"),
    [
        (scored(10, "", "j"), None),
        (scored(6, "", "j"), Drop.WRONG),
        (unscored(Unscored.ABSTAINED, "cannot tell", "j"), Drop.UNDECIDED),
        (unscored(Unscored.UNJUDGED, "down", "j"), Drop.UNJUDGED),
        (unscored(Unscored.UNREADABLE, "??", "j"), Drop.UNREADABLE),
    ],
)
def test_an_open_answer_is_the_judges_business_and_its_silence_is_not_wrong(answer: Verdict, drop: Drop | None) -> None:
    assert judged(OPEN, Verdicts(answer)).drop is drop


@pytest.mark.parametrize(
    ("thoughts", "drop"),
    [
        (scored(3, "claims what no frame showed", "j"), Drop.INCONSISTENT),
        (scored(7, "", "j"), None),
        (unscored(Unscored.ABSTAINED, "cannot tell", "j"), None),
        (unscored(Unscored.UNJUDGED, "down", "j"), Drop.UNJUDGED),
    ],
)
def test_thoughts_need_points_unless_the_judge_abstains(thoughts: Verdict, drop: Drop | None) -> None:
    assert judged(GOOD, Verdicts(thoughts=thoughts)).drop is drop


def test_giving_the_facts_away_is_looked_for_only_where_they_were_given() -> None:
    telling = with_thoughts("According to the note it comes later.", "a volley, as frame 31 shows")
    assert judged(telling, Verdicts(), hints="given").drop is Drop.GIVES_AWAY
    assert judged(telling, Verdicts(), hints="withheld").drop is None


# The best of each question


def judgement(name: str, points: int | None = 9, **fields: object) -> Judgement:
    known: dict[str, object] = {"accuracy": 1.0, "words_sha256": name}
    return Judgement.model_validate(
        {"episode_id": name, "question_id": name.rpartition("/")[0], "thought_points": points, **known, **fields}
    )


def kept(*judgements: Judgement, keep: int = 1) -> dict[str, Drop | None]:
    return {chosen.episode_id: chosen.drop for chosen in select(judgements, keep)}


def test_more_points_then_fewer_looks_then_fewer_words_are_better() -> None:
    better = [judgement("q/3", 9), judgement("q/1", 8, n_calls=1), judgement("q/2", 8, n_calls=2, n_characters=5)]
    worse = [judgement("q/0", 8, n_calls=2, n_characters=6), judgement("q/4", None)]
    for number in range(1, 5):
        chosen = kept(*worse, *better, keep=number)
        ranked = ["q/3", "q/1", "q/2", "q/0", "q/4"]
        assert [name for name in ranked if chosen[name] is None] == ranked[:number]


def test_twins_count_once_and_dropped_ones_stay_dropped() -> None:
    chosen = kept(
        judgement("q/0"), judgement("q/1", words_sha256="q/0"), judgement("q/2", drop=Drop.WRONG), judgement("r/0"), keep=2
    )
    assert chosen == {"q/0": None, "q/1": Drop.TWIN, "q/2": Drop.WRONG, "r/0": None}


@pytest.mark.parametrize(
    "spelling",
    [
        '<think>look</think><tool call>{"action":"choose_frames","frame_range":[3, 9]}</tool call>',
        "<think>look</think><tool_call>frame extraction tool(3, 9)</tool_call>",
        '<think> look </think>\n<tool_call>{"name":"choose_frames","arguments":{"frame_range":[3,9]}}</tool_call>',
    ],
)
def test_other_spellings_are_rewritten_in_the_canonical_one(spelling: str) -> None:
    foreign = episode("volley", [look(3, 9, thought="look").model_copy(update={"text": spelling})])
    assert canonical(foreign).turns[0].text == write_call("look", 3, 9)


def test_twins_in_different_spellings_are_twins() -> None:
    said = [
        '<think>look</think><tool call>{"action":"choose_frames","frame_range":[20,40]}</tool call>',
        '<think>look</think><tool_call>{"action":"choose_frames","frame_range":[20,40]}</tool_call>',
    ]
    turn = look(20, 40, thought="look")
    one, other = (with_answer_thought(episode("volley", [turn.model_copy(update={"text": text})])) for text in said)
    assert judged(one, Verdicts()).words_sha256 == judged(other, Verdicts()).words_sha256


def test_what_looks_for_marks_is_linear_in_what_it_reads() -> None:
    started = time.process_time()
    hostile = "<|" * 50_000
    assert (
        fault_of_form(with_answer_thought(episode("volley", [look(20, 40, thought=hostile)])), Bounds(longest_thought=10**6))
        is None
    )
    assert time.process_time() - started < 2


def test_blanks_of_the_canonical_spelling_stay() -> None:
    text = write_answer("seen", " volley")
    made = episode("volley")
    made = made.model_copy(update={"turns": (made.turns[0].model_copy(update={"text": text + "\n"}),)})
    assert canonical(made).turns[0].text == text


def test_a_moved_video_moves_the_frames_with_it() -> None:
    there = moved(episode("volley", [look(20, 40)]), "b.mp4")
    assert {frame.video for frame in there.frames_seen} == {there.question.video} == {"b.mp4"}


# Workers


def test_workers_do_every_job_and_never_more_at_once_than_there_are() -> None:
    running, most, done = 0, 0, list[int]()

    async def do(job: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(job)

    asyncio.run(work_through(range(50), do, n_workers=4, allowance=Allowance()))
    assert sorted(done) == list(range(50))
    assert most == 4


def test_a_stop_lets_the_jobs_under_way_end() -> None:
    allowance, done = Allowance(), list[int]()

    async def do(job: int) -> None:
        if job == 2:
            allowance.stop("told to")
        await asyncio.sleep(0.01)
        done.append(job)

    with pytest.raises(Stopped, match="told to"):
        asyncio.run(work_through(range(50), do, n_workers=3, allowance=allowance))
    assert sorted(done) == [0, 1, 2]


def test_an_error_of_a_job_ends_all_and_is_raised_bare() -> None:
    async def do(job: int) -> None:
        if job == 5:
            raise RunError("disk full")
        await asyncio.sleep(0.001)

    with pytest.raises(RunError, match="disk full"):
        asyncio.run(work_through(range(50), do, n_workers=3, allowance=Allowance()))


# A whole run, offline


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=12, seed=7)
    return folder


@pytest.fixture(scope="module")
def offline(arena: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "distilled"
    run_distill(folder, DistillRecipe(questions=str(arena / "questions.jsonl"), samples=3, keep=2, haste=0.6))
    return folder


def test_every_kept_trajectory_is_in_the_grammar_right_and_has_seen_the_event(offline: Path) -> None:
    taught = load_episodes(offline / "kept.jsonl")
    assert len(taught) > 60
    for each in taught:
        assert not any(isinstance(parse(turn.text), Malformed) for turn in each.turns)
        assert fault_of_ending(each) is None
        assert answer_accuracy(each) == 1
        assert saw_the_event(each)


def test_every_kept_trajectory_brings_the_same_frames_again_by_hash(offline: Path) -> None:
    hashes = {playback.episode_id: playback.frames_sha256 for playback in read_records(offline / "played.jsonl", Playback)}
    with FrameSource() as source:
        for each in load_episodes(offline / "kept.jsonl"):
            script = Scripted([turn.text for turn in each.turns])
            again = asyncio.run(run_episode(each.question, script, source, limits=Limits(), sampling=Sampling()))
            assert again.frames_seen == each.frames_seen
            assert frames_sha256(again, source) == hashes[each.id]


def test_hasty_guesses_are_not_kept_even_where_they_are_right(offline: Path) -> None:
    judgements = list(read_records(offline / "judged.jsonl", Judgement))
    assert {Drop.WRONG, Drop.MISSED} <= {judgement.drop for judgement in judgements}
    assert all("event not seen" not in turn.thought for each in load_episodes(offline / "kept.jsonl") for turn in each.turns)


def test_nothing_vanishes(offline: Path, arena: Path) -> None:
    n_questions = len((arena / "questions.jsonl").read_text().splitlines())
    report = run_distill(offline, DistillRecipe(questions=str(arena / "questions.jsonl"), samples=3, keep=2, haste=0.6))
    assert report.n_trajectories == 3 * n_questions
    assert report.n_kept + sum(drop.n_times for drop in report.dropped) == report.n_trajectories
    assert report.n_kept == len(load_episodes(offline / "kept.jsonl"))


def test_a_run_that_is_done_is_not_done_again_and_stays_the_same(offline: Path, arena: Path) -> None:
    before = {name: (offline / name).read_bytes() for name in ("facts.jsonl", "acted.jsonl", "judged.jsonl", "kept.jsonl")}
    run_distill(offline, DistillRecipe(questions=str(arena / "questions.jsonl"), samples=3, keep=2, haste=0.6))
    assert {name: (offline / name).read_bytes() for name in before} == before


def test_the_page_shows_kept_and_dropped_trajectories(offline: Path) -> None:
    page = (offline / "report.html").read_text()
    assert page.count("<details") >= 8
    assert "the answer is wrong" in page
    assert "<script" not in page


def test_other_questions_need_another_folder(arena: Path, tmp_path: Path) -> None:
    lines = (arena / "questions.jsonl").read_text().splitlines(keepends=True)
    recipe = DistillRecipe(questions=str(arena / "some.jsonl"), samples=1)
    (arena / "some.jsonl").write_text("".join(lines[:2]))
    run_distill(tmp_path / "run", recipe)
    (arena / "some.jsonl").write_text("".join(lines[1:3]))
    with pytest.raises(RunError, match="begun with other questions"):
        run_distill(tmp_path / "run", recipe)


def test_footage_without_a_teacher_is_refused_with_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(question().model_dump_json() + "\n")
    with pytest.raises(BadConfig, match=r"Name one: a \[teacher\] table"):
        run_distill(tmp_path / "run", DistillRecipe(questions=str(tmp_path / "questions.jsonl")))


def test_a_question_without_an_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(question("lost", gold=None).model_dump_json() + "\n")
    with pytest.raises(BadRecord, match="question lost has no known answer"):
        run_distill(tmp_path / "run", DistillRecipe(questions=str(tmp_path / "questions.jsonl")))


# What it will cost


def test_tokens_and_images_of_a_trajectory_add_up_over_the_turns() -> None:
    limits = Limits(first_frames=8, frames_per_call=8)
    one_turn = episode_load(limits, 9, 20, 1, 100)
    assert one_turn == (8, 350 + 20 + 8 * (9 + 12), 100)
    two_turns = episode_load(limits, 9, 20, 2, 100)
    assert two_turns == (8 + 16, 2 * one_turn.prompt_tokens + 100 + 20 + 8 * (9 + 12), 200)


def test_an_estimate_counts_every_endpoint_at_its_price_and_pace(arena: Path) -> None:
    teacher = TeacherConfig(model="t", base_url="http://localhost:1/v1", prompt_usd=2.0, reply_usd=8.0, requests_per_minute=60)
    judge = EndpointConfig(model="j", base_url="http://localhost:1/v1")
    recipe = DistillRecipe(questions=str(arena / "questions.jsonl"), teacher=teacher, judge=judge, samples=4)
    asked = [Question(id="q", video=str(next((arena / "clips").iterdir())), text="Which?" * 10, gold=KIND)] * 10
    with FrameSource() as source:
        expected = estimate(recipe, asked, source)
    acting, judging = expected.likely
    assert (acting.step, acting.n_requests, judging.step, judging.n_requests) == ("acting", 120, "judging", 40)
    assert acting.usd == pytest.approx((acting.prompt_tokens * 2 + acting.reply_tokens * 8) / 1e6)
    assert (judging.usd, judging.shortest_s, acting.shortest_s) == (0, 0, 120)
    assert expected.most[0].prompt_tokens > acting.prompt_tokens
    assert (expected.most[1].n_requests, expected.most[1].reply_tokens) == (80, 80 * 2048)


def test_while_frames_are_decoded_other_conversations_go_on(arena: Path) -> None:
    class Slow(FrameSource):
        def look(self, path: str, indices: Sequence[int]) -> list[Shown]:
            time.sleep(0.4)
            return super().look(path, indices)

    async def longest_hold_s(episodes: asyncio.Future[list[Episode]]) -> float:
        longest_s = 0.0
        while not episodes.done():
            before_s = time.monotonic()
            await asyncio.sleep(0.005)
            longest_s = max(longest_s, time.monotonic() - before_s)
        return longest_s

    async def scene() -> float:
        asked = Question(id="q", video=str(next((arena / "clips").iterdir())), text="Which?")
        replies = [write_call("look", 3, 9), write_answer("so", "A")]
        with Slow() as source:
            playing = [run_episode(asked, Scripted(replies), source, limits=Limits(), sampling=Sampling()) for _ in range(2)]
            return await longest_hold_s(asyncio.gather(*playing))

    assert asyncio.run(scene()) < 0.3
