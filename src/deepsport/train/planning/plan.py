"""A training run before it is run: memory, tokens, seconds of a step by kind of work, total time and cost, and what binds.

Every GPU is one process. Without servers each of them samples its share of the questions, then learns its share of the portions.
With servers, some GPUs sample while the others learn, and the slower side sets the pace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.bench.tasks import load_episodes, load_questions
from deepsport.errors import BadConfig
from deepsport.policy.local.engine import CACHE_SHARE, MAX_BATCH, MAX_BATCH_ON_GPU
from deepsport.records import Episode
from deepsport.train.planning.budget import Budget, rl_budget_of, sft_budget_of, width_of
from deepsport.train.planning.hardware import Accelerator
from deepsport.train.planning.lengths import Habits, habits_of, lengths_of
from deepsport.train.planning.rates import Rates
from deepsport.train.planning.shape import Shape, shape_of
from deepsport.train.planning.work import Limit, Seconds, Work, added, learning, looking, rolling_out
from deepsport.train.recipe import RLRecipe, SFTRecipe
from deepsport.train.sampler import draw
from deepsport.train.trainee import TraineeConfig

GPUS_OF_A_HOST = 8
ROOM = 0.92
"""Share of the memory that a run can have: the driver, the allocator's gaps and what is on its way take the rest."""
CORES_OF_A_GPU = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """On what a run is planned."""

    accelerator: Accelerator
    rates: Rates
    gpus: int = 1
    servers: int | None = None
    """GPUs of these that sample with vLLM and do not learn; None: as many as the recipe names."""
    cores: float = CORES_OF_A_GPU
    """Of the processor, for each GPU."""
    habits: Habits | None = None
    """None: those of the recorded episodes, or what is assumed."""
    usd_per_gpu_hour: float | None = None

    @property
    def memory_bytes(self) -> float:
        """That a process can have."""
        return ROOM * (self.rates.memory_bytes or self.accelerator.memory_bytes)

    def rows_served(self, work: Work, most: int) -> int:
        """Replies that a server samples at once: it admits what its memory holds beside the weights."""
        return self._rows(work, 1.0, most)

    def rows_sampled(self, work: Work) -> int:
        """The same of the engine in this process, which leaves memory to conversations between two turns."""
        return self._rows(work, CACHE_SHARE, MAX_BATCH_ON_GPU) if self.accelerator.is_gpu else MAX_BATCH

    def _rows(self, work: Work, share: float, most: int) -> int:
        room = share * (self.memory_bytes - work.width * work.shape.parameters)
        each = (work.lengths.opening + work.after) * work.shape.cache_bytes(work.width)
        return max(1, min(most, int(room / each)))

    @property
    def link_bytes(self) -> float:
        """Bytes a second between the processes."""
        return self.rates.peer_bytes if self.gpus <= GPUS_OF_A_HOST else self.rates.network_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will need."""

    stage: str
    asked: Asked
    config: TraineeConfig
    servers: int
    """GPUs that sample with vLLM and do not learn."""
    habits: Habits
    budget: Budget
    unique_tokens: float
    """Of a step, likely."""
    frames: float
    """Of a step, distinct ones, likely."""
    operations: float
    """Of a step's forward and backward passes, each once."""
    phases: dict[str, Seconds]
    """Seconds of a step by phase and kind of work."""
    overlapped: bool
    """Rollouts and learning go on at the same time."""

    @property
    def phase_s(self) -> dict[str, float]:
        """Seconds of the phases."""
        return {phase: sum(seconds.values()) for phase, seconds in self.phases.items()}

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        each = self.phase_s
        if not self.overlapped:
            return sum(each.values())
        return max(each["rollout"], each["learn"]) + each.get("push", 0.0)

    @property
    def total_s(self) -> float:
        """Seconds of all steps; loading, checkpoints and compilation are left out."""
        return self.step_s * self.budget.steps

    @property
    def gpu_hours(self) -> float:
        """Of all GPUs together."""
        return self.total_s * self.asked.gpus / 3600

    @property
    def usd(self) -> float | None:
        """At the given price; None where none was given."""
        return None if self.asked.usd_per_gpu_hour is None else self.gpu_hours * self.asked.usd_per_gpu_hour

    @property
    def binds(self) -> Limit:
        """Memory if it does not suffice, else the kind of work that takes most of a step: of the slower side of two."""
        if self.budget.peak_bytes > self.asked.memory_bytes:
            return Limit.MEMORY
        return max(self.slower, key=self.slower.__getitem__)

    @property
    def slower(self) -> Seconds:
        """Seconds by kind of work, of what a step waits for."""
        if not self.overlapped:
            return added(*self.phases.values())
        slow = max(("rollout", "learn"), key=self.phase_s.__getitem__)
        return added(self.phases[slow], self.phases.get("push", {}))


