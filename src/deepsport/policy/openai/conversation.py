"""One conversation with an endpoint: the history that is sent again with every request, and the native calls that wait.

Images are encoded once, when they are first shown, in a thread: that takes CPU time, and the event loop is for waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepsport.policy.base import Message, Reply, Sampling
from deepsport.policy.openai.written import Written, written
from deepsport.records import TokenRecord

if TYPE_CHECKING:
    from deepsport.policy.openai.endpoint import OpenAIPolicy


@dataclass(slots=True)
class Conversation:
    """One session."""

    policy: "OpenAIPolicy"
    sampling: Sampling
    history: list[Written] = field(default_factory=list[Written])
    open_calls: tuple[str, ...] = ()
    """Ids of native calls that wait for their result."""

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Answers; after an error the conversation stands as before, so the same messages can be sent again.

        Raises ContextOverflow or PolicyError."""
        asked, said = await self.policy.answer(lambda: [*self.history, *self._sent(messages)], self.sampling)
        self.history, self.open_calls = [*asked, written(said.echo)], said.call_ids
        return Reply(text=said.text, cut_off=said.cut_off, prompt_tokens=said.prompt_tokens, reply_tokens=said.reply_tokens)

    def _sent(self, messages: Sequence[Message]) -> list[Written]:
        """The new messages; the first of them closes a native call. Runs in a thread: images take CPU time."""
        writer = self.policy.writer
        n_results = 1 if self.open_calls else 0
        results = [part for message in messages[:n_results] for part in writer.tool_result(message, self.open_calls)]
        return results + [writer.message(message) for message in messages[n_results:]]

    def tokens(self) -> TokenRecord | None:
        """None: an endpoint tells texts, not tokens. Records of such episodes carry no tokens and cannot be trained on."""
        return None
