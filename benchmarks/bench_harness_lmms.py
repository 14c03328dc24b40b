"""lmms-eval on one task, timed: the stage in which its model answers, without start-up, dataset and scoring.

Run by the rival's own interpreter. As for ours, every clip has been decoded before the clock starts; nothing of lmms-eval is
changed. Prints one JSON line last.

    .venv-lmms/bin/python benchmarks/bench_harness_lmms.py URL FOLDER TASK WARM_UP_JSONL OUT REQUESTS_AT_ONCE LIMIT
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

URL, FOLDER, TASK, WARM, OUT, AT_ONCE, LIMIT = sys.argv[1:]
sys.argv = [
    *("lmms_eval", "--model", "async_openai", "--batch_size", "1", "--tasks", TASK, "--include_path", FOLDER),
    *("--model_args", f"model=m,base_url={URL},api_key=k,num_cpus={AT_ONCE}", "--limit", LIMIT),
    *("--output_path", OUT, "--log_samples"),
]

from lmms_eval.__main__ import cli_evaluate  # noqa: E402
from lmms_eval.models.chat.async_openai import AsyncOpenAIChat  # noqa: E402

from deepsport.bench.exchange import lmms_task  # noqa: E402

measured: dict[str, object] = {}
answer_all = AsyncOpenAIChat.generate_until


def timed(self, requests):
    """What lmms-eval does, between two looks at the clocks."""
    for line in Path(WARM).read_text().splitlines():
        lmms_task.visuals(json.loads(line), Path(FOLDER))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    answers = answer_all(self, requests)
    measured.update(n=len(requests), wall_s=time.perf_counter() - wall_s, cpu_s=time.process_time() - cpu_s)
    return answers


AsyncOpenAIChat.generate_until = timed
cli_evaluate()
[results] = Path(OUT).rglob("*_results.json")
[samples] = Path(OUT).rglob("*_samples_*.jsonl")
figures = json.loads(results.read_text())["results"][TASK]
ids = [json.loads(line)["id"] for line in Path(FOLDER, f"{TASK}.jsonl").read_text().splitlines()]
answered = [json.loads(line) for line in samples.read_text().splitlines()]
rights = {ids[line["doc_id"]]: (line.get("accuracy") or {}).get("score") for line in answered}
versions = {name: version(name) for name in ("lmms-eval", "openai", "transformers", "torch")}
print(json.dumps({**measured, "accuracy": figures["accuracy,none"], "rights": rights, "versions": versions}))
