"""A question set as a task folder for lmms-eval 0.7: a YAML file, the questions beside it, and a module that calls this package.

Everything that puts or scores a question stays in `lmms_task`, so `deepsport` must be importable where lmms-eval runs. A question
travels as one text, because the loader of that side wants every column to have one type. Paths count from the folder.

    python -m lmms_eval --include_path FOLDER --tasks NAME --model async_openai --model_args ...
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from deepsport.durable import disk_errors, write_atomic
from deepsport.errors import BadConfig, BadRecord
from deepsport.policy.base import Sampling
from deepsport.records import Question

MODULE = "deepsport_task"

_MODULE = '''"""The tasks of the YAML files beside this file, put and scored as DeepSport does. Written by `deepsport`."""

from pathlib import Path

from deepsport.bench.exchange import lmms_task
from deepsport.bench.exchange.lmms_task import mean_accuracy, n_unscored, results, target

__all__ = ["mean_accuracy", "messages", "n_unscored", "results", "target", "text", "visuals"]

FOLDER = Path(__file__).resolve().parent


def messages(doc):
    return lmms_task.messages(doc, FOLDER)


def visuals(doc):
    return lmms_task.visuals(doc, FOLDER)


def text(doc):
    return lmms_task.text(doc, FOLDER)
'''

_YAML = """# Written by `deepsport`: the same questions, frames, prompt and score as `deepsport bench run --passive 8`.
task: "{name}"
dataset_path: json
dataset_kwargs:
  data_files:
    test: {name}.jsonl
test_split: test
output_type: generate_until
doc_to_messages: !function {module}.messages
doc_to_visual: !function {module}.visuals
doc_to_text: !function {module}.text
doc_to_target: !function {module}.target
process_results: !function {module}.results
generation_kwargs:
  max_new_tokens: {max_tokens}
  temperature: 0
  do_sample: false
reasoning_tags: "none"  # the thought is part of the reply that is scored
metric_list:
  - metric: accuracy
    aggregation: !function {module}.mean_accuracy
    higher_is_better: true
  - metric: unscored
    aggregation: !function {module}.n_unscored
    higher_is_better: false
score_key: score
cluster_key: cluster
metadata:
  version: 1
"""


def write_task(questions: Sequence[Question], folder: Path, name: str) -> Path:
    """Writes the task `name` into a folder, which may hold others, and returns its YAML file.

    Raises BadConfig for a name that cannot be one, BadRecord for questions that cannot be told apart or are none, RunError if the
    disk does not take them."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BadConfig(f"{name!r} cannot be the name of a task: use small letters, digits and _, and begin with a letter.")
    _require_distinct(questions)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{name}.jsonl", "".join(f"{_line(question, folder)}\n" for question in questions))
    write_atomic(folder / f"{MODULE}.py", _MODULE)
    path = folder / f"{name}.yaml"
    write_atomic(path, _YAML.format(name=name, module=MODULE, max_tokens=Sampling().max_tokens))
    return path


def _line(question: Question, folder: Path) -> str:
    clip = Path(question.video)
    video = os.path.relpath(clip.parent.resolve() / clip.name, folder.resolve())  # ".." leads elsewhere out of a linked folder
    moved = question.model_copy(update={"video": video})
    return json.dumps({"id": question.id, "video": video, "text": question.text, "question": moved.model_dump_json()})


def _require_distinct(questions: Sequence[Question]) -> None:
    if not questions:
        raise BadRecord("there is no question to export")
    if len({question.id for question in questions}) < len(questions):
        raise BadRecord("two questions have one id; ids must differ, since answers are told apart by them")
