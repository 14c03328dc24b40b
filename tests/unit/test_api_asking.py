"""`ds.ask` and `ds.ask_async`: from any thread and any loop, one at a time and many at once, each about its own video."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import deepsport as ds
from deepsport.agent.grammar import write_answer, write_call
from deepsport.policy.scripted import Scripted
from model_server import ModelServer, Say
from tiny_models import nano_folder, widen
from video_files import Recipe, write, write_sound

ANSWER = write_answer("I saw it", "red card")


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("videos") / "match.mp4")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight videos, no two of one length."""
    folder = tmp_path_factory.mktemp("videos")
    return [write(folder / f"{n}.mp4", Recipe(n_frames=n)) for n in range(20, 36, 2)]


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> ds.Actor:
    """A model that runs here. Its weights are random, so that what it says depends on every picture."""
    actor = ds.load_model(nano_folder(tmp_path_factory.mktemp("wild")))
    widen(actor.policy.policy.backbone.model, seed=0)
    return actor


def length(messages: list[ds.Message]) -> str:
    """Answers with the number of frames that the opening tells."""
    said = "".join(part for message in messages for part in message.parts if isinstance(part, str))
    return write_answer("as it says", said.partition("Video: ")[2].split()[0])


def babble(model: ds.Actor, video: Path) -> str:
    return ds.ask(video, "Who?", model=model, max_tokens=12, temperature=1.0).turns[0].text


def test_a_question_comes_back_as_an_episode_with_its_turns_and_frames(match):
    episode = ds.ask(match, "Why the card?", model=Scripted([write_call("a foul", 10, 17), ANSWER]), sport="soccer")
    assert (episode.answer, episode.stop) == ("red card", ds.StopReason.ANSWERED)
    assert [turn.thought for turn in episode.turns] == ["a foul", "I saw it"]
    assert [frame.index for frame in episode.turns[0].frames] == list(range(10, 18))
    assert episode.question.sport == "soccer"
    assert episode.question.video == str(match)


def test_options_are_put_with_the_question(match):
    episode = ds.ask(match, "Which card?", model=Scripted([ANSWER]), options=["red card", "yellow card"])
    assert episode.question.text == "Which card? Options: red card, yellow card."


@pytest.mark.parametrize("options", [["goal"], ["goal", "goal"], ["goal", " "], "goal,save"])
def test_options_that_leave_no_choice_are_refused(options, match):
    with pytest.raises(ds.BadConfig, match="two or more different answers"):
        ds.ask(match, "What?", model=Scripted([ANSWER]), options=options)


