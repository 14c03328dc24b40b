"""The recipe laid over verl's own configuration, and checked by verl: run by verl's python.

    python verl_recipe.py FOLDER SAID.json OUT.json

verl asks the installed vLLM which ranks of adapters it knows; there is none here, so the check is made without the adapter.
"""

import json
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config


def main(folder: str, said: str, out: str) -> None:
    with initialize_config_dir(folder, version_base=None):
        config = compose("rl_7b", overrides=["actor_rollout_ref.model.lora_rank=0"])
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    algorithm = omega_conf_to_dataclass(config.algorithm)
    facts = {
        "lengths": [rollout.prompt_length, rollout.response_length, rollout.max_model_len],
        "agent": rollout.agent.default_agent_loop,
        "filtered_by": algorithm.filter_groups.metric,
        "reward": get_custom_reward_fn(config)(data_source="x", solution_str="junk", ground_truth="y")["score"],
    }
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
