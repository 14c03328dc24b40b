"""`deepsport ask`: one question about one video file, answered before the reader's eyes.

The video is untrusted: it is decoded in a process of its own. Results go to stdout, everything else to stderr.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import fail, plain, plain_errors
from deepsport.errors import BadConfig

if TYPE_CHECKING:
    from deepsport.actor import Actor
    from deepsport.agent.rollout import Limits
    from deepsport.policy.base import Sampling
    from deepsport.records import Episode, Question
    from deepsport.video.source import FrameSource

ARENA_ONLY = (
    "warning: {model} knows only the arena's rendered clips, and this video is not one: expect a guess. For real footage name a "
    "real model, such as --model Qwen/Qwen2.5-VL-7B-Instruct, or a server with --endpoint URL --model NAME."
)


def ask(
    video: Annotated[Path, typer.Argument(help="Any video file.", show_default=False)],
    question: Annotated[str, typer.Argument(help="What to find out.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="nano (the default), a checkpoint folder, or a hub id of the Qwen2.5-VL or Qwen3-VL family."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server; its key is read from OPENAI_API_KEY.")
    ] = None,
    native_tools: Annotated[
        bool, typer.Option("--native-tools", help="Offer the frame tool as a function of the endpoint.")
    ] = False,
    sport: Annotated[str | None, typer.Option(help="Tell the model which sport this is.")] = None,
    options: Annotated[str | None, typer.Option(help="Possible answers, separated by commas.")] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Replies, the answer included.")] = 5,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply.")] = 1024,
    temperature: Annotated[float, typer.Option(min=0, help="0 always takes the likeliest token.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the sampling, where the temperature is not 0.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write the episode as one page that can be shared.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the episode's record on stdout, and only that.")] = False,
) -> None:
    """Ask a question about a video.

    \b
    deepsport ask dive.mp4 "How many somersaults?" --options 2,2.5,3,3.5
    deepsport ask match.mp4 "Why was the card given?" --model Qwen/Qwen2.5-VL-7B-Instruct --html why.html
    deepsport ask match.mp4 "Who scored?" --endpoint http://localhost:8000/v1 --model my-model --json

    \b
    Exit code 0: answered. 1: the model gave no answer. 2: the video, the model or an option was no good.
    """
    from deepsport.agent.rollout import Limits
    from deepsport.policy.base import Sampling
    from deepsport.records import Question
    from deepsport.video.source import FrameSource

    with plain_errors(), FrameSource(trusted=False) as source:
        asked = Question(id="ask", video=str(video), text=_with_options(question, options), sport=sport)
        source.info(asked.video)  # a bad file is told before a model is loaded
        actor = open_actor(model, endpoint, native_tools)
        limits = Limits(max_turns=max_turns, style=actor.style)
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
        episode = _run(asked, actor, source, limits, sampling, quiet=as_json)
        if as_json:
            typer.echo(episode.model_dump_json())
        if html is not None:
            _write_page(html, episode, source)
    _exit(episode)


def _with_options(question: str, options: str | None) -> str:
    from deepsport.agent.prompt import with_options

    if options is None:
        return question
    names = [name.strip() for name in options.split(",")]
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise BadConfig(f"--options {options!r} must be two or more different answers, such as --options goal,save,miss")
    return with_options(question, names)


def open_actor(model: str | None, endpoint: str | None, native_tools: bool) -> "Actor":
    """The model that a command names, loaded with a word on the screen. Raises BadConfig or PolicyError."""
    from rich.console import Console

    from deepsport.actor import local_actor, remote_actor

    if endpoint is not None:
        if model is None:
            raise nameless(endpoint)
        return remote_actor(endpoint, model, native_tools)
    if native_tools:
        raise BadConfig("--native-tools is for servers: give --endpoint too, or leave it out")
    with Console(stderr=True).status(f"loading {plain(model or 'nano')}"):
        return local_actor(model or "nano")


def nameless(endpoint: str) -> BadConfig:
    """The error of an address without the name of a model."""
    advice = f"Name it with --model; `deepsport doctor --endpoint {endpoint}` lists what is served."
    return BadConfig(f"--endpoint needs the name of a model. {advice}")


def _run(
    question: "Question", actor: "Actor", source: "FrameSource", limits: "Limits", sampling: "Sampling", *, quiet: bool
) -> "Episode":
    """One episode, shown as it happens unless `quiet`."""
    import asyncio

    from rich.console import Console

    from deepsport.agent.rollout import run_episode
    from deepsport.cli.screen import Screen
    from deepsport.video.sample import uniform

    info = source.info(question.video)
    if actor.is_out_of_place(info.metadata.get("comment", "")):
        typer.echo(ARENA_ONLY.format(model=actor.policy.name), err=True)
    console = Console(quiet=quiet, highlight=False)
    screen = Screen(console, info.n_frames)
    screen.opening(Path(question.video).name, info.duration_s, question.text, uniform(info.n_frames, limits.first_frames))
    with console.status(f"{plain(actor.policy.name)} is looking"):
        acting = run_episode(question, actor.policy, source, limits=limits, sampling=sampling, on_turn=screen.turn)
        episode = asyncio.run(acting)
    screen.closing(episode)
    return episode


def _write_page(path: Path, episode: "Episode", source: "FrameSource") -> None:
    from deepsport.bench.reporting.episode_html import episode_page

    page = episode_page(episode, source)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written ({error.strerror}). Give another path with --html.")


def _exit(episode: "Episode") -> None:
    from deepsport.records import StopReason

    faults = (StopReason.POLICY_ERROR, StopReason.VIDEO_ERROR, StopReason.CONTEXT_OVERFLOW)
    if episode.stop in faults:
        fail(episode.detail)
    if episode.stop is not StopReason.ANSWERED:
        raise typer.Exit(1)
