"""The rival of the RL step: TRL's GRPOTrainer with its own tool loop, generation, log-probabilities and training, on the CPU.

Forced, so that both contestants do equal work: reply lengths (token limits; end, pad and vision tokens are never sampled), one
tool call after the first reply and none after the second (TRL's `parse_response` runs, then its verdict is replaced). Supplied: a
chat template that knows tools, as Qwen2.5-VL's own does not, and writes DeepSport's very tokens; a processor without its video
half, which would need torchvision. In TRL's favour: frames are decoded and brought to the model's size once, at set-up. Added:
clocks and checks, which take microseconds or stand between two steps. The rest is TRL as released.

    python rl_step_trl.py JOB.json      answers {"warm": 1}, {"run": n_steps} and {"stop": 1} on stdin, one JSON object a line
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

os.environ |= {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, TrainerCallback
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize
from transformers.processing_utils import ProcessorMixin
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_template
from trl.trainer import grpo_trainer

CONTROL_TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
CALL = {"type": "function", "function": {"name": "choose_frames", "arguments": {"start": 0, "end": 7}}}
TEMPLATE = (  # the tool is explained by the question, as DeepSport does it, not by a schema
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}{%- else -%}{%- for part in message.content or [] -%}"
    "{%- if part.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- part.text -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- for call in message.tool_calls or [] -%}"
    "{{- '<tool_call>' + call.function.name + ' ' + (call.function.arguments | tojson) + '</tool_call>' -}}"
    "{%- endfor -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

Block = dict[str, str | Image.Image]
"""A content block of a message: text or image."""
Seconds = dict[str, float]
"""By part of a step: `rollout`, of it `generate_first` and `generate_second`, and `train`, which is the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Head, labelled first images, text; then, from the tool, labelled images and the tool's text."""

    text: str
    first_images: Sequence[str]
    tool_images: Sequence[str]
    answer: str = ""
    """Not looked at: rewards are given by position."""
    head: str = ""
    first_labels: Sequence[str] = ()
    """One before each image; none: `frame i (t s):` at 25 frames a second."""
    tool_labels: Sequence[str] = ()
    tool_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to measure; images are paths."""

    checkpoint: str
    questions: Sequence[Question]
    group_size: int
    reply_tokens: Sequence[int]
    """Of the first reply, a call, and of the second."""
    train_vision: bool
    threads: int
    learning_rate: float
    rows_per_forward: int = 16
    """Episodes in one forward and backward pass of the training."""

    @staticmethod
    def load(path: Path) -> "Job":
        """Reads JOB.json."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Job(**fields | {"questions": [Question(**question) for question in fields["questions"]]})

    @property
    def n_episodes(self) -> int:
        """Of one step."""
        return len(self.questions) * self.group_size


