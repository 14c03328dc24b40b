"""Any OpenAI-compatible endpoint as a policy: vLLM, SGLang, llama.cpp, hosted models.

endpoint.py   OpenAIPolicy: the settings, one conversation, attempts and waiting
wire.py       messages and frames as the JSON that is sent
reading.py    the JSON that came back as one canonical reply
failure.py    what went wrong, whether to ask again, and when
"""

from deepsport.policy.openai.endpoint import OpenAIPolicy
from deepsport.policy.openai.failure import Backoff

__all__ = ["Backoff", "OpenAIPolicy"]