def plan_sft(recipe: SFTRecipe, asked: Asked) -> Plan:
    """Raises PolicyError if the model's files cannot be had, BadVideo if no video can be opened."""
    config, episodes = recipe.sft, load_episodes(Path(recipe.episodes))
    n = asked.gpus
    shape = shape_of(recipe.model, config)
    habits = asked.habits or habits_of(episodes, recipe.model)
    reply = round(habits.reply_tokens * habits.longest)
    lengths = lengths_of(recipe.model, recipe.limits, [e.question for e in episodes], recipe.max_pixels, reply)
    n_videos = _videos_of_a_batch(episodes, config.batch_size, recipe.seed)
    work = Work(
        shape=shape,
        lengths=lengths,
        habits=habits,
        groups=n_videos / n,
        group_size=config.batch_size / n_videos,
        width=width_of(shape),
    )
    learn = added(looking(work, asked.rates, asked.cores), learning(work, asked.rates, again=config.gradient_checkpointing))
    if shape.vision_trained:
        learn[Limit.VISION] -= shape.vision(work.frames, lengths.patches) / asked.rates.vision_flops  # counted in learning
    budget = sft_budget_of(shape, config, lengths, n)
    return Plan(
        stage="sft",
        asked=asked,
        config=config,
        servers=0,
        habits=habits,
        budget=budget,
        unique_tokens=n * work.unique,
        frames=n * work.frames,
        operations=n * shape.learning(work.unique, work.pairs(), work.spoken, again=False),
        phases={"learn": added(learn, _talk(shape, config, asked, n, n * work.unique))},
        overlapped=False,
    )


def plan_rl(recipe: RLRecipe, asked: Asked) -> Plan:
    """Raises PolicyError if the model's files cannot be had, BadVideo if no video can be opened."""
    config, questions = recipe.rl, load_questions(Path(recipe.questions))
    shape, habits = shape_of(recipe.model, config), asked.habits or Habits(reply_tokens=min(120.0, config.max_reply_tokens))
    lengths = lengths_of(recipe.model, recipe.limits, questions, recipe.max_pixels, config.max_reply_tokens)

    def work(n_processes: int) -> Work:
        return Work(
            shape=shape,
            lengths=lengths,
            habits=habits,
            groups=-(-config.questions_per_step // n_processes),
            group_size=config.group_size,
            width=width_of(shape),
        )

    servers = _servers(recipe, asked)
    trainers = asked.gpus - servers
    sampling, learnt, whole = work(servers or trainers), work(trainers), work(1)
    learn = learning(
        learnt,
        asked.rates,
        again=config.gradient_checkpointing,
        passes=config.updates_per_step,
        reference=config.kl_coefficient > 0,
    )
    if servers:  # which have frames and towers of their own
        learn = added(learn, looking(learnt, asked.rates, asked.cores))
    at_once = asked.rows_served(sampling, recipe.vllm.max_concurrent) if recipe.vllm and servers else asked.rows_sampled(sampling)
    phases = {
        "rollout": added(
            looking(sampling, asked.rates, asked.cores), rolling_out(sampling, asked.rates, at_once=at_once, served=servers > 0)
        ),
        "learn": added(learn, _talk(shape, config, asked, trainers, whole.unique * habits.taught)),
    }
    if servers:
        phases["push"] = {Limit.NETWORK: _pushed_bytes(shape, config, whole.width) / asked.link_bytes}
    return Plan(
        stage="rl",
        asked=asked,
        config=config,
        servers=servers,
        habits=habits,
        budget=rl_budget_of(shape, config, lengths, trainers, served=servers > 0),
        unique_tokens=whole.unique,
        frames=whole.frames,
        operations=shape.learning(whole.unique, whole.pairs(), whole.spoken, again=False),
        phases=phases,
        overlapped=servers > 0 and recipe.vllm is not None and recipe.vllm.staleness > 0,
    )


def _servers(recipe: RLRecipe, asked: Asked) -> int:
    """GPUs that sample. Raises BadConfig if none would be left to learn."""
    named = recipe.vllm
    servers = asked.servers if asked.servers is not None else 0
    if named and asked.servers is None:
        servers = sum(len(gpus.split(",")) for gpus in named.start) + len(named.addresses)
    if not named and servers:
        raise BadConfig("the recipe has no [vllm], so no GPU can be a server: leave --servers out, or add the section")
    if servers >= asked.gpus:
        raise BadConfig(f"{servers} of {asked.gpus} GPUs are servers, and none is left to learn: --gpus counts both")
    return servers


def _videos_of_a_batch(episodes: Sequence[Episode], batch_size: int, seed: int) -> float:
    """Distinct videos in a step's draw, on average: what is about one video begins with the same frames, computed once."""
    n_steps = 20
    batches = (draw(episodes, batch_size, step, seed) for step in range(n_steps))
    return sum(len({episode.question.video for episode in batch}) for batch in batches) / n_steps


def _talk(shape: Shape, config: TraineeConfig, asked: Asked, n: int, unique: float) -> Seconds:
    """Processes that learn together: an adapter's gradients are added up; sharded weights are gathered twice for each portion."""
    if n == 1:
        return {}
    far = (n - 1) / n
    if config.lora_rank:
        moved = 2 * 4 * shape.trained * far
    else:
        n_portions = max(1.0, unique / config.tokens_per_forward)
        moved = far * (n_portions * (2 * 2 * shape.parameters + 4 * shape.trained) + 4 * shape.trained)
    return {Limit.NETWORK: moved / asked.link_bytes}


def _pushed_bytes(shape: Shape, config: TraineeConfig, width: int) -> float:
    """What the servers are brought after a step: the adapter's file, or all weights."""
    return 4.0 * shape.trained if config.lora_rank else float(width * shape.parameters)