class StillsProcessor(Qwen2_5_VLProcessor):
    """The processor without its video half."""

    def __init__(self, image_processor: Qwen2VLImageProcessorPil, tokenizer: PreTrainedTokenizerFast, chat_template: str) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids([self.image_token, self.video_token])
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_processor(folder: Path) -> StillsProcessor:
    """The processor of a checkpoint that is equipped for TRL's tool loop."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    tokenizer.response_template = qwen3_template
    return StillsProcessor(Qwen2VLImageProcessorPil.from_pretrained(folder), tokenizer, chat_template=TEMPLATE)


def load_image(path: str, processor: Qwen2VLImageProcessorPil) -> Image.Image:
    """A frame in memory at the size the model sees."""
    image = Image.open(path).convert("RGB")
    height, width = smart_resize(
        image.height,
        image.width,
        factor=processor.patch_size * processor.merge_size,
        min_pixels=processor.size["shortest_edge"],
        max_pixels=processor.size["longest_edge"],
    )
    return image.resize((width, height), Image.Resampling.BICUBIC)


def labelled(images: Sequence[Image.Image], labels: Sequence[str]) -> list[Block]:
    """Images, each behind its label."""
    labels = labels or [f"frame {index} ({index / 25:.2f}s):" for index in range(len(images))]
    blocks: list[Block] = []
    for label, image in zip(labels, images, strict=True):
        blocks += [{"type": "text", "text": label}, {"type": "image", "image": image}, {"type": "text", "text": "\n"}]
    return blocks


def environment_class(questions: Sequence[Question], processor: Qwen2VLImageProcessorPil) -> type:
    """The environment of an episode, which TRL makes, resets and asks for tools."""

    def blocks(paths: Sequence[str], labels: Sequence[str], text: str) -> list[Block]:
        return [*labelled([load_image(path, processor) for path in paths], labels), {"type": "text", "text": text}]

    openings = [blocks(q.first_images, q.first_labels, q.text) for q in questions]
    results = [blocks(q.tool_images, q.tool_labels, q.tool_text) for q in questions]

    class Clip:
        number = 0

        def reset(self, number: int, **_: object) -> list[Block]:
            self.number = number
            return openings[number]

        def choose_frames(self, start: int, end: int) -> list[Block]:
            """
            Shows frames spread evenly over a range.

            Args:
                start: First frame of the range.
                end: Last frame of the range.

            Returns:
                The frames.
            """
            return results[self.number]

    return Clip


def spread(completions: Sequence[object], **_: object) -> list[float]:
    """Rewards that differ within every group."""
    return [float(index % 2) for index in range(len(completions))]


class Clocks:
    """CPU time of all threads and wall time of one step, which starts now, and of its parts."""

    def __init__(self) -> None:
        self.cpu_s: Seconds = {}
        self.wall_s: Seconds = {}
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Writes down what the block takes."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_s[part], self.wall_s[part] = time.process_time() - cpu, time.perf_counter() - wall

    def stop(self) -> tuple[float, float]:
        """CPU and wall time of the step; training is what the rollout leaves of them."""
        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.cpu_s["train"], self.wall_s["train"] = cpu_s - self.cpu_s["rollout"], wall_s - self.wall_s["rollout"]
        return cpu_s, wall_s


@dataclass(slots=True)
class Facts:
    """What was counted in the training forwards of one step."""

    episodes: int = 0
    images: int = 0
    sampled_tokens: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=list[float])


class CountingTrainer(GRPOTrainer):
    """GRPOTrainer with reply lengths forced, parts of the step timed and the work counted."""

    def __init__(self, job: Job, **arguments: object) -> None:
        super().__init__(**arguments)
        self.job = job
        self.begin_step()

    def begin_step(self) -> None:
        """Sets the clocks and the counts to zero."""
        self.facts, self.weights = Facts(), snapshot(self.model)
        self.clocks = Clocks()

    def _generate_single_turn(self, *arguments: Any, has_tool_images: bool = False, **named: Any) -> Any:
        n_tokens = self.job.reply_tokens[has_tool_images]
        self.generation_config.max_new_tokens = self.generation_kwargs["max_new_tokens"] = n_tokens
        with self.clocks.measure("generate_second" if has_tool_images else "generate_first"):
            ids, logprobs = super()._generate_single_turn(*arguments, has_tool_images=has_tool_images, **named)
        assert {len(reply) for reply in ids} == {n_tokens}, "a reply has the wrong length"
        return ids, logprobs

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        with self.clocks.measure("rollout"):
            return super()._generate_and_score_completions(inputs)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss = super()._compute_loss(model, inputs)
        self._count(inputs, loss)
        return loss

    def _count(self, inputs: dict[str, Any], loss: Tensor) -> None:
        """Checks that a training forward saw every frame and trained every sampled token, and adds up both."""
        mask = inputs["completion_mask"] * inputs["tool_mask"]
        ids, grids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1), inputs["image_grid_thw"]
        n_patches = (ids == self._image_pad_token_id).sum() * self.processing_class.image_processor.merge_size**2
        assert set(inputs["num_images"]) <= {len(q.first_images) + len(q.tool_images) for q in self.job.questions}
        assert len(grids) == sum(inputs["num_images"]), "images were dropped"
        assert len(inputs["pixel_values"]) == grids.prod(1).sum() == n_patches, "patches and placeholders differ"
        assert (mask.sum(1) == sum(self.job.reply_tokens)).all(), "the loss is not over the sampled tokens"
        assert torch.isfinite(loss), "the loss is not finite"
        self.facts.episodes += len(ids)
        self.facts.images += len(grids)
        self.facts.sampled_tokens += int(mask.sum())
        self.facts.tokens += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
        self.facts.losses.append(loss.item())

    def proof(self) -> dict[str, object]:
        """That the work of a whole step was done."""
        job, facts = self.job, self.facts
        assert facts.episodes == job.n_episodes, "not every episode was trained"
        moved = moved_parts(self.weights, snapshot(self.model))
        assert moved == ({"language", "vision"} if job.train_vision else {"language"}), f"weights moved in {moved}"
        per_episode = {
            f"{name}_per_episode": getattr(facts, name) / facts.episodes for name in ("images", "sampled_tokens", "tokens")
        }
        return {**asdict(facts), **per_episode, "moved": sorted(moved)}


class Foreman(TrainerCallback):
    """Stands between TRL's training loop and stdin: lets it run as many steps as it is told to, and times each."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._left = 0
        self._cpu_s: list[float] = []
        self._wall_s: list[float] = []
        self._parts: list[tuple[Seconds, Seconds]] = []
        self.trainer: CountingTrainer

    def on_train_begin(self, *_: object, **__: object) -> None:
        self._await_command()
        self.trainer.begin_step()

    def on_step_end(self, *_: object, **__: object) -> None:
        cpu_s, wall_s = self.trainer.clocks.stop()
        self._cpu_s.append(cpu_s)
        self._wall_s.append(wall_s)
        self._parts.append((self.trainer.clocks.cpu_s, self.trainer.clocks.wall_s))
        proof = self.trainer.proof()
        self._left -= 1
        if self._left == 0:
            self._answer(proof)
            self._await_command()
        self.trainer.begin_step()

    def _await_command(self) -> None:
        command = json.loads(sys.stdin.readline() or '{"stop": 1}')
        if "stop" in command:
            raise SystemExit
        self._left = 1 if "warm" in command else command["run"]

    def _answer(self, proof: dict[str, object]) -> None:
        """Means over the steps of a command, what each took, and the proof of its last step."""
        cpu_parts, wall_parts = ([part[axis] for part in self._parts] for axis in (0, 1))
        detail = proof | {
            "cpu_s_each": self._cpu_s,
            "wall_s_each": self._wall_s,
            "parts_cpu_s": {name: fmean(parts[name] for parts in cpu_parts) for name in cpu_parts[0]},
            "parts_wall_s": {name: fmean(parts[name] for parts in wall_parts) for name in wall_parts[0]},
        }
        means = {"cpu_s": fmean(self._cpu_s), "wall_s": fmean(self._wall_s), "peak_rss_gb": peak_rss_gb()}
        print(json.dumps({**means, "detail": detail}), file=self._answers, flush=True)
        self._cpu_s, self._wall_s, self._parts = [], [], []


