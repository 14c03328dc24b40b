"""A fresh nano: what its tokens are, and that nothing stands between a token and the output before training."""

from pathlib import Path

import torch
from tokenizers import Tokenizer

from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.nano import TAGS, make_nano
from tiny_models import SIZE, TEXTS

PHRASE = '{"action":"choose_frames","frame_range":['
NUMBERS = " ".join(map(str, range(64)))


def test_tags_phrases_and_frequent_numbers_are_one_token_each(tmp_path: Path) -> None:
    make_nano(tmp_path, [NUMBERS] * 99 + TEXTS, SIZE, phrases=[PHRASE], seed=0)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in (PHRASE, *TAGS, *map(str, range(64))):
        assert len(tokenizer.encode(text).ids) == 1, text
    call = f"<tool_call>{PHRASE}28,41]}}</tool_call>"
    assert tokenizer.decode(tokenizer.encode(call).ids, skip_special_tokens=False) == call
    assert tokenizer.get_vocab_size() <= SIZE.vocab_size


def test_every_block_of_an_untrained_nano_is_the_identity(tmp_path: Path) -> None:
    make_nano(tmp_path, TEXTS, SIZE, seed=0)
    policy = load_policy(str(tmp_path))
    ids = torch.tensor([policy.chat.encode_reply("the ball is in")])
    positions = torch.arange(ids.shape[1]).expand(3, 1, -1)
    with torch.no_grad():
        causal = torch.ones(1, 1, *[ids.shape[1]] * 2, dtype=torch.bool).tril()
        hidden = policy.backbone.hidden(ids, None, positions, causal)
        embedded = policy.backbone.embeddings(ids)
    unit = embedded / embedded.pow(2).mean(-1, keepdim=True).sqrt()
    assert torch.allclose(hidden, unit, atol=1e-3)
    assert abs(float(embedded.std()) - SIZE.hidden_size**-0.5) < 0.05
