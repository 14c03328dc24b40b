"""The episode as an agent loop of verl: `agent_name: deepsport`.

Our own `run_episode` plays it, the very one that `deepsport rl` and `deepsport bench` run, with a policy whose tokens come from
verl's servers. verl gets back the ids as they were sampled, the engine's log-probabilities, the mask, the pictures, and the
reward with its parts. The loop gets its name in a file of settings, `recipes/verl/agent_loop.yaml`, and not by verl's
decorator: on import that would put itself in the place of the settings.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false, reportUntypedClassDecorator=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownParameterType=false
# (verl lives in an environment of its own)

from collections.abc import Mapping
from typing import cast
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput
from verl.utils.rollout_trace import rollout_trace_op

from deepsport.agent.rollout import run_episode
from deepsport.errors import BadConfig
from deepsport.policy.base import Sampling
from deepsport.records import Episode
from deepsport.reward.gated import GatedReward
from deepsport.verl.row import footage, read_row
from deepsport.verl.sampler import Room, ServerPolicy, ServerSampler
from deepsport.verl.trajectory import is_scored, parts, trajectory
from deepsport.verl.worker import chat_of, frame_source


class DeepSportAgentLoop(AgentLoopBase):
    """Plays one row. verl makes one for every episode; what they share is in `worker`."""

    def __init__(
        self,
        *args: object,
        videos: str,
        max_pixels: int | None = None,
        max_reply_tokens: int = 1024,
        trusted: bool = True,
        reward: Mapping[str, object] | None = None,
        tools: object = None,
        **kwargs: object,
    ) -> None:
        """videos: the folder of the footage, on every node; max_pixels: frames are shrunk to at most this area; trusted: false
        decodes in a process with limits; reward: constants of `GatedReward`; tools: verl's, which are not used.

        Raises BadConfig."""
        super().__init__(*args, **kwargs)
        if self.mm_processor_kwargs:
            raise BadConfig("data.mm_processor_kwargs would resize frames once more. Set max_pixels of the agent loop instead.")
        self._videos = footage(videos)
        self._max_reply_tokens = max_reply_tokens
        self._source = frame_source(trusted=trusted)
        self._reward = GatedReward.model_validate(dict(reward or {}))
        self._chat, self._preprocessor = chat_of(self.tokenizer, self.processor, max_pixels)
        rollout = self.rollout_config
        self._room = Room(prompt=rollout.prompt_length, response=rollout.response_length, context=rollout.max_model_len)

    @rollout_trace_op
    async def run(self, sampling_params: dict[str, object], priority: int = 0, **row: object) -> AgentLoopOutput:
        """Plays the row to its end. Raises BadRecord for a row without a question, BadConfig for lengths that cannot hold it."""
        asked = read_row(row.get("extra_info"), self._videos)
        request_id = f"det-{priority}" if self.rollout_config.full_determinism else uuid4().hex
        sampler = ServerSampler(
            server=self.server_manager,
            chat=self._chat,
            preprocessor=self._preprocessor,
            room=self._room,
            sampling_params=sampling_params,
            request_id=request_id,
        )
        episode = await run_episode(
            asked.question,
            ServerPolicy(name="verl", sampler=sampler),
            self._source,
            limits=asked.limits,
            sampling=Sampling(temperature=cast(float, sampling_params["temperature"]), max_tokens=self._max_reply_tokens),
            with_tool=asked.with_tool,
            episode_id=f"{asked.question.id}/{request_id}",
        )
        return self._output(episode, sampler, version=max(0, int(cast(int, row.get("global_steps") or 1)) - 1))

    def _output(self, episode: Episode, sampler: ServerSampler, version: int) -> AgentLoopOutput:
        """`version`: of the weights, for an episode that was lost before any server was asked: verl counts with these numbers."""
        reward = self._reward.score(episode)
        said = trajectory(episode.tokens, teaches=is_scored(reward), room=self._room.prompt, end=self._chat.end)
        measured = parts(reward, episode)
        pictures = sampler.pictures[: said.n_images]
        return AgentLoopOutput(
            prompt_ids=said.prompt_ids,
            response_ids=said.response_ids,
            response_mask=said.response_mask,
            response_logprobs=said.logprobs if sampler.wants_logprobs else None,
            multi_modal_data={"images": pictures} if pictures else {},
            reward_score=measured["score"],
            num_turns=2 * len(episode.turns),
            metrics=_metrics(episode, sampler),
            extra_fields={
                "min_global_steps": version,
                "max_global_steps": version,
                **sampler.server_fields,
                "reward_extra_info": measured,
                "episode": episode.id,
                "detail": episode.detail,
                "turn_scores": [],  # the keys that verl's own loops bring
                "tool_rewards": [],
            },
        )


def _metrics(episode: Episode, sampler: ServerSampler) -> AgentLoopMetrics:
    return AgentLoopMetrics(
        generate_sequences=sampler.seconds,
        tool_calls=max(0.0, episode.usage.seconds - sampler.seconds),
        num_preempted=-1 if sampler.n_preempted is None else sampler.n_preempted,
    )
