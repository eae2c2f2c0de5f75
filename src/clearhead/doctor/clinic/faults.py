"""The faults of the clinic: a line of a healthy program, and what somebody wrote in its place.

A fault is put into the code, or into the data that it makes, and never into a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Patch = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Fault:
    """`patches` by program: (what stands there, what stands there instead). `names`: the findings that name it."""

    name: str
    title: str
    names: tuple[str, ...]
    patches: Mapping[str, Patch]


SUPERVISED = ("mlp", "regression", "decoder", "rnn")
ZERO, BACK, CLIP, STEP = (
    "optimizer.zero_grad()\n", "loss.backward()\n", "nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n", "optimizer.step()\n",
)  # fmt: skip


def everywhere(*pairs: tuple[str, str]) -> dict[str, Patch]:
    return dict.fromkeys(SUPERVISED, pairs)


def init(program: str, how: str) -> Patch:
    """A line after the model is made that draws its weights in another way."""
    made = {
        "mlp": "model = Classifier()",
        "regression": "model = Network()",
        "decoder": "model = Decoder()",
        "rnn": "model = Reader()",
    }
    return ((f"    {made[program]}\n", f"    {made[program]}\n    for p in model.parameters():\n        {how}\n"),)


FAULTS = (
    Fault("missing-zero-grad", "gradients are never erased", ("no_zero_grad",), everywhere((ZERO, "pass\n"))),
    Fault(
        "step-before-backward", "the optimizer steps before the backward pass", ("step_before_backward",),
        everywhere((BACK, "optimizer.step()\n"), (STEP, "loss.backward()\n")),
    ),
    Fault(
        "erased-gradient", "gradients are erased between backward and step", ("gradient_erased",),
        everywhere((ZERO, "pass\n"), (CLIP, "optimizer.zero_grad()\n")),
    ),
    Fault("missing-step", "the optimizer never steps", ("no_step",), everywhere((STEP, "pass\n"))),
    Fault(
        "rate-times-100", "a learning rate 100 times too large", ("lr_too_large",),
        {"mlp": (("lr=3e-3", "lr=0.5"),), "regression": (("lr=0.05", "lr=5.0"),), "decoder": (("lr=5e-3", "lr=0.5"),), "rnn": (("lr=5e-3", "lr=0.5"),)},
    ),
    Fault(
        "rate-too-small", "a learning rate far too small", ("lr_too_small",),
        {"mlp": (("lr=3e-3", "lr=3e-7"),), "regression": (("lr=0.05", "lr=1e-6"),), "decoder": (("lr=5e-3", "lr=5e-7"),), "rnn": (("lr=5e-3", "lr=5e-7"),)},
    ),
    Fault(
        "schedule-ends-early", "a schedule that is at 0 after a few steps", ("lr_zero",),
        {"decoder": (("min(1.0, (step + 1) / 10)", "max(0.0, 1 - step / 20)"),)},
    ),
    Fault(
        "double-softmax", "a softmax before a loss that applies its own", ("activation_before_loss",),
        {"mlp": (("return self.head(x)", "return self.head(x).softmax(-1)"),), "decoder": (("return self.head(self.norm(x))", "return self.head(self.norm(x)).softmax(-1)"),), "rnn": (("return self.head(self.drop(last))", "return self.head(self.drop(last)).softmax(-1)"),)},
    ),
    Fault(
        "relu-before-loss", "a ReLU behind the last layer", ("activation_before_loss", "output_out_of_reach"),
        {"mlp": (("return self.head(x)", "return F.relu(self.head(x))"),), "regression": (("return self.head(x)", "return F.relu(self.head(x))"),), "rnn": (("return self.head(self.drop(last))", "return F.relu(self.head(self.drop(last)))"),)},
    ),
    Fault(
        "sigmoid-output", "a sigmoid behind a regression", ("output_out_of_reach",),
        {"regression": (("return self.head(x)", "return torch.sigmoid(self.head(x))"),)},
    ),
    Fault(
        "nll-of-logits", "nll_loss on raw outputs", ("loss_without_activation",),
        {"mlp": (("loss = F.cross_entropy(", "loss = F.nll_loss("),), "rnn": (("loss = F.cross_entropy(", "loss = F.nll_loss("),)},
    ),
    Fault(
        "broadcast-loss", "predictions (N, 1) against targets (N)", ("broadcast_loss",),
        {"regression": (("loss = F.mse_loss(model(inputs).squeeze(-1), targets)", "loss = F.mse_loss(model(inputs), targets)"),)},
    ),
    Fault(
        "squared-error-on-classes", "a squared error between class numbers", ("regression_on_classes",),
        {"mlp": (("nn.Linear(width, 4)", "nn.Linear(width, 1)"), ("F.cross_entropy(model(inputs), labels)", "F.mse_loss(model(inputs).squeeze(-1), labels.float())"), ("F.cross_entropy(outputs, y_val)", "F.mse_loss(outputs.squeeze(-1), y_val.float())"), ("(outputs.argmax(1) == y_val)", "(outputs.squeeze(-1).round() == y_val)"))},
    ),
    Fault(
        "loss-sign", "the loss has the wrong sign", ("loss_sign",),
        {"mlp": (("loss = F.cross", "loss = -F.cross"),), "regression": (("loss = F.mse", "loss = -F.mse"),), "rnn": (("loss = F.cross", "loss = -F.cross"),), "decoder": (("return F.cross", "return -F.cross"),)},
    ),
    Fault(
        "softmax-over-batch", "a softmax over the wrong dimension", ("softmax_axis",),
        {"decoder": (("scores.softmax(dim=-1)", "scores.softmax(dim=0)"),), "mlp": (("loss = F.cross_entropy(model(inputs), labels)", "loss = F.nll_loss(model(inputs).log_softmax(0), labels)"),)},
    ),
    Fault(
        "eval-left-on", "the model stays in evaluation mode", ("eval_mode_in_training",),
        {"mlp": (("model.train()", "model.eval()"),), "decoder": (("        model.train()\n        for", "        model.eval()\n        for"), ("                model.train()\n", "")), "rnn": (("        model.train()\n        for", "        model.eval()\n        for"), ("                model.train()\n", ""))},
    ),
    Fault(
        "evaluated-in-training-mode", "dropout is on while it is evaluated", ("train_mode_in_evaluation",),
        {"mlp": (("            model.eval()\n", ""),), "decoder": (("                model.eval()\n", ""),), "rnn": (("                model.eval()\n", ""),)},
    ),
    Fault(
        "layer-not-in-optimizer", "the optimizer was given a part of the model", ("parameters_not_in_optimizer",),
        {"mlp": (("AdamW(model.parameters()", "AdamW(model.head.parameters()"),), "regression": (("SGD(model.parameters()", "SGD(model.head.parameters()"),), "decoder": (("AdamW(model.parameters()", "AdamW(model.head.parameters()"),), "rnn": (("Adam(model.parameters()", "Adam(model.head.parameters()"),)},
    ),
    Fault(
        "optimizer-of-a-copy", "the optimizer holds another model's parameters", ("foreign_parameters", "parameters_not_in_optimizer"),
        {"mlp": (("AdamW(model.parameters()", "AdamW(Classifier().parameters()"),), "rnn": (("Adam(model.parameters()", "Adam(Reader().parameters()"),)},
    ),
    Fault(
        "detached", "a part of the graph is cut off", ("no_gradient",),
        {"mlp": (("x = F.relu(self.second(x))", "x = F.relu(self.second(x)).detach()"),), "regression": (("x = torch.tanh(self.second(x))", "x = torch.tanh(self.second(x)).detach()"),), "decoder": (("return self.head(self.norm(x))", "return self.head(self.norm(x.detach()))"),), "rnn": (("states, _ = self.cells(self.embed(tokens))", "states = self.cells(self.embed(tokens))[0].data"),)},
    ),
    Fault(
        "frozen-layers", "layers are frozen as they were drawn", ("frozen_random",),
        {name: ((f"    {made}\n", f"    {made}\n    for p in list(model.parameters())[:4]:\n        p.requires_grad = False\n"),) for name, made in (("mlp", "model = Classifier()"), ("regression", "model = Network()"), ("rnn", "model = Reader()"))},
    ),
    Fault("zero-init", "all weights begin at 0", ("equal_units",), {name: init(name, "nn.init.zeros_(p)") for name in ("mlp", "regression", "rnn")}),
    Fault("constant-init", "all weights begin at one value", ("equal_units",), {name: init(name, "nn.init.constant_(p, 0.05)") for name in ("mlp", "regression")}),
    Fault("huge-init", "weights begin far too large", ("init_too_large",), {name: init(name, "nn.init.normal_(p, std=1.0)") for name in ("mlp", "regression", "decoder")}),
    Fault("tiny-init", "weights begin far too small", ("init_too_small",), {name: init(name, "nn.init.normal_(p, std=1e-4)") for name in ("mlp", "regression")}),
    Fault(
        "inputs-not-scaled", "inputs of very large numbers", ("inputs_not_normalized",),
        {"mlp": (("    return x, y\n", "    return 100 + 80 * x, y\n"),), "regression": (("    return x, (y", "    return 100 + 80 * x, (y"),)},
    ),
    Fault(
        "nan-in-data", "a few inputs are not numbers", ("bad_inputs",),
        {"mlp": (("    return x, y\n", "    x[::50, 3] = float('nan')\n    return x, y\n"),), "regression": (("    return x, (y", "    x[::50, 3] = float('nan')\n    return x, (y"),)},
    ),
    Fault(
        "sorted-data", "the data are sorted by their label", ("unshuffled",),
        {"mlp": (("    return x, y\n", "    order = y.argsort()\n    return x[order], y[order]\n"), ("shuffle=True", "shuffle=False")), "regression": (("    return x, (y - y.mean()) / y.std()", "    order = y.argsort()\n    return x[order], ((y - y.mean()) / y.std())[order]"), ("shuffle=True", "shuffle=False"))},
    ),
    Fault(
        "one-batch-again", "the first batch is given again and again", ("same_batch",),
        {"decoder": (("for step, (inputs, targets) in enumerate(watched):\n", "for step, _ in enumerate(watched):\n            inputs, targets = next(iter(batches))\n"),), "rnn": (("for step, (tokens, lengths, labels) in enumerate(watched):\n", "for step, _ in enumerate(watched):\n            tokens, lengths, labels = next(iter(batches))\n"),)},
    ),
    Fault(
        "labels-shuffled", "labels were shuffled without their inputs", ("labels_unrelated",),
        {"mlp": (("    return x, y\n", "    return x, y[torch.randperm(n, generator=generator)]\n"),), "regression": (("    return x, (y - y.mean()) / y.std()", "    y = y[torch.randperm(n, generator=generator)]\n    return x, (y - y.mean()) / y.std()"),), "rnn": (("    return tokens, lengths, labels\n", "    return tokens, lengths, labels[torch.randperm(n, generator=generator)]\n"),)},
    ),
    Fault("labels-not-shifted", "targets are the tokens themselves", ("labels_not_shifted",), {"decoder": (("table[:, 1:].clone()", "table[:, :-1].clone()"),)}),
    Fault("labels-shifted-twice", "targets are two tokens on", ("labels_shifted_twice",), {"decoder": (("    logits = model(inputs)\n", "    logits, targets = model(inputs)[:, :-1], targets[:, 1:]\n"),)}),
    Fault("no-causal-mask", "attention without its causal mask", ("future_leak",), {"decoder": (("        scores = scores.masked_fill(later, -math.inf)\n", ""),)}),
    Fault("mask-off-by-one", "the mask lets one later token through", ("future_leak",), {"decoder": ((".triu(1)", ".triu(2)"),)}),
    Fault("no-positions", "no positions", ("no_positions",), {"decoder": ((" + self.position(torch.arange(tokens.shape[1]))", ""), ("for _ in range(layers)", "for _ in range(1)"))}),
    Fault("past-not-seen", "the mask lets a token see itself alone", ("past_not_seen",), {"decoder": (("torch.ones(length, length, dtype=torch.bool).triu(1)", "~torch.eye(length, dtype=torch.bool)"),)}),
    Fault("loss-on-padding", "padding is learned", ("loss_on_padding",), {"decoder": (("    targets[targets == PAD] = IGNORED\n", ""),)}),
    Fault(
        "rows-mixed", "rows of a batch see each other", ("rows_mixed",),
        {"rnn": (("batch_first=True", "batch_first=False"),), "decoder": ((".transpose(1, 2) for t in", ".transpose(0, 2) for t in"), ("(weights @ v).transpose(1, 2)", "(weights @ v).transpose(0, 2)"), ("        later = torch.ones(length, length, dtype=torch.bool).triu(1)\n", ""), ("        scores = scores.masked_fill(later, -math.inf)\n", ""))},
    ),
    Fault("padding-seen", "the last state is read, padding and all", ("padding_seen",), {"rnn": (("states[torch.arange(len(tokens)), lengths - 1]", "states[:, -1]"),)}),
    Fault(
        "decay-too-large", "weight decay pulls all weights to 0", ("weight_decay_too_large",),
        {"mlp": (("weight_decay=0.01", "weight_decay=20.0"),), "regression": (("weight_decay=1e-4", "weight_decay=0.3"),), "decoder": (("weight_decay=0.01", "weight_decay=20.0"),)},
    ),
    Fault(
        "momentum-too-large", "momentum, or beta1, near 1", ("optimizer_settings",),
        {"regression": (("momentum=0.9", "momentum=0.999"),), "mlp": (("weight_decay=0.01", "weight_decay=0.01, betas=(0.999, 0.5)"),), "rnn": (("lr=5e-3", "lr=5e-3, betas=(0.999, 0.9)"),)},
    ),
    Fault(
        "clip-too-small", "gradients are clipped to almost nothing", ("clip_too_small",),
        {"regression": (("parameters(), 1.0)", "parameters(), 1e-5)"),), "mlp": (("parameters(), 1.0)", "parameters(), 1e-5)"), ("AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)", "SGD(model.parameters(), lr=0.1)"))},
    ),
    Fault("dropout-keeps-5-percent", "dropout drops what it should keep", ("dropout_too_high",), {"mlp": (("nn.Dropout(0.1)", "nn.Dropout(0.95)"),), "rnn": (("nn.Dropout(0.1)", "nn.Dropout(0.95)"),), "decoder": (("nn.Dropout(0.05)", "nn.Dropout(0.95)"),)}),
    Fault(
        "no-activation", "layers without an activation between them", ("no_nonlinearity",),
        {"mlp": (("F.relu(self.first(x))", "self.first(x)"), ("F.relu(self.second(x))", "self.second(x)"), ("F.relu(self.third(x))", "self.third(x)")), "regression": (("torch.tanh(self.first(x))", "self.first(x)"), ("torch.tanh(self.second(x))", "self.second(x)"), ("torch.tanh(self.third(x))", "self.third(x)"))},
    ),
    Fault(
        "deep-sigmoids", "twelve layers of sigmoids", ("vanishing_gradient",),
        {"mlp": (("        x = F.relu(self.second(x))\n", "        for layer in self.more:\n            x = torch.sigmoid(layer(x))\n"), ("        self.drop = nn.Dropout(0.1)\n", "        self.drop = nn.Dropout(0.1)\n        self.more = nn.ModuleList(nn.Linear(width, width) for _ in range(10))\n        del self.second\n"), ("F.relu(self.first(x))", "torch.sigmoid(self.first(x))"), ("F.relu(self.third(x))", "torch.sigmoid(self.third(x))"))},
    ),
    Fault("dead-relus", "biases so low that units never fire", ("dead_units",), {"mlp": (("    model = Classifier()\n", "    model = Classifier()\n    nn.init.constant_(model.second.bias, -8.0)\n"),)}),
    Fault(
        "summed-accumulation", "losses of several passes are summed, not averaged", ("accumulation_unscaled",),
        {"decoder": (("            optimizer.zero_grad()\n", "            if step % 4 == 0:\n                optimizer.zero_grad()\n"), ("            nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n            optimizer.step()\n", "            if step % 4 == 3:\n                optimizer.step()\n")), "rnn": (("            optimizer.zero_grad()\n", "            if step % 4 == 0:\n                optimizer.zero_grad()\n"), ("            nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n            optimizer.step()\n", "            if step % 4 == 3:\n                optimizer.step()\n"))},
    ),
    Fault("loss-kept", "the sum of losses keeps every graph", ("loss_kept", "graph_grows"), {"mlp": (("            model.train()\n", "            model.train()\n            total = 0.0\n"), (STEP, "optimizer.step()\n                total = total + loss\n")), "rnn": (("        model.train()\n        for", "        model.train()\n        total = 0.0\n        for"), (STEP, "optimizer.step()\n            total = total + loss\n"))}),
    Fault("log-of-zero", "a logarithm of what can be 0", ("unstable_operation", "non_finite"), {"mlp": (("loss = F.cross_entropy(model(inputs), labels)", "p = torch.relu(model(inputs).softmax(-1) - 0.1)\n                loss = -torch.log(p.gather(1, labels[:, None])).mean()"),)}),
    Fault("few-rows", "a large model, and few rows", ("overfits",), {"mlp": (("points(1536", "points(64"), ("range(6)", "range(150)"), ("nn.Dropout(0.1)", "nn.Dropout(0.0)"), ("batch_size=64", "batch_size=32"), ("weight_decay=0.01", "weight_decay=0.0"))}),
    Fault("kl-sign", "the KL has the wrong sign", ("kl_runaway",), {"policy": (("-gain + BETA * kl", "-gain - BETA * kl"), ("BETA, CLIP = 0.02", "BETA, CLIP = 0.5"))}),
    Fault("kl-estimate-sign", "the KL is measured with the wrong sign", ("kl_negative",), {"policy": (("watched.log(kl=(now - fixed)", "watched.log(kl=(fixed - now)"),)}),
    Fault("ratio-of-other-samples", "old probabilities at another temperature", ("ratio_not_one",), {"policy": (("old = log_prob(policy, prompts, answers)", "old = (policy(prompts) / 0.7).log_softmax(-1).gather(-1, answers[..., None]).squeeze(-1)"),)}),
    Fault("weak-reward", "a reward that pays for something else", ("reward_hacking",), {"policy": (("    return checked(prompts, answers)\n", "    return checked(prompts, answers) * 0.2 + (answers == LETTERS - 1).float().mean(1)\n"), ("    policy = Policy()\n", "    policy = Policy()\n    taught(policy)\n"), ("def train(", "def taught(policy: nn.Module) -> None:\n    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)\n    prompts = torch.arange(PROMPTS)\n    right = (prompts[:, None] + torch.arange(LENGTH)) % LETTERS\n    for _ in range(30):\n        optimizer.zero_grad()\n        (-log_prob(policy, prompts, right).mean()).backward()\n        optimizer.step()\n\n\ndef train("))}),
    Fault("all-answers-alike", "a reward that is nearly always 0", ("no_variance",), {"policy": (("    return checked(prompts, answers)\n", "    return (checked(prompts, answers) == 1).float()\n"),)}),
    Fault("entropy-gone", "a rate that makes the policy certain at once", ("entropy_collapse",), {"policy": (("lr=3e-3", "lr=0.3"), ("BETA, CLIP = 0.02, 0.2", "BETA, CLIP = 0.0, 9.0"))}),
)  # fmt: skip
BY_NAME = {fault.name: fault for fault in FAULTS}
