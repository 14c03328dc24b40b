"""Recipes: what a training run needs besides its loop. One recipe, one run directory.

Episodes are played back through the agent loop and written down in the tokens of the policy that learns, so that any teacher's
episode file will do: what a window brought is decoded again, and an episode that no longer plays back as recorded is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import model_validator

from deepsport.agent.rollout import Limits, run_episode
from deepsport.bench.tasks import load_episodes, load_episodes_share, load_questions
from deepsport.config import Config
from deepsport.errors import BadRecord
from deepsport.policy.base import Sampling
from deepsport.policy.local.checkpoint import load_policy, origin_of, save_policy
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.scripted import Scripted
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.progress import track
from deepsport.records import Episode, StopReason
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.batches import waited
from deepsport.train.dealt import Dealt
from deepsport.train.distributed import World, join
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.judged import by_judge, by_rule
from deepsport.train.planning.budget import Budget, rl_budget, sft_budget
from deepsport.train.sft import SFTConfig, fit
from deepsport.train.trainee import TraineeConfig
from deepsport.video.source import FrameSource


class Recipe(Config):
    """What every training run needs."""

    model: str = "nano"
    """`nano`, a checkpoint folder or a hub id of the Qwen2.5-VL or Qwen3-VL family."""
    max_pixels: int | None = None
    """Frames are shrunk to at most this area; None: what the checkpoint says. 640x360 is 230,400."""
    context: int | None = None
    """Longest conversation in tokens; None: what the checkpoint allows."""
    seed: int = 0
    limits: Limits = Limits()


class SFTRecipe(Recipe):
    """Supervised fine-tuning on recorded episodes."""

    episodes: str
    """A `.jsonl` file of episodes, such as a run's `episodes/teacher.jsonl`."""
    sft: SFTConfig = SFTConfig()


class RLRecipe(Recipe):
    """Agentic GRPO on questions with known answers."""

    questions: str
    """A `.jsonl` file of questions, such as an arena set's `questions.jsonl`."""
    judge: EndpointConfig | None = None
    """Scores free answers that no rule can; None: they stay unscored, and their episodes are left out."""
    rl: GRPOConfig = GRPOConfig()
    vllm: VLLMConfig | None = None
    """Servers that sample the episodes; None: this process does."""

    @model_validator(mode="after")
    def _require_correction(self) -> "RLRecipe":
        if self.vllm and not self.rl.importance_cap:
            raise ValueError("rl.importance_cap must be set where servers sample, since they compute otherwise. Use 2.")
        return self


def run_sft(folder: Path, recipe: SFTRecipe, *, fresh: bool = False) -> Path:
    """Trains, or goes on training; returns the folder of the policy."""
    with join() as world, world.run(folder, recipe, fresh=fresh) as run, FrameSource() as source:
        if not run.done("sft"):
            policy, origin = _load(recipe, recipe.sft), origin_of(recipe.model)
            recorded = load_episodes_share(Path(recipe.episodes), world.rank, world.size)
            finished = {place: e for place, e in recorded.items() if e.stop is StopReason.ANSWERED}  # the others teach faults
            played = play_back(list(finished.values()), policy, source, recipe.limits, shown=world.writes)
            taught = Dealt(dict(zip(finished, played, strict=True)), world)
            with run.stage("sft") as facts:
                facts |= {"episodes": len(taught), "left_out": sum(world.gather([len(recorded)])) - len(taught)}
                fit(policy, taught, source, recipe.sft, run, stage="sft", origin=origin, seed=recipe.seed, world=world)
                _save(policy, run, origin, world)
        return run.path("policy")


def run_rl(folder: Path, recipe: RLRecipe, *, fresh: bool = False) -> Path:
    """Trains, or goes on training; returns the folder of the policy."""
    with join() as world, world.run(folder, recipe, fresh=fresh) as run, FrameSource() as source:
        if not run.done("rl"):
            policy, origin = _load(recipe, recipe.rl), origin_of(recipe.model)
            questions = load_questions(Path(recipe.questions))
            with run.stage("rl"):
                reinforce(
                    policy,
                    questions,
                    source,
                    recipe.rl,
                    run,
                    limits=recipe.limits,
                    reward=GatedReward(),
                    accuracies=by_judge(recipe.judge, run.path("judge.sqlite")) if recipe.judge else by_rule,
                    origin=origin,
                    seed=recipe.seed,
                    world=world,
                    servers=recipe.vllm,
                )
                _save(policy, run, origin, world)
        return run.path("policy")


def sft_needs(recipe: SFTRecipe, n_ranks: int) -> Budget:
    """What `run_sft` would need. Loads no weights."""
    asked = [episode.question for episode in load_episodes(Path(recipe.episodes))]
    return sft_budget(recipe.model, recipe.sft, recipe.limits, asked, recipe.max_pixels, n_ranks)


def rl_needs(recipe: RLRecipe, n_ranks: int) -> Budget:
    """What `run_rl` would need. Loads no weights."""
    asked = load_questions(Path(recipe.questions))
    served = recipe.vllm is not None
    return rl_budget(recipe.model, recipe.rl, recipe.limits, asked, recipe.max_pixels, n_ranks, served=served)


def _load(recipe: Recipe, trained: TraineeConfig) -> LocalPolicy:
    return load_policy(recipe.model, max_pixels=recipe.max_pixels, context=recipe.context, keep_adapter=trained.lora_rank > 0)


def _save(policy: LocalPolicy, run: Run, origin: Path, world: World) -> None:
    if world.writes:
        save_policy(policy, run.path("policy"), origin)
    world.wait()


def play_back(
    episodes: Sequence[Episode], policy: LocalPolicy, source: FrameSource, limits: Limits, *, shown: bool = True
) -> list[Episode]:
    """The episodes with a token record of the policy. Raises BadRecord for one that does not play back as recorded."""

    async def one_by_one() -> list[Episode]:
        played: list[Episode] = []
        with track("play back", total=len(episodes), unit="episodes", shown=shown) as tick:
            for episode in episodes:
                played.append(await _play_back(episode, policy, source, limits))
                tick()
        return played

    return waited(one_by_one())


async def _play_back(episode: Episode, policy: LocalPolicy, source: FrameSource, limits: Limits) -> Episode:
    teacher = Recorded(Scripted([turn.text for turn in episode.turns], name=episode.policy), policy.chat)
    played = await run_episode(
        episode.question,
        teacher,
        source,
        limits=limits,
        sampling=Sampling(seed=episode.seed),
        with_tool=episode.with_tool,
        episode_id=episode.id,
    )
    if (played.stop, played.frames_seen) != (episode.stop, episode.frames_seen):
        raise BadRecord(
            f"episode {episode.id} plays back differently ({played.stop}, {len(played.frames_seen)} frames) than recorded "
            f"({episode.stop}, {len(episode.frames_seen)} frames) {played.detail}: was {episode.question.video} replaced?"
        )
    return played