def snapshot(model: torch.nn.Module) -> dict[str, Tensor]:
    """The first values of every weight."""
    return {name: weight.detach().flatten()[:64].clone() for name, weight in model.named_parameters()}


def moved_parts(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The towers of which a weight has moved."""
    return {"vision" if ".visual." in name else "language" for name in before if not torch.equal(before[name], after[name])}


def peak_rss_gb() -> float:
    """Of this process so far; `ru_maxrss` would count what the parent held when it started us."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) * 1024 / 1e9


def force_calls(processor: StillsProcessor, questions: Sequence[Question]) -> None:
    """Makes every first reply a call and every other none, whatever it says."""
    vision_start = processor.tokenizer.convert_tokens_to_ids("<|vision_start|>")
    n_first = {len(question.first_images) for question in questions}
    stock = grpo_trainer.parse_response

    def parse_response(tokenizer: Any, ids: list[int], prefix: list[int], tools: Any) -> dict[str, Any]:
        message = stock(tokenizer, ids, prefix=prefix, tools=tools)
        message.pop("tool_calls", None)
        return message | ({"tool_calls": [CALL]} if prefix.count(vision_start) in n_first else {})

    grpo_trainer.parse_response = parse_response


def grpo_config(job: Job, processor: StillsProcessor) -> GRPOConfig:
    """What DeepSport's own step does, with TRL's fastest settings on a CPU."""
    n_passes = job.n_episodes // job.rows_per_forward
    return GRPOConfig(
        output_dir="/nonexistent",  # nothing is saved
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=job.rows_per_forward,
        gradient_accumulation_steps=n_passes,
        steps_per_generation=n_passes,
        num_generations=job.group_size,
        num_iterations=1,
        beta=0.0,
        temperature=1.0,
        epsilon=0.2,
        epsilon_high=0.28,
        loss_type="dapo",  # a mean over the sampled tokens of the whole batch
        scale_rewards="none",
        max_completion_length=4096,  # of all turns with tool results; the replies have their own limits
        max_tool_calling_iterations=2,
        generation_kwargs={"suppress_tokens": processor.tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS)), "use_cache": True},
        learning_rate=job.learning_rate,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_steps=1_000_000,
        gradient_checkpointing=False,
        disable_dropout=True,
        shuffle_dataset=False,
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        log_multimodal=False,
        disable_tqdm=True,
    )


def make_trainer(job: Job, foreman: Foreman) -> CountingTrainer:
    """Everything that happens once."""
    folder = Path(job.checkpoint)
    processor = load_processor(folder)
    force_calls(processor, job.questions)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.model.visual.requires_grad_(job.train_vision)
    rows = [
        {"prompt": [{"role": "user", "content": question.head}], "number": number}
        for number, question in enumerate(job.questions)
    ]
    trainer = CountingTrainer(
        job=job,
        model=model,
        processing_class=processor,
        reward_funcs=spread,
        args=grpo_config(job, processor),
        train_dataset=Dataset.from_list(rows * 1000),  # so that no epoch ends within a run
        environment_factory=environment_class(job.questions, processor.image_processor),
        callbacks=[foreman],
    )
    foreman.trainer = trainer
    return trainer


def main() -> None:
    """Serves a job until told to stop; only answers reach stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = Job.load(Path(sys.argv[1]))
    torch.set_num_threads(job.threads)
    make_trainer(job, Foreman(answers)).train()


if __name__ == "__main__":
    main()