@pytest.mark.parametrize("setting", [{"max_turns": 0}, {"max_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}])
def test_settings_out_of_bounds_are_refused_by_name(setting, match):
    with pytest.raises(ds.BadConfig, match=next(iter(setting))):
        ds.ask(match, "What?", model=Scripted([ANSWER]), **setting)


def test_a_file_that_is_no_video_is_told_before_a_model_is_looked_for(tmp_path):
    sound = write_sound(tmp_path / "sound.mp4")
    for path in (sound, tmp_path / "missing.mp4"):
        with pytest.raises(ds.BadVideo, match=path.name):
            ds.ask(path, "What?", model="no/such-model")


def test_a_model_that_fails_ends_its_episode_and_says_by_what(match):
    episode = ds.ask(match, "What?", model=Scripted([]))
    assert (episode.answer, episode.stop) == (None, ds.StopReason.POLICY_ERROR)
    assert "one more was asked for" in episode.detail


def test_every_turn_is_told_as_it_happens(match):
    turns: list[ds.Turn] = []
    episode = ds.ask(match, "What?", model=Scripted([write_call("look", 10, 17), ANSWER]), on_turn=turns.append)
    assert tuple(turns) == episode.turns


def test_questions_from_many_threads_each_get_the_answer_about_their_own_video(videos):
    with ThreadPoolExecutor(8) as threads:
        episodes = list(threads.map(lambda video: ds.ask(video, "How long?", model=Scripted(length)), videos))
    assert [episode.answer for episode in episodes] == [video.stem for video in videos]


def test_questions_awaited_together_each_get_the_answer_about_their_own_video(videos):
    async def together() -> list[ds.Episode]:
        return await asyncio.gather(*(ds.ask_async(video, "How long?", model=Scripted(length)) for video in videos))

    assert [episode.answer for episode in asyncio.run(together())] == [video.stem for video in videos]


def test_a_loaded_model_says_the_same_twice_in_a_row_from_many_threads_and_from_many_loops(wild, videos):
    alone = [babble(wild, video) for video in videos]
    assert len(set(alone)) > 4, "what is said depends on the video"
    assert [babble(wild, video) for video in videos] == alone
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda video: babble(wild, video), videos)) == alone
        loops = threads.map(
            lambda video: asyncio.run(ds.ask_async(video, "Who?", model=wild, max_tokens=12, temperature=1.0)), videos
        )
        assert [episode.turns[0].text for episode in loops] == alone


def test_a_loaded_model_answers_questions_that_are_awaited_together_in_one_batch(wild, videos):
    async def together() -> list[ds.Episode]:
        return await asyncio.gather(
            *(ds.ask_async(video, "Who?", model=wild, max_tokens=12, temperature=1.0) for video in videos)
        )

    engine = wild.policy.policy.engine
    sizes: list[int] = []
    admit, engine._admit = engine._admit, lambda newcomers: (sizes.append(len(newcomers)), admit(newcomers))
    asyncio.run(together())
    del engine._admit
    assert sum(sizes) == len(videos)
    assert max(sizes) > 1


def test_a_question_can_be_asked_inside_a_running_loop(match):
    async def cell() -> ds.Episode:
        return ds.ask(match, "Which card?", model=Scripted([ANSWER]))

    assert asyncio.run(cell()).answer == "red card"


def test_a_policy_of_ones_own_is_awaited_on_the_loop_that_asks(match):
    async def asked() -> tuple[ds.Episode, list[asyncio.AbstractEventLoop]]:
        policy = Nosy()
        return await ds.ask_async(match, "Which card?", model=policy), [asyncio.get_running_loop(), *policy.loops]

    episode, loops = asyncio.run(asked())
    assert episode.answer == "red card"
    assert loops[0] is loops[1]


class Nosy:
    """Notes which loop its replies are made on."""

    name = "nosy"

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []

    def session(self, sampling: ds.Sampling) -> ds.Session:
        return self

    async def reply(self, messages: Sequence[ds.Message]) -> ds.Reply:
        self.loops.append(asyncio.get_running_loop())
        return ds.Reply(text=ANSWER)

    def tokens(self) -> None:
        return None


@dataclass
class Endless:
    """Never replies, and notes that it was told to stop."""

    name: str = "endless"
    was_cancelled: bool = False

    def session(self, sampling: ds.Sampling) -> ds.Session:
        return self

    async def reply(self, messages: Sequence[ds.Message]) -> ds.Reply:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        raise AssertionError("nobody waits that long")

    def tokens(self) -> None:
        return None


def test_a_question_that_is_no_longer_awaited_is_given_up(match):
    policy = Endless()
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(ds.ask_async(match, "When?", model=policy), 0.5))
    assert policy.was_cancelled


INTERRUPTED = """
import sys
sys.path.insert(0, {tests!r})
from unit.test_api_asking import Endless
import deepsport as ds
policy = Endless()
try:
    print("asking", flush=True)
    ds.ask({video!r}, "When?", model=policy)
except KeyboardInterrupt:
    import time
    time.sleep(0.3)
    print("given up" if policy.was_cancelled else "still at it")
"""


def test_ctrl_c_ends_the_wait_and_the_episode(match):
    code = INTERRUPTED.format(tests=str(Path(__file__).parents[1]), video=str(match))
    path = os.pathsep.join(sys.path)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "asking\n"
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0] == "given up\n"


FORKED = """
import os
import deepsport as ds
from deepsport.policy.scripted import Scripted
def asked():
    return ds.ask({video!r}, "Which?", model=Scripted([{answer!r}])).answer
assert asked() == "red card"
child = os.fork()
if not child:
    os._exit(0 if asked() == "red card" else 1)
assert os.waitpid(child, 0)[1] == 0
assert asked() == "red card"
"""


