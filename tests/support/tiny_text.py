"""A whole run on text in seconds: sentences of a small grammar, and a tiny model that learns them."""

import json
import random
from pathlib import Path

RECIPE = """
kind = "text"
name = "tiny"

[data]
files = "{files}"
held_out = 0.2

[tokenizer]
vocab = 300

[model]
preset = "tiny"
kind = ["decoder", "lstm", "rnn", "conv"]
max_positions = 64

[pretrain]
steps = 80
batch_size = 8
seq_len = 48
warmup = 10
eval_every = 20
save_every = 10
compile = "off"
dtype = "float32"

[recall]
steps = 30
pairs = 4
symbols = 6
d_model = 32
asked = 40

[cost]
lengths = [8, 16]

[evaluation]
prompts = ["", "the "]
sample_tokens = 30
"""


def write_text_recipe(folder: Path) -> Path:
    rng = random.Random(0)
    nouns, verbs = ("cat", "dog", "füchse", "bird", "猫"), ("sees", "hears", "likes")
    rows = []
    for _ in range(150):
        sentences = [f"the {rng.choice(nouns)} {rng.choice(verbs)} the {rng.choice(nouns)}. " for _ in range(6)]
        rows.append({"text": "".join(sentences)})
    files = folder / "grammar.jsonl"
    files.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.format(files=files), encoding="utf-8")
    return recipe
