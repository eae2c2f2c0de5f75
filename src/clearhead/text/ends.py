"""The tokens after which a model has nothing more to say, decided in one place from everything that a model comes with.

Files name the end of a text and often not that of a turn, which only the chat template writes. llama.cpp knows the
usual names; here a name counts in a folder only if its template writes it, and a template that writes none of the ends
that are known is tried on a chat.
"""

from clearhead.errors import UserError
from clearhead.text.chat import ChatTemplate
from clearhead.text.subword import SubwordTokenizer

# llama.cpp, src/llama-vocab.cpp, and the templates that it knows.
NAMES = (
    "<|im_end|>", "<|eot_id|>", "<|end|>", "<|return|>", "<|call|>", "<|eot|>", "<|flush|>", "<|eom_id|>",
    "<end_of_turn>", "<turn|>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>", "<|EOT|>", "<|end_of_turn|>",
    "<|endofturn|>", "[|endofturn|]", "<|turn_end|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
    "<|END_OF_TURN_TOKEN|>",
)  # fmt: skip
BETWEEN = "<|end|>"  # only ends a part of a turn where a model has CALLS as well
CALLS = {"<|return|>", "<|call|>"}
ASKED, ANSWERED = "Q7f3k", "A9d2m"  # what no template writes by itself


def named(tokenizer: SubwordTokenizer) -> dict[int, str]:
    """The tokens that bear the name of an end, control tokens or not."""
    found = {i: name for name in NAMES if (i := tokenizer.backend.token_to_id(name)) is not None}
    return {i: name for i, name in found.items() if name != BETWEEN or not set(found.values()) >= CALLS}


def turn_ends(tokenizer: SubwordTokenizer, template: ChatTemplate) -> frozenset[int]:
    """The tokens that end an answer according to the template, as far as they can be told."""
    names = {i: tokenizer.specials.get(i) for i in tokenizer.end_ids} | named(tokenizer)
    written = {i for i, name in names.items() if name is not None and name in template.source}
    if "eos_token" in template.source and (eos := template.tokens.get("eos_token")) is not None:
        written |= {i for i in [tokenizer.backend.token_to_id(eos)] if i is not None}
    found = frozenset(i for i in written if i in tokenizer.specials)
    return found or _tried(tokenizer, template)


def _tried(tokenizer: SubwordTokenizer, template: ChatTemplate) -> frozenset[int]:
    """The first special token behind an answer in a chat that goes on."""
    chat = [{"role": role, "content": said} for role, said in [("user", ASKED), ("assistant", ANSWERED)]]
    try:
        text = template.render([*chat, {"role": "user", "content": ASKED}]).text
    except UserError:  # some take no such chat
        return frozenset()
    _, answered, rest = text.partition(ANSWERED)
    pieces = tokenizer.encode(rest.partition(ASKED)[0], special=True) if answered else []
    return frozenset(i for i in pieces[:1] if i in tokenizer.specials)