def test_a_forked_process_asks_for_itself(match):
    subprocess.run([sys.executable, "-c", FORKED.format(video=str(match), answer=ANSWER)], check=True, timeout=60)


def test_asking_inside_a_policy_is_refused_where_it_would_wait_for_itself(match):
    def asks_again(messages: list[ds.Message]) -> str:
        return ds.ask(match, "And?", model=Scripted([ANSWER])).answer or ""

    with pytest.raises(RuntimeError, match="ask_async"):
        ds.ask(match, "What?", model=Scripted(asks_again))


def test_a_model_that_knows_only_the_arena_warns_of_other_footage_and_not_of_the_arena(match, tmp_path):
    actor = ds.Actor(Scripted([ANSWER], name="small"), ds.PromptStyle.FULL, arena_only=True)
    with pytest.warns(UserWarning, match="small knows only the arena") as warned:
        ds.ask(match, "What?", model=actor)
    assert warned[0].filename == __file__
    arena = write(tmp_path / "arena.mp4", Recipe(metadata={"comment": "deepsport-arena/1"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds.ask(arena, "What?", model=actor)


def test_a_video_that_was_replaced_is_looked_at_anew(wild, videos, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copy(videos[0], path)
    babble(wild, path)
    dark = write(tmp_path / "dark.mp4", Recipe(n_frames=20, b_frames=0, options={"crf": "51"}))
    dark.replace(path)
    anew = babble(wild, path)
    elsewhere = shutil.copy(path, tmp_path / "elsewhere.mp4")
    assert anew == babble(wild, elsewhere)


def test_the_model_named_last_stays_loaded_until_its_weights_change(tmp_path):
    folder = nano_folder(tmp_path)
    model = ds.load_model(folder)
    assert ds.load_model(str(folder)) is model
    weights = next(folder.glob("*.safetensors"))
    os.utime(weights, (1, 1))
    assert ds.load_model(folder) is not model


def test_a_model_that_is_served_is_asked_by_its_name(match):
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        episode = ds.ask(match, "Which card?", model="m", endpoint=server.url)
        again = asyncio.run(ds.ask_async(match, "Which card?", model="m", endpoint=server.url))
    assert (episode.answer, again.answer, episode.policy) == ("red card", "red card", "m")
    assert {request.body["model"] for request in server.requests} == {"m"}


def test_an_endpoint_needs_the_name_of_a_model(match):
    for model in (None, Scripted([ANSWER])):
        with pytest.raises(ds.BadConfig, match="needs the name of a model"):
            ds.ask(match, "What?", model=model, endpoint="http://127.0.0.1:9/v1")


def test_a_model_that_is_not_there_is_told(match):
    with pytest.raises(ds.PolicyError, match="no-such-folder"):
        ds.ask(match, "What?", model="./no-such-folder")


@pytest.mark.parametrize("question", ["", " \n"])
def test_a_question_without_words_is_refused(question, match):
    with pytest.raises(ds.BadConfig, match="the question is empty"):
        ds.ask(match, question, model=Scripted([ANSWER]))


@pytest.mark.parametrize("asked", [{"question": "Who?\ud800"}, {"options": ["a", "\ud800"]}, {"sport": "\ud800"}])
def test_half_a_surrogate_pair_is_told_before_a_model_is_asked(asked, match):
    with pytest.raises(ds.BadConfig, match="surrogates not allowed"):
        ds.ask(match, **{"question": "Who?", **asked}, model=Scripted([]))
    with pytest.raises(ValueError, match="surrogates not allowed"):
        ds.Question(id="q", video="a.mp4", text="\ud800")


def test_options_may_be_numbers(match):
    assert ds.ask(match, "How many?", options=[1, 2], model=Scripted([ANSWER])).question.text == "How many? Options: 1, 2."


@pytest.mark.parametrize("ask", [lambda video: ds.ask(video, "Who?", model=""), lambda video: ds.load_model("")])
def test_an_empty_name_is_that_of_no_model(ask, match):
    with pytest.raises(ds.BadConfig, match="model = ''"):
        ask(match)


def test_what_cannot_be_asked_is_no_model(match):
    with pytest.raises(ds.BadConfig, match="model = int"):
        ds.ask(match, "Who?", model=5)
