"""One evaluation under way: from what a caller names to the recipe of a benchmark run, and that run, waited for from anywhere.

Questions given as records are written into the run directory, so that a run always knows what it asked.
"""

import asyncio
import concurrent.futures
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepsport.actor import ORACLE, model_of_run, require_known
from deepsport.agent.prompt import PromptStyle
from deepsport.api.models import ModelLike, actor_of, require_served
from deepsport.api.results import Results, load_run
from deepsport.bench.answering import Answers
from deepsport.bench.recipe import BenchConfig, Protocol, as_settings, recipe_of
from deepsport.bench.suite import run_bench
from deepsport.errors import BadConfig, RunError, Stopped
from deepsport.policy.base import Policy
from deepsport.records import Question
from deepsport.run import Run

QUESTIONS = "questions.jsonl"
"""Of a run whose questions were given as records."""

STOPPING_S = 5.0
"""How long an evaluation that is told to stop is waited for."""

INTERRUPTED = "interrupted. What is finished is kept: the same call goes on."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a caller wants measured."""

    questions: str | Path | Sequence[Question]
    model: ModelLike | None
    endpoint: str | None
    out: str | Path | None
    recipe: str | Path | None
    settings: Mapping[str, object]
    """By the keys of the recipe; None is not given."""
    max_usd: float | None
    fail_on_error: bool
    fresh: bool

    @property
    def is_named(self) -> bool:
        """Whether the model is a name, to be loaded, and not loaded already."""
        return self.model is None or isinstance(self.model, str | Path)

    def config(self, questions: Path) -> BenchConfig:
        """The recipe as the run writes it down. Raises BadConfig."""
        recipe = None if self.recipe is None else Path(self.recipe)
        if self.endpoint is not None and not (self.model is None and recipe):  # a recipe may name it
            require_served(self.model)
        given = as_settings({"questions": str(questions), **self.settings})
        config = recipe_of(recipe, given, model=self._name(), endpoint=self.endpoint)
        if not self.is_named and config.endpoint:
            raise BadConfig(f"{self.recipe} names an endpoint, and the model given is loaded already: leave one of them out")
        if self.is_named and not config.endpoint and config.protocol is not Protocol.MAJORITY:
            require_known(config.model)
        return config

    def _name(self) -> str | None:
        """What the run calls the model; None leaves it to the recipe."""
        if self.model is None:
            return None
        return str(self.model) if self.is_named else actor_of(self.model).policy.name


class Measuring:
    """A plan under way."""

    def __init__(self, plan: Plan) -> None:
        """Begins nothing yet."""
        self._plan = plan
        self._stopped = False
        self._end: Callable[[], object] = lambda: None
        """Ends what is in flight."""

    def run(self) -> Results:
        """Measures, here and now. Raises as `run_bench`."""
        out = self._plan.out
        folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="deepsport-"))
        try:
            results = self._measured(folder)
        except BaseException:
            if out is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if out is None:
            weakref.finalize(results, shutil.rmtree, folder, ignore_errors=True)
        return results

    def wait(self) -> Results:
        """The same in a thread, waited for; Ctrl-C ends it."""
        future = self._begun()
        try:
            return future.result()
        except KeyboardInterrupt:
            self._stop()
            concurrent.futures.wait([future], STOPPING_S)
            raise

    async def awaited(self) -> Results:
        """The same from a coroutine; when that is cancelled, the thread is given a moment to end."""
        future = self._begun()
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            self._stop()
            await asyncio.to_thread(concurrent.futures.wait, [future], STOPPING_S)
            raise

    def _begun(self) -> "Future[Results]":
        executor = ThreadPoolExecutor(1, "deepsport-evaluate")
        try:
            return executor.submit(self.run)
        finally:
            executor.shutdown(wait=False)

    def _stop(self) -> None:
        self._stopped = True
        with suppress(RuntimeError):  # it ended by itself
            self._end()

    def _measured(self, folder: Path) -> Results:
        plan = self._plan
        questions, fresh = plan.questions, plan.fresh
        if not isinstance(questions, str | Path):
            questions, fresh = _written(questions, folder, fresh=fresh), False
        config = plan.config(Path(questions))
        run_bench(
            folder,
            config,
            partial(self._model, config),
            max_usd=plan.max_usd,
            fail_on_error=plan.fail_on_error,
            fresh=fresh,
            run_loop=lambda answering: asyncio.run(self._endable(answering)),
        )
        return load_run(folder)

    async def _endable(self, answering: Coroutine[None, None, Answers]) -> Answers:
        """What is waited for, in a task that `_stop` can cancel. Raises Stopped if it should have ended by now."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._end = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._stopped:
            answering.close()
            raise Stopped(INTERRUPTED)
        return await answering

    def _model(self, config: BenchConfig) -> tuple[Policy, PromptStyle]:
        if self._plan.is_named and config.model == ORACLE:
            return model_of_run(config)
        actor = actor_of(config.model if self._plan.is_named else self._plan.model)
        return actor.policy, actor.style


def _written(questions: Sequence[Question], folder: Path, *, fresh: bool) -> Path:
    """Puts questions into the run that asks them. Raises RunError for a run that was begun with others."""
    here = [question.model_copy(update={"video": os.path.abspath(question.video)}) for question in questions]
    with Run.open(folder, None, fresh=fresh) as run:
        was_begun = any(run.path(name).exists() for name in (QUESTIONS, "config.toml"))
        if was_begun and list(map(_without_place, run.read(QUESTIONS, Question))) != list(map(_without_place, here)):
            raise RunError(f"{folder} was begun with other questions. Use another folder, or start afresh (fresh=True).")
        return run.rewrite(QUESTIONS, here)


def _without_place(question: Question) -> Question:
    return question.model_copy(update={"video": ""})
