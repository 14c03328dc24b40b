"""verl's real classes at work on rows of ours, run by the python of verl's environment: what came out, written down as JSON.

    python verl_world.py ROWS.parquet VIDEOS AGENT SAID.json OUT.json

A server stands in for vLLM: it says what a question's text tells it to (`say: A | B`), and tells the log-probabilities of that
under the nano checkpoint, by transformers' own forward pass, at the temperature that it is asked for.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from transformers import Qwen2_5_VLForConditionalGeneration
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.protocol import DataProto
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.workers.rollout.replica import TokenOutput
from verl.workers.rollout.utils import qwen2_5_vl_dedup_image_tokens

import deepsport

RECIPES = Path(__file__).parents[2] / "recipes" / "verl"
NANO = Path(deepsport.__file__).parent / "policy" / "nano"
TEMPERATURE = 0.7
TEMPLATE = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.content is string -%}{{ m.content }}{%- else -%}{%- for p in m.content -%}"
    "{%- if p.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{%- else -%}{{ p.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
"""A chat template in the manner of Qwen2.5-VL; nano has none."""


class Server:
    """verl's server client, as far as an agent loop sees it."""

    def __init__(self, said: dict[str, str], tokenizer, processor=None, model=None) -> None:
        """Without a model every token has the log-probability -0.5."""
        self.said, self.tokenizer, self.processor, self.model = said, tokenizer, processor, model
        self.requests = []

    async def generate(self, request_id, *, prompt_ids, sampling_params, image_data=None, **rest) -> TokenOutput:
        text = self.tokenizer.decode(prompt_ids)
        sayings = text.split("say: ")[1].split(" .")[0].split(" | ")
        saying = sayings[text.count("<|im_start|>assistant") - 1]
        versions = {"global_steps": 3, "min_global_steps": 3, "max_global_steps": 3 + text.count("<|im_start|>assistant")}
        if saying == "abort":
            return TokenOutput(token_ids=[], stop_reason="aborted", extra_fields=versions)
        end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        ids = [*self.tokenizer.encode(self.said[saying], add_special_tokens=False), end]
        ids = ids[: sampling_params.get("max_tokens", 200)]
        if self.model is None:
            return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), stop_reason="completed", extra_fields=versions)
        self.note(request_id, prompt_ids, sampling_params, image_data or [], asked=sayings)
        logprobs = self.logprobs(prompt_ids, ids, image_data, sampling_params["temperature"])
        return TokenOutput(token_ids=ids, log_probs=logprobs, stop_reason="completed", num_preempted=0, extra_fields=versions)

    def note(self, request_id, prompt_ids, sampling_params, images, asked) -> None:
        folded = qwen2_5_vl_dedup_image_tokens(prompt_ids, self.processor)
        self.requests.append(
            {
                "request_id": request_id,
                "asked": asked,
                "n_prompt": len(prompt_ids),
                "n_images": len(images),
                "n_runs": folded.count(self.processor.image_token_id),
                "sampling_params": sampling_params,
                "sizes": [list(image.size) for image in images],
            }
        )

    def logprobs(self, prompt_ids, ids, images, temperature) -> list[float]:
        """Of the ids after the prompt, which the processor expands by itself from one placeholder an image, as vLLM does."""
        folded = qwen2_5_vl_dedup_image_tokens(prompt_ids, self.processor)
        inputs = self.processor(text=[self.tokenizer.decode(folded)], images=images, return_tensors="pt")
        assert inputs["input_ids"][0].tolist() == list(prompt_ids), "the engine's prompt ids are not ours"
        whole = torch.cat([inputs["input_ids"], torch.tensor([ids])], dim=1)
        kinds = torch.zeros_like(whole)
        kinds[whole == self.processor.image_token_id] = 1
        with torch.no_grad():
            out = self.model(
                input_ids=whole,
                attention_mask=torch.ones_like(whole),
                pixel_values=inputs.get("pixel_values"),
                image_grid_thw=inputs.get("image_grid_thw"),
                mm_token_type_ids=kinds,
            )
        scores = torch.log_softmax(out.logits[0, len(prompt_ids) - 1 : -1].float() / temperature, -1)
        return scores.gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()


class RewardHandle:
    """verl's reward worker, called as an actor is, without one."""

    def __init__(self, config) -> None:
        self.compute_score = self
        self.worker = RewardLoopWorker(config)

    async def remote(self, data) -> dict:
        return await self.worker.compute_score(data)


def config_of(videos: str, agent: str, rows: str, out: Path):
    """verl's own configuration, with the agent loop and the tool of the recipe."""
    loop, tool = out.with_suffix(".loop.yaml"), out.with_suffix(".tool.yaml")
    loops, tools = OmegaConf.load(RECIPES / "agent_loop.yaml"), OmegaConf.load(RECIPES / "tools.yaml")
    loops[0].videos, loops[0].max_reply_tokens = videos, 100
    tools.tools[0].config.videos, tools.tools[0].config.frames_per_call = videos, 3
    OmegaConf.save(loops, loop)
    OmegaConf.save(tools, tool)
    rollout = "actor_rollout_ref.rollout"
    overrides = [
        f"actor_rollout_ref.model.path={NANO}",
        f"{rollout}.name=vllm",
        f"{rollout}.temperature={TEMPERATURE}",
        f"{rollout}.agent.agent_loop_config_path={loop}",
        f"{rollout}.multi_turn.format={'deepsport' if agent == 'tool_agent' else 'hermes'}",
        f"{rollout}.multi_turn.max_assistant_turns=3",
        f"{rollout}.multi_turn.max_tool_response_length=2000",
        "data.max_prompt_length=200",
        "data.max_response_length=180",
        "data.filter_overlong_prompts=true",
        "reward.custom_reward_function.path=pkg://deepsport.verl.reward",
        f"data.train_files={rows}",
        f"+data.cache_dir={out.parent / 'cache'}",
    ]
    if agent == "tool_agent":
        overrides.append(f"{rollout}.multi_turn.tool_config_path={tool}")
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)


