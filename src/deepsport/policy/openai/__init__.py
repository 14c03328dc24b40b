"""Any OpenAI-compatible endpoint as a policy: vLLM, SGLang, llama.cpp, hosted models.

settings.py      an endpoint as a recipe describes it
endpoint.py      OpenAIPolicy: attempts and waiting; line.py: its connections
conversation.py  one conversation
written.py       messages and frames as they are sent, each written once; wire.py: their parts
reading.py       the JSON that came back as one canonical reply
failure.py       what went wrong, whether to ask again, and when
pace.py          requests and tokens a minute
allowance.py     what a run may spend, and whether it was stopped
reply_cache.py   replies on disk; desk.py: all three for a run that is spread over processes; lent.py: how these ask there
"""

from deepsport.policy.openai.endpoint import OpenAIPolicy
from deepsport.policy.openai.failure import Backoff
from deepsport.policy.openai.settings import EndpointConfig, open_endpoint

__all__ = ["Backoff", "EndpointConfig", "OpenAIPolicy", "open_endpoint"]
