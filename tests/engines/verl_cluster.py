"""verl's trainer of today without its engine and its training: agent loops in actors of Ray, run by verl's python.

    python verl_cluster.py ROWS.parquet VIDEOS SAID.json OUT.json

Real are the manager with two workers, the client with its load balancer, and the queue that the trainer reads; the server behind
them is a scripted actor. Every row is played twice.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import ray
import transfer_queue as tq
from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.utils.tokenizer import hf_processor, hf_tokenizer
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.router import GlobalRequestLoadBalancer
from verl_world import NANO, TEMPLATE, Server, config_of

STEP = 7


@ray.remote(num_cpus=0)
class ServerActor(Server):
    """The scripted server where verl has vLLM's."""

    def __init__(self, said) -> None:
        super().__init__(said, hf_tokenizer(str(NANO)))


def cluster_config(rows: str, videos: str, out: Path):
    config = config_of(videos, "deepsport", rows, out)
    with open_dict(config):
        config.data.filter_overlong_prompts = False
        config.actor_rollout_ref.rollout.n = 2
        config.actor_rollout_ref.rollout.agent.num_workers = 2
        config.actor_rollout_ref.model.custom_chat_template = TEMPLATE
        config.transfer_queue.enable = True
        config.transfer_queue.backend.SimpleStorage.num_data_storage_units = 1
    OmegaConf.resolve(config)
    return config


def batch_of(config):
    """The rows, as verl's trainer hands them to its agent loops."""
    dataset = RLHFDataset(config.data.train_files, hf_tokenizer(str(NANO)), config.data, hf_processor(str(NANO)))
    rows = collate_fn([dataset[place] for place in range(len(dataset))])
    rows["uid"] = np.array([f"u{place}" for place in range(len(dataset))], dtype=object)
    batch = tu.get_tensordict(rows)
    tu.assign_non_tensor_data(batch, "global_steps", STEP)
    return batch


def wait_for(uids: list[str]) -> dict:
    """The queue's tags, once all questions are played."""
    deadline = time.monotonic() + 600
    while True:
        tags = tq.kv_list(partition_id="train")["train"]
        if all(tags[uid]["status"] in ("finished", "failure") for uid in uids) or time.monotonic() > deadline:
            return tags
        time.sleep(0.2)


def main(rows: str, videos: str, said: str, out: str) -> None:
    config = cluster_config(rows, videos, Path(out))
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
    tq.init(config.transfer_queue)
    server = ServerActor.remote(json.loads(Path(said).read_text()))
    balancer = ray.remote(GlobalRequestLoadBalancer).options(num_cpus=0).remote(servers={"only": server})
    manager = AgentLoopManagerTQ.create(config, LLMServerClient(config, balancer), None, None)
    batch = batch_of(config)
    uids = list(batch["uid"])
    pending = {"is_prompt": True, "status": "pending", "global_steps": STEP}
    tq.kv_batch_put(keys=uids, partition_id="train", tags=[pending] * len(uids))
    manager.generate_sequences(batch)
    tags = wait_for(uids)
    keys = [f"{uid}_{session}_0" for uid in uids for session in range(2)]
    got = tq.kv_batch_get(keys=keys, partition_id="train")
    facts = {
        "status": [tags[uid]["status"] for uid in uids],
        "tags": [tags[key] for key in keys],
        "scores": [float(got["rm_scores"][place].sum()) for place in range(len(keys))],
        "masks": [got["response_mask"][place].tolist() for place in range(len(keys))],
        "stops": [got["extra_fields"][place]["reward_extra_info"]["stop"] for place in range(len(keys))],
    }
    Path(out).write_text(json.dumps(facts))
    tq.close()
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