def batch_of(config, worker) -> DataProto:
    """The rows, through verl's data set and collation, as its trainer hands them to its workers."""
    dataset = RLHFDataset(config.data.train_files, worker.tokenizer, config.data, worker.processor)
    batch = DataProto.from_single_dict(collate_fn([dataset[place] for place in range(len(dataset))]))
    batch.non_tensor_batch["uid"] = np.array(["group"] * len(batch), dtype=object)
    batch.meta_info["global_steps"] = 3
    return batch


def trainer_logprobs(model, out: DataProto, row: int) -> list[float]:
    """Of the response, by the inputs that verl's trainer would feed to the model."""
    ids, mask = out.batch["input_ids"][row : row + 1], out.batch["attention_mask"][row : row + 1]
    features = {
        key: value
        for key, value in out.non_tensor_batch["multi_modal_inputs"][row].items()
        if key in ("pixel_values", "image_grid_thw")
    }
    positions = out.batch["position_ids"][row : row + 1].transpose(0, 1)  # [4, 1, T]: text, then time, row, column
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, **features).logits
    scores = torch.log_softmax(logits[0, :-1].float() / TEMPERATURE, -1).gather(1, ids[0, 1:, None])[:, 0]
    return scores[-out.batch["responses"].shape[1] :].tolist()


def facts_of(out: DataProto, model, tokenizer, row: int) -> dict:
    """One episode as verl has it."""
    batch, other = out.batch, out.non_tensor_batch
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    n_response = int(batch["attention_mask"][row, batch["prompts"].shape[1] :].sum())
    response, mask = batch["responses"][row, :n_response], batch["response_mask"][row, :n_response]
    features = other["multi_modal_inputs"][row]
    grids = features.get("image_grid_thw")
    return {
        "asked": other["raw_prompt"][row][-1]["content"] if isinstance(other["raw_prompt"][row][-1]["content"], str) else "",
        "n_response": n_response,
        "spoken": tokenizer.decode(response[mask.bool()]),
        "told": tokenizer.decode(response[~mask.bool()], skip_special_tokens=True),
        "mask": mask.tolist(),
        "n_placeholders": int((batch["input_ids"][row] == pad).sum()),
        "n_embeddings": int((grids.prod(-1) // 4).sum()) if grids is not None else 0,
        "n_turns": int(other["__num_turns__"][row]),
        "rollout": batch["rollout_log_probs"][row, :n_response].tolist() if "rollout_log_probs" in batch else None,
        "trainer": trainer_logprobs(model, out, row)[:n_response],
        "score": float(batch["rm_scores"][row].sum()) if "rm_scores" in batch else None,
        "score_at": int(batch["rm_scores"][row].abs().argmax()) if "rm_scores" in batch else None,
        "extra": {key: _plain(other[key][row]) for key in other if key in EXTRA},
    }


EXTRA = (
    "score",
    "accuracy",
    "tool",
    "format",
    "scored",
    "lost",
    "calls",
    "frames",
    "stop",
    "detail",
    "frame_tool",
    "max_global_steps",
)


def _plain(value):
    return value.item() if hasattr(value, "item") else value


async def main(rows: str, videos: str, agent: str, said: str, out_path: str) -> None:
    """In one event loop, as within an actor of Ray: verl's classes keep the loop that they were made in."""
    torch.set_num_threads(1)
    config = config_of(videos, agent, rows, Path(out_path))
    handle = RewardHandle(config)
    worker = AgentLoopWorker(config, llm_client=None, reward_loop_worker_handles=[handle])
    worker.processor.chat_template = worker.tokenizer.chat_template = TEMPLATE
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(NANO, dtype=torch.float32, attn_implementation="sdpa").eval()
    server = worker.llm_client = Server(json.loads(Path(said).read_text()), worker.tokenizer, worker.processor, model)
    batch = batch_of(config, worker)
    out = await worker.generate_sequences(batch)
    facts = {
        "n_rows": len(batch),
        "columns": sorted(batch.non_tensor_batch),
        "episodes": [facts_of(out, model, worker.tokenizer, row) for row in range(len(out))],
        "requests": server.requests,
        "reward_keys": out.meta_info.get("reward_extra_keys"),
    }
    advantages, _ = compute_grpo_outcome_advantage(
        out.batch["rm_scores"], out.batch["response_mask"], np.array(["group"] * len(out)), norm_adv_by_std_in_grpo=False
    )
    for row, episode in enumerate(facts["episodes"]):
        episode["advantages"] = advantages[row, : episode["n_response"]].tolist()
    Path(out_path).write_text(json.dumps(facts, default=str))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
