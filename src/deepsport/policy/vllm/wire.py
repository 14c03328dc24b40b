"""What goes to a vLLM server and what comes back: `POST /inference/v1/generate`, vLLM's own way of token in, token out.

The ids of the prompt are sent as they are, with one placeholder an image. An image travels once: it is a PNG of the very pixels
that the trainer sees, under the hash of them, and a server that knows the hash is sent nothing more. The server tells the prompt
it read, placeholders and all, and it must be ours.
"""

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import PIL.Image
from pydantic import BaseModel, ValidationError

from deepsport.errors import EngineError
from deepsport.policy.base import Image, Pixels
from deepsport.policy.kept import Kept
from deepsport.policy.local.session import Continuation, Prompt
from deepsport.policy.openai.failure import Failure

LEAST, MOST = -1000.0, 1e-3
"""What a log-probability can be. vLLM gives -9999 where it computed something that is not a number."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a server gets it."""

    hash: str
    uri: str
    """The whole image, as a data URI."""


class Pictures:
    """Images made ready to be sent, those used last kept. Safe from any thread."""

    def __init__(self, resize: Callable[[Pixels], Pixels], most_bytes: int = 2**30) -> None:
        """`resize` brings a frame to the size that the model sees, so that the server has nothing to resize."""
        self._resize = resize
        self._lock = threading.Lock()
        self._kept: Kept[tuple[str, int], Picture] = Kept(most_bytes, lambda picture: len(picture.uri))

    def of(self, images: Sequence[Image]) -> list[Picture]:
        """The images in order. Takes CPU time. Raises PolicyError on an impossible size."""
        return [self._of(image) for image in images]

    def _of(self, image: Image) -> Picture:
        key = (image.frame.video, image.frame.index)
        with self._lock:
            if found := self._kept.found([key]):
                return found[key]
        made = picture_of(self._resize(image.pixels))
        with self._lock:
            self._kept.add({key: made})
        return made


def picture_of(pixels: Pixels) -> Picture:
    """One frame [height, width, 3] without loss."""
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "PNG", compress_level=1)  # the time of level 6 is dearer than the bytes
    digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    return Picture(digest, f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reply to ask for."""

    prompt: Prompt
    pictures: Sequence[Picture]
    temperature: float
    end: int
    """The token that ends a reply."""
    suppressed: Sequence[int]
    """Tokens that may not be sampled."""


def request_of(wanted: Wanted, model: str, known: set[str]) -> bytes:
    """The request as JSON; `known` are the hashes of images that the server has."""
    sampling = {  # no seed: other requests of a batch change the last bits, and a generator for each request is slow
        "temperature": wanted.temperature,
        "max_tokens": wanted.prompt.max_tokens,
        "logprobs": 0,
        "logit_bias": {str(token): -100.0 for token in wanted.suppressed},
        "stop_token_ids": [wanted.end],
        "detokenize": False,
    }
    images = [_part(picture, picture.hash in known) for picture in wanted.pictures]
    body: dict[str, object] = {
        "model": model,
        "token_ids": _folded(wanted.prompt),
        "return_token_ids": True,
        "sampling_params": sampling,
    }
    return json.dumps(body | ({"content_parts": images} if images else {}), separators=(",", ":")).encode()


def _part(picture: Picture, known: bool) -> dict[str, object]:
    return {"type": "image_url", "url": None if known else picture.uri, "uuid": picture.hash}


def _folded(prompt: Prompt) -> list[int]:
    """The ids with one placeholder an image, which the server unfolds."""
    folded: list[int] = []
    after = 0
    for slot in prompt.slots:
        folded += prompt.ids[after : slot.offset + 1]
        after = slot.offset + slot.n_tokens
    return [*folded, *prompt.ids[after:]]


class _Logprob(BaseModel):
    token_id: int
    logprob: float


class _Logprobs(BaseModel):
    content: list[_Logprob]


class _Span(BaseModel):
    version: str
    start: int
    end: int


class _Choice(BaseModel):
    token_ids: list[int]
    finish_reason: str | None = None
    logprobs: _Logprobs
    weight_versions: list[_Span] | None = None


class _Reply(BaseModel):
    prompt_token_ids: list[int]
    choices: list[_Choice]


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, and the versions of the whole weights that sampled it, as the server calls them."""

    continuation: Continuation
    versions: frozenset[str]


def read(body: str, wanted: Wanted, place: str) -> Said | Failure:
    """The reply in a response, or what is wrong with it. Raises EngineError if the server read another prompt."""
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the beginning"
        return _unusable(f"no tokens with log-probabilities ({error.error_count()} faults, the first at {where})")
    _require_same_prompt(reply.prompt_token_ids, wanted.prompt.ids, place)
    if not reply.choices or not reply.choices[0].token_ids:
        return _unusable("a reply without tokens")
    choice = reply.choices[0]
    logprobs = [token.logprob for token in choice.logprobs.content]
    if [token.token_id for token in choice.logprobs.content] != choice.token_ids:
        return _unusable("log-probabilities of other tokens than it sampled")
    if not all(LEAST < logprob < MOST for logprob in logprobs):
        return _unusable("log-probabilities that are none")
    if forbidden := set(choice.token_ids).intersection(wanted.suppressed):
        return _unusable(f"token {min(forbidden)}, which was not to be sampled")
    cut_off = choice.token_ids[-1] != wanted.end
    if cut_off and choice.finish_reason != "length":
        return _unusable(f"a reply that was broken off ({choice.finish_reason})")
    spans = choice.weight_versions or []
    return Said(Continuation(choice.token_ids, logprobs, cut_off), frozenset(span.version for span in spans))


def _unusable(what: str) -> Failure:
    return Failure(f"it gave {what}", "It must be vLLM with --enable-scale-out.", transient=True)


def _require_same_prompt(theirs: Sequence[int], ours: Sequence[int], place: str) -> None:
    if list(theirs) == list(ours):
        return
    both = zip(theirs, ours, strict=False)
    at = next((place for place, (their, our) in enumerate(both) if their != our), min(len(theirs), len(ours)))
    raise EngineError(
        f"{place} read another prompt than it was sent: {len(theirs)} tokens for our {len(ours)}, different from token {at} on. "
        "What it samples cannot be trained on. Check that it serves the same checkpoint, with the same preprocessor_config.json."
    )
