"""The steps of a distillation, each of which does what is not on record yet. The files of the run are all they remember."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from deepsport.bench.endpoints import ALONE, n_workers
from deepsport.bench.workers import Losses, work_through
from deepsport.data.distill.acting import ACTED, Acted, act, samples_of
from deepsport.data.distill.canonical import canonical
from deepsport.data.distill.cast import Cast
from deepsport.data.distill.checks import TRIED_AGAIN, Drop
from deepsport.data.distill.facts import Facts, facts_by_rule, facts_in_words
from deepsport.data.distill.judging import Judgement, judge_episode
from deepsport.data.distill.page import page
from deepsport.data.distill.recipe import DistillRecipe, Hints
from deepsport.data.distill.record_index import EpisodeIndex
from deepsport.data.distill.report import DistillReport, counted, dropped_of
from deepsport.data.distill.selection import Playback, play_back, select
from deepsport.data.distill.sharded import act_sharded, play_back_sharded
from deepsport.data.importing import record_file
from deepsport.data.moved import moved
from deepsport.executor.cluster import Cluster
from deepsport.policy.base import Sampling
from deepsport.policy.openai.allowance import Allowance
from deepsport.progress import Tick, track
from deepsport.records import Episode, Question
from deepsport.run import Run
from deepsport.video.source import FrameSource

J = TypeVar("J")

UNREADABLE_NOW = "the video cannot be read; tried again when the run goes on"

FACTS, JUDGED, PLAYED, KEPT = "facts.jsonl", "judged.jsonl", "played.jsonl", "kept.jsonl"


@dataclass(frozen=True)
class Steps:
    """The steps of one run; each does what is not on record yet."""

    run: Run
    recipe: DistillRecipe
    cast: Cast
    questions: Sequence[Question]
    source: FrameSource
    cluster: Cluster | None = None
    """Where trajectories are played, and played back; None is here."""

    async def facts(self) -> dict[str, str]:
        """Question id -> facts, empty where none could be stated."""
        known = {facts.question_id: facts for facts in self.run.read(FACTS, Facts)}
        todo = [question for question in self.questions if question.id not in known or known[question.id].lost]
        losses = Losses("facts")
        with self._shown("facts", len(self.questions), len(self.questions) - len(todo), "questions") as tick:

            async def state(question: Question) -> None:
                writer = self.cast.writer
                stated = await facts_in_words(question, writer, self._writing) if writer else facts_by_rule(question)
                is_new = question.id not in known
                known[question.id] = stated
                await asyncio.to_thread(self.run.append, FACTS, stated)
                tick(extra=_spent(self.cast.allowance))
                if is_new:
                    losses.count(stated.fault if stated.lost else "")

            await self._work(todo, state, n_workers(self.recipe.writer))
        return {question.id: known[question.id].text for question in self.questions}

    async def acting(self, facts: dict[str, str]) -> EpisodeIndex:
        """Every trajectory into `acted.jsonl`, which is complete then."""
        asked = [question for question in self.questions if facts[question.id] or self.recipe.hints is Hints.WITHHELD]
        played = EpisodeIndex(self.run.path(ACTED))
        total = len(asked) * self.recipe.samples
        with self._shown("acting", total, len(played.ids) - len(played.lost), "trajectories") as tick:

            def show(_: Episode) -> None:
                again = self.cluster.said if self.cluster else ""
                tick(extra=", ".join(filter(None, [_spent(self.cast.allowance), again])))

            acted = Acted(self.run, played, show)
            if self.cluster:
                await act_sharded(self.cluster, acted, self.run.folder, self.recipe, self.cast.endpoints, asked, facts)
            else:
                await act(acted, self.recipe, self.cast, asked, facts, self.source)
        return EpisodeIndex(self.run.path(ACTED))

    async def judging(self, facts: dict[str, str], played: EpisodeIndex) -> list[Judgement]:
        """A judgement of every trajectory, in the order of the questions."""
        known = {each.episode_id: each for each in self.run.read(JUDGED, Judgement) if _holds(each, played)}
        ids = [sample.id for sample in samples_of(self.questions, self.recipe) if sample.id in played]
        todo = [each for each in ids if each not in known or known[each].drop in TRIED_AGAIN]
        with self._shown("judging", len(ids), len(ids) - len(todo), "trajectories") as tick:

            async def judge(episode_id: str) -> None:
                episode = await asyncio.to_thread(self._read, played, episode_id)
                judged = await judge_episode(episode, facts[episode.question.id], self.cast.judge, self.recipe)
                judgement = judged.model_copy(update={"record": played.digest(episode_id)})
                if known.get(episode_id) != judgement:
                    await asyncio.to_thread(self.run.append, JUDGED, judgement)
                known[episode_id] = judgement
                tick(extra=_spent(self.cast.allowance))

            await self._work(todo, judge, n_workers(self.recipe.judge))
        return [known[each] for each in ids]

    async def selection(self, judgements: Sequence[Judgement], played: EpisodeIndex) -> list[Judgement]:
        """The judgements with what selection and playing back made of them; `kept.jsonl` holds the rest. Where one does not play
        back, the next best of its question is tried."""
        known = {each.episode_id: each for each in self.run.read(PLAYED, Playback) if _holds(each, played)}
        while True:
            chosen = select([_played(judgement, known.get(judgement.episode_id)) for judgement in judgements], self.recipe.keep)
            kept = {judgement.episode_id for judgement in chosen if judgement.drop is None}
            todo = [judgement.episode_id for judgement in judgements if judgement.episode_id in kept - known.keys()]
            if not todo:
                break
            await self._play_back(todo, played, known)
        with record_file(self.run.path(KEPT)) as write:
            for judgement in judgements:
                if judgement.episode_id in kept:
                    write(canonical(self._read(played, judgement.episode_id)))
        by_id = {judgement.episode_id: judgement for judgement in chosen}
        return [by_id[judgement.episode_id] for judgement in judgements]

    async def _play_back(self, ids: Sequence[str], played: EpisodeIndex, known: dict[str, Playback]) -> None:
        """Plays back and records; what cannot be read now is not recorded, and so tried again when the run goes on."""
        with self._shown("playing back", len(ids), 0, "trajectories") as tick:

            async def keep(episode_id: str, playback: Playback | None) -> None:
                if playback:
                    await asyncio.to_thread(self.run.append, PLAYED, playback)
                record = played.digest(episode_id)
                known[episode_id] = playback or Playback(episode_id=episode_id, record=record, fault=UNREADABLE_NOW)
                tick()

            async def check(episode_id: str) -> None:
                episode, record = await asyncio.to_thread(self._to_play_back, played, episode_id)
                await keep(episode_id, await play_back(episode, record, self.cast.footage, self.source, self.recipe.limits))

            if self.cluster:
                reading = partial(self._to_play_back, played)
                await play_back_sharded(self.cluster, ids, reading, self.recipe.limits, keep, self.cast.allowance)
            else:
                await self._work(ids, check, ALONE)

    def _to_play_back(self, played: EpisodeIndex, episode_id: str) -> tuple[Episode, str]:
        """A trajectory in the form that is kept, and the hash of its record."""
        return canonical(self._read(played, episode_id)), played.digest(episode_id)

    def write_report(self, facts: dict[str, str], judgements: Sequence[Judgement], played: EpisodeIndex) -> DistillReport:
        """`report.json` and `report.html`."""
        kept = [judgement for judgement in judgements if judgement.drop is None]
        by_sport, by_dimension = counted(kept, self.questions)
        report = DistillReport(
            teacher=self.cast.teacher.name,
            judge=self.cast.judge.name,
            writer=self.cast.writer.name if self.cast.writer else "annotation",
            hints=self.recipe.hints,
            n_questions=len(self.questions),
            n_without_facts=sum(not text for text in facts.values()) if self.recipe.hints is Hints.GIVEN else 0,
            n_trajectories=len(judgements),
            n_kept=len(kept),
            n_questions_kept=len({judgement.question_id for judgement in kept}),
            kept_by_sport=by_sport,
            kept_by_dimension=by_dimension,
            calls_per_kept=sum(judgement.n_calls for judgement in kept) / len(kept) if kept else 0.0,
            n_not_judged=sum(judgement.thought_points is None for judgement in kept),
            dropped=dropped_of(judgements),
            prompt_tokens=sum(judgement.prompt_tokens for judgement in judgements),
            reply_tokens=sum(judgement.reply_tokens for judgement in judgements),
            usd=round(self.cast.allowance.spent_usd, 6),
        )
        self.run.write("report.json", report.model_dump_json(indent=1) + "\n")
        self.run.write("report.html", page(report, judgements, played, self.source))
        return report

    def _read(self, played: EpisodeIndex, episode_id: str) -> Episode:
        """A trajectory with its question as it is asked now: the video may have moved since."""
        return moved(played.read(episode_id), self._asked[episode_id.rpartition("/")[0]].video)

    @cached_property
    def _asked(self) -> dict[str, Question]:
        return {question.id: question for question in self.questions}

    @property
    def _writing(self) -> Sampling:
        most = self.recipe.writer.max_reply_tokens if self.recipe.writer else 0
        return Sampling(max_tokens=most, seed=self.recipe.seed)

    async def _work(self, jobs: Sequence[J], do: Callable[[J], Awaitable[None]], n: int) -> None:
        await work_through(jobs, do, n_workers=n, allowance=self.cast.allowance)

    @contextmanager
    def _shown(self, step: str, total: int, done: int, unit: str) -> Generator[Tick]:
        """Times a step and shows how far it is."""
        with self.run.stage(step), track(step, total=total, done=done, unit=unit) as tick:
            yield tick


def _holds(concluded: Judgement | Playback, played: EpisodeIndex) -> bool:
    """Whether it was concluded from the very trajectory that is on record now."""
    return concluded.episode_id in played and concluded.record == played.digest(concluded.episode_id)


def _played(judgement: Judgement, playback: Playback | None) -> Judgement:
    """The judgement with what playing back has shown."""
    if judgement.drop or not playback or not playback.fault:
        return judgement
    return judgement.model_copy(update={"drop": Drop.NOT_PLAYED_BACK, "detail": playback.fault})


def _spent(allowance: Allowance) -> str:
    return f"${allowance.spent_usd:.2f}" if allowance.spent_usd else ""
