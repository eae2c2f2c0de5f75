"""A whole run that translates in seconds: a language of five words, said backwards in another."""

import random
from pathlib import Path

WORDS = {"ab": "xo", "ce": "yu", "di": "zé", "fo": "wä", "gu": "vi"}
RECIPE = """
kind = "translate"
name = "tiny"
models = ["bahdanau", "transformer", "decoder-only", "lstm"]
scheduled = ["bahdanau"]

[data]
files = "{files}"
held_out = 0.2

[tokenizer]
kind = "char"

[model]
d_model = 32
n_layers = 1
n_heads = 2
d_ff = 48

[train]
steps = 160
batch_size = 16
optimizer = "adamw"
adam_lr = 0.01
warmup = 5
eval_every = 40
save_every = 10

[evaluation]
pairs = 12
beams = 2
examples = 3
coverage_penalty = 0.1
"""


def pairs() -> list[tuple[str, str]]:
    rng = random.Random(0)
    made = [[rng.choice(list(WORDS)) for _ in range(rng.randint(1, 4))] for _ in range(600)]
    return [(" ".join(words), " ".join(WORDS[word] for word in reversed(words))) for words in made]


def write_translate_recipe(folder: Path) -> Path:
    files = folder / "pairs.tsv"
    files.write_text("".join(f"{a}\t{b}\n" for a, b in pairs()), encoding="utf-8")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.format(files=files), encoding="utf-8")
    return recipe
