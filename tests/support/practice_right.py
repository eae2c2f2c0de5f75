"""Right solutions as other people write them, by exercise. Styles that can be made by machine are in `practice_styles`.

Those of most exercises are files of `tests/study/exercises/right`, with a line `# ---` between solutions.
"""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "study" / "exercises" / "right"

SOFTMAX = "\ndef _softmax(z):\n    e = np.exp(z - z.max(-1, keepdims=True))\n    return e / e.sum(-1, keepdims=True)\n"

KV_CACHE = """
import numpy as np

class KVCache:
    def __init__(self, w_q, w_k, w_v):
        self.w_q, self.w_k, self.w_v = w_q, w_k, w_v
        self.k = self.v = None

    def step(self, x):
        q, k, v = {project}
        self.k = k if self.k is None else np.concatenate((self.k, k))
        self.v = v if self.v is None else np.concatenate((self.v, v))
        T, S = len(q), len(self.k)
        z = np.einsum("tc,sc->ts", q, self.k) * q.shape[-1] ** -0.5
        z[np.arange(S) > np.arange(S - T, S)[:, None]] = -1e30
        p = np.exp(z - z.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ self.v
"""
PROJECTIONS = (
    "(np.einsum('td,dc->tc', x, w) for w in (self.w_q, self.w_k, self.w_v))",
    "(np.matmul(x, w) for w in (self.w_q, self.w_k, self.w_v))",
    "(np.dot(x, np.array(w)) for w in (self.w_q, self.w_k, self.w_v))",
    "((w.T @ x.T).T for w in (self.w_q, self.w_k, self.w_v))",
    "np.split(x @ np.hstack((self.w_q, self.w_k, self.w_v)), 3, axis=1)",
    "np.einsum('td,ndc->ntc', x, np.stack((self.w_q, self.w_k, self.w_v)))",
    "(np.tensordot(x, w, 1) for w in (self.w_q, self.w_k, self.w_v))",
    "(np.asarray([[sum(a * b for a, b in zip(row, col)) for col in w.T] for row in x]) for w in (self.w_q, self.w_k, self.w_v))",
    "(np.inner(x, w.T) for w in (self.w_q, self.w_k, self.w_v))",
    "((x[:, :, None] * w).sum(1) for w in (self.w_q, self.w_k, self.w_v))",
)

RIGHT: dict[str, tuple[str, ...]] = {
    "softmax": (
        "import math\ndef softmax(z):\n    out = []\n    for row in z.tolist():\n        m = max(row)\n        e = [math.exp(x - m) for x in row]\n        out.append([x / math.fsum(e) for x in e])\n    return out\n",
        "import numpy as np\nfrom scipy.special import logsumexp\ndef softmax(z):\n    return np.exp(z - logsumexp(z, axis=1, keepdims=True))\n",
        "import numpy as np\ndef softmax(logits):\n    return np.exp(logits - np.logaddexp.reduce(logits, -1)[:, None])\n",
        "import numpy as np\ndef softmax(z):\n    return np.apply_along_axis(lambda r: (e := np.exp(r - r.max())) / e.sum(), -1, z)\n",
        "import numpy as np\ndef softmax(z, axis=-1):\n    z = np.asarray(z, dtype=np.float32)\n    e = np.exp(z - z.max(axis=axis, keepdims=True))\n    return e / e.sum(axis=axis, keepdims=True)\n",
        "import torch\n@torch.no_grad()\ndef softmax(z):\n    e = (z - z.max(dim=-1, keepdim=True)[0]).exp()\n    return e.div_(e.sum(-1, keepdim=True))\n",
        "import numpy as np\ndef softmax(z):\n    return 1 / np.exp(np.minimum(z[:, None, :] - z[:, :, None], 700)).sum(-1)\n",
    ),
    "kv-cache": (
        *(KV_CACHE.format(project=project) for project in PROJECTIONS),
        """
from collections import deque
import math

class KVCache:
    def __init__(self, w_q, w_k, w_v):
        self.w = [w.T.tolist() for w in (w_q, w_k, w_v)]
        self.seen = deque()

    def step(self, x):
        out = []
        for row in x.tolist():
            q, k, v = ([sum(a * b for a, b in zip(row, col)) for col in w] for w in self.w)
            self.seen.append((k, v))
            z = [sum(a * b for a, b in zip(q, key)) / math.sqrt(len(q)) for key, _ in self.seen]
            e = [math.exp(s - max(z)) for s in z]
            out.append([sum(p * value[c] for p, (_, value) in zip(e, self.seen)) / sum(e) for c in range(len(q))])
        return out
""",
        """
import torch
import torch.nn.functional as F

class KVCache(torch.nn.Module):
    def __init__(self, w_q, w_k, w_v):
        super().__init__()
        self.qkv = torch.nn.Linear(w_q.shape[0], 3 * w_q.shape[1], bias=False)
        self.qkv.weight = torch.nn.Parameter(torch.cat((w_q, w_k, w_v), 1).T.contiguous(), requires_grad=False)
        self.register_buffer("kv", torch.zeros(2, 64, w_q.shape[1]))
        self.n = 0

    def step(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        T = len(x)
        self.kv[0, self.n : self.n + T], self.kv[1, self.n : self.n + T] = k, v
        self.n += T
        mask = torch.ones(T, self.n, dtype=torch.bool).tril(self.n - T)
        return F.scaled_dot_product_attention(q[None], self.kv[:1, : self.n], self.kv[1:, : self.n], attn_mask=mask)[0]
""",
    ),
    "layer-norm": (
        "import numpy as np\ndef layer_norm(x, weight, bias, eps):\n    c = x - x.mean(axis=-1)[..., None]\n    return weight * c * (np.einsum('btd,btd->bt', c, c)[..., None] / x.shape[-1] + eps) ** -0.5 + bias\n",
        "import numpy as np\ndef layer_norm(x, gain, bias, eps):\n    m, s = np.mean(x, -1, keepdims=True), np.mean(x * x, -1, keepdims=True)\n    return (x - m) / np.sqrt(s - m * m + eps) * gain + bias\n",
        "import math\ndef layer_norm(x, gain, bias, eps):\n    def one(row):\n        m = sum(row) / len(row)\n        v = sum((a - m) ** 2 for a in row) / len(row)\n        return [g * (a - m) / math.sqrt(v + eps) + b for a, g, b in zip(row, gain, bias)]\n    return [[one(row) for row in text] for text in x.tolist()]\n",
        "import torch\ndef layer_norm(x, gain, bias, eps):\n    v, m = torch.var_mean(x, -1, correction=0, keepdim=True)\n    return torch.addcmul(bias, gain, (x - m) / (v + eps).sqrt())\n",
    ),
    "layer-norm-backward": (
        "import numpy as np\ndef layer_norm_backward(x, gain, eps, dy):\n    D = x.shape[1]\n    c = x - x.mean(1)[:, None]\n    r = 1 / np.sqrt((c * c).sum(1, keepdims=True) / D + eps)\n    h, g = c * r, gain * dy\n    dx = r / D * (D * g - g.sum(1, keepdims=True) - h * (g * h).sum(1, keepdims=True))\n    return [dx, np.einsum('bd,bd->d', h, dy), dy.sum(axis=0)]\n",
        "import numpy as np\ndef layer_norm_backward(x, gain, eps, dy):\n    N, D = x.shape\n    mu = x.mean(1, keepdims=True); var = x.var(1, keepdims=True); std = np.sqrt(var + eps)\n    dxhat = dy * gain\n    dvar = (dxhat * (x - mu) * -0.5 * std**-3).sum(1, keepdims=True)\n    dmu = (-dxhat / std).sum(1, keepdims=True) + dvar * (-2 * (x - mu)).mean(1, keepdims=True)\n    return dxhat / std + dvar * 2 * (x - mu) / D + dmu / D, (dy * (x - mu) / std).sum(0), dy.sum(0)\n",
        "import numpy as np\ndef layer_norm_backward(x, gain, eps, dy):\n    rows = []\n    for row, d in zip(x, dy):\n        c = row - row.mean(); s = np.sqrt(row.var() + eps); h = c / s\n        J = (np.eye(len(row)) - 1 / len(row) - np.outer(h, h) / len(row)) / s\n        rows.append(J @ (gain * d))\n    h = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)\n    return {'dx': np.array(rows), 'dgain': (h * dy).sum(0), 'dbias': dy.sum(0)}\n",
    ),
    "cross-entropy": (
        "import math\ndef cross_entropy(z, target):\n    total = [math.log(sum(math.exp(v - max(r)) for v in r)) + max(r) - r[t] for r, t in zip(z.tolist(), target.tolist()) if t >= 0]\n    return sum(total) / len(total)\n",
        "import numpy as np\ndef cross_entropy(logits, labels):\n    keep = labels != -100\n    lse = np.logaddexp.reduce(logits, axis=1)\n    picked = np.take_along_axis(logits, np.where(keep, labels, 0)[:, None], 1)[:, 0]\n    return np.average(lse - picked, weights=keep)\n",
        "import numpy as np\ndef cross_entropy(z, target):\n    m = z.max(1); lse = m + np.log(np.exp(z - m[:, None]).sum(1))\n    hot = np.eye(z.shape[1])[np.maximum(target, 0)] * (target >= 0)[:, None]\n    return float(((lse * (target >= 0)).sum() - (z * hot).sum()) / hot.sum())\n",
        "import torch\ndef cross_entropy(z, target):\n    z = z.to(torch.float32)\n    keep = target != -100\n    return -z.log_softmax(-1)[keep].gather(1, target[keep, None]).mean()\n",
    ),
    "multi-head-attention": (
        f"import numpy as np\n{SOFTMAX}\ndef multi_head_attention(x, w_q, w_k, w_v, w_o, heads):\n    B, T, D = x.shape\n    q, k, v = (np.einsum('btd,dhc->bhtc', x, w.reshape(D, heads, -1)) for w in (w_q, w_k, w_v))\n    z = np.einsum('bhtc,bhsc->bhts', q, k) / q.shape[-1] ** 0.5\n    z = np.where(np.triu(np.ones((T, T)), 1) == 1, -1e30, z)\n    o = np.einsum('bhts,bhsc->bthc', _softmax(z), v)\n    return o.reshape(B, T, -1) @ w_o\n",
        f"import numpy as np\n{SOFTMAX}\ndef multi_head_attention(x, wq, wk, wv, wo, n_heads):\n    out = []\n    C = wq.shape[1] // n_heads\n    for h in range(n_heads):\n        s = slice(h * C, (h + 1) * C)\n        q, k, v = x @ wq[:, s], x @ wk[:, s], x @ wv[:, s]\n        z = q @ k.transpose(0, 2, 1) / np.sqrt(C) + np.triu(np.full((x.shape[1],) * 2, -np.inf), 1)\n        out.append(_softmax(z) @ v)\n    return np.concatenate(out, -1) @ wo\n",
        f"import numpy as np\n{SOFTMAX}\ndef multi_head_attention(x, w_q, w_k, w_v, w_o, heads):\n    C = w_q.shape[1] // heads\n    y = np.zeros(x.shape)\n    for h in range(heads):\n        s = slice(h * C, h * C + C)\n        for b, text in enumerate(x):\n            q, k, v = text @ w_q[:, s], text @ w_k[:, s], text @ w_v[:, s]\n            for t in range(len(text)):\n                y[b, t] += _softmax(k[: t + 1] @ q[t] / np.sqrt(C)) @ v[: t + 1] @ w_o[s]\n    return y\n",
        "import torch\ndef multi_head_attention(x, w_q, w_k, w_v, w_o, heads):\n    B, T, D = x.shape\n    q, k, v = (x @ torch.cat((w_q, w_k, w_v), 1)).view(B, T, 3, heads, -1).permute(2, 0, 3, 1, 4)\n    z = (q @ k.mT).div(q.size(-1) ** 0.5) + torch.full((T, T), float('-inf')).triu(1)\n    return (torch.softmax(z, dim=-1) @ v).transpose(1, 2).flatten(2) @ w_o\n",
    ),
    "rotary-positions": (
        "import numpy as np\ndef rotary_positions(x, positions, base):\n    C = x.shape[-1]\n    z = x[..., : C // 2] + 1j * x[..., C // 2 :]\n    z = z * np.exp(1j * positions[:, None] * base ** (-np.arange(0, C, 2) / C))\n    return np.concatenate((z.real, z.imag), -1)\n",
        "import numpy as np\ndef rotary_positions(x, positions, base):\n    C = x.shape[-1]\n    theta = np.outer(positions, 1 / base ** (2 * np.arange(C // 2) / C))\n    cos, sin = np.tile(np.cos(theta), 2), np.tile(np.sin(theta), 2)\n    half = np.concatenate((-x[..., C // 2 :], x[..., : C // 2]), -1)\n    return x * cos + half * sin\n",
        "import torch\ndef rotary_positions(x, positions, base):\n    C = x.shape[-1]\n    inv = 1.0 / base ** (torch.arange(0, C, 2).float() / C)\n    angle = torch.outer(positions.to(inv.dtype), inv)\n    cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()\n    a, b = x.chunk(2, -1)\n    return x * cos + torch.cat((-b, a), -1) * sin\n",
        "import math\ndef rotary_positions(x, positions, base):\n    out = x.tolist()\n    for text in out:\n        for row, p in zip(text, positions.tolist()):\n            n = len(row) // 2\n            for i in range(n):\n                t = p * base ** (-i / n)\n                a, b = row[i], row[i + n]\n                row[i], row[i + n] = a * math.cos(t) - b * math.sin(t), b * math.cos(t) + a * math.sin(t)\n    return out\n",
    ),
    "top-p": (
        "import numpy as np\ndef top_p(z, p):\n    out = []\n    for row in z:\n        prob = np.exp(row - row.max()); prob /= prob.sum()\n        kept, total = np.zeros_like(prob), 0.0\n        for i in np.argsort(-prob, kind='stable'):\n            kept[i] = prob[i]\n            total += prob[i]\n            if total >= p:\n                break\n        out.append(kept / kept.sum())\n    return np.array(out)\n",
        "import numpy as np\ndef top_p(z, p):\n    prob = np.exp(z - np.logaddexp.reduce(z, -1)[:, None])\n    order = np.argsort(-prob, axis=-1, kind='stable')\n    total = np.cumsum(np.take_along_axis(prob, order, -1), -1)\n    n = np.minimum((total < p).sum(-1) + 1, z.shape[-1])\n    rank = np.argsort(order, -1)\n    kept = np.where(rank < n[:, None], prob, 0)\n    return kept / kept.sum(-1, keepdims=True)\n",
        "import torch\ndef top_p(z, p):\n    s, i = torch.sort(z, descending=True)\n    c = s.softmax(-1).cumsum(-1)\n    drop = c >= p\n    drop[:, 1:] = drop[:, :-1].clone()\n    drop[:, 0] = False\n    mask = torch.zeros_like(drop).scatter(1, i, drop)\n    return z.masked_fill(mask, float('-inf')).softmax(-1)\n",
    ),
    "grouped-query-attention": (
        f"import numpy as np\n{SOFTMAX}\ndef grouped_query_attention(q, k, v):\n    B, H, T, C = q.shape\n    G = k.shape[1]\n    z = np.einsum('bgrtc,bgsc->bgrts', q.reshape(B, G, -1, T, C), k) / np.sqrt(C)\n    z = np.where(np.tri(T), z, -np.inf)\n    return np.einsum('bgrts,bgsc->bgrtc', _softmax(z), v).reshape(q.shape)\n",
        f"import numpy as np\n{SOFTMAX}\ndef grouped_query_attention(q, k, v):\n    H, G, T = q.shape[1], k.shape[1], q.shape[2]\n    heads = [h * G // H for h in range(H)]\n    z = q @ k[:, heads].transpose(0, 1, 3, 2) * q.shape[-1] ** -0.5 + np.where(np.tri(T) == 1, 0, -np.inf)\n    return _softmax(z) @ v[:, heads]\n",
        "import torch\ndef grouped_query_attention(q, k, v):\n    n = q.shape[1] // k.shape[1]\n    k, v = k.repeat_interleave(n, 1), v.repeat_interleave(n, 1)\n    z = torch.einsum('bhtc,bhsc->bhts', q, k) / q.shape[-1] ** 0.5\n    keep = torch.tril(torch.ones_like(z)).bool()\n    return torch.softmax(torch.where(keep, z, torch.tensor(float('-inf'), dtype=z.dtype)), -1) @ v\n",
    ),
    "rms-norm": (
        "import numpy as np\ndef rms_norm(x, g, eps=1e-6):\n    return x / np.sqrt(np.einsum('btd,btd->bt', x, x) / x.shape[-1] + eps)[..., None] * g\n",
        "import math\ndef rms_norm(x, weight, eps):\n    return [[[w * a / math.sqrt(sum(b * b for b in r) / len(r) + eps) for a, w in zip(r, weight)] for r in t] for t in x.tolist()]\n",
        "import numpy as np\ndef rms_norm(x, weight, eps):\n    return weight * x * (np.linalg.norm(x, axis=-1, keepdims=True) ** 2 / x.shape[-1] + eps) ** -0.5\n",
        "import torch\ndef rms_norm(x, weight, eps):\n    x32 = x.float()\n    return weight * (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)).type_as(x)\n",
    ),
    "top-k": (
        "import numpy as np\ndef top_k(z, k):\n    out = np.zeros(z.shape)\n    for row, o in zip(z, out):\n        best = np.argsort(row)[::-1][:k]\n        e = np.exp(row[best] - row[best].max())\n        o[best] = e / e.sum()\n    return out\n",
        "import numpy as np\ndef top_k(z, k):\n    rank = (z[:, None, :] > z[:, :, None]).sum(-1)\n    e = np.where(rank < k, np.exp(z - z.max(-1, keepdims=True)), 0)\n    return e / e.sum(-1, keepdims=True)\n",
        "import heapq, math\ndef top_k(z, k):\n    out = []\n    for row in z.tolist():\n        best = set(heapq.nlargest(k, range(len(row)), key=row.__getitem__))\n        m = max(row)\n        e = [math.exp(v - m) if i in best else 0.0 for i, v in enumerate(row)]\n        out.append([v / sum(e) for v in e])\n    return out\n",
        "import torch\ndef top_k(z, k):\n    k = min(k, z.size(-1))\n    cut = z.topk(k).values[:, -1:]\n    return torch.where(z < cut, float('-inf'), z).softmax(dim=-1)\n",
    ),
    "decode-bpe": (
        "def decode_bpe(ids, merges):\n    table = {i: bytes([i]) for i in range(256)}\n    for n, (a, b) in enumerate(merges, 256):\n        table[n] = table[a] + table[b]\n    return bytes().join(map(table.get, ids)).decode('utf8', 'replace')\n",
        "def decode_bpe(ids, merges):\n    left = list(reversed(ids))\n    out = bytearray()\n    while left:\n        i = left.pop()\n        if i < 256:\n            out.append(i)\n        else:\n            a, b = merges[i - 256]\n            left += [b, a]\n    return str(bytes(out), 'utf-8', errors='replace')\n",
        "from functools import lru_cache\ndef decode_bpe(ids, merges):\n    @lru_cache(None)\n    def text(i):\n        return bytes((i,)) if i < 256 else text(merges[i - 256][0]) + text(merges[i - 256][1])\n    return b''.join([text(i) for i in ids]).decode(errors='replace')\n",
        "import codecs\ndef decode_bpe(tokens, pairs):\n    vocab = [bytes([i]) for i in range(256)]\n    [vocab.append(vocab[a] + vocab[b]) for a, b in pairs]\n    reader = codecs.getincrementaldecoder('utf-8')('replace')\n    return ''.join(reader.decode(vocab[i]) for i in tokens) + reader.decode(b'', True)\n",
    ),
    "roc-auc": (
        "def roc_auc(score, label):\n    pos = [s for s, y in zip(score, label) if y]\n    neg = [s for s, y in zip(score, label) if not y]\n    return sum((p > n) + (p == n) / 2 for p in pos for n in neg) / (len(pos) * len(neg))\n",
        "import numpy as np\ndef roc_auc(score, label):\n    t = np.unique(score)[::-1]\n    tpr = np.array([0, *[(score[label == 1] >= c).mean() for c in t]])\n    fpr = np.array([0, *[(score[label == 0] >= c).mean() for c in t]])\n    return ((tpr[1:] + tpr[:-1]) / 2 * np.diff(fpr)).sum()\n",
        "import numpy as np\ndef roc_auc(score, label):\n    rank = np.array([(score < s).sum() + ((score == s).sum() + 1) / 2 for s in score])\n    p = label.sum(); n = len(label) - p\n    return (rank[label == 1].sum() - p * (p + 1) / 2) / (p * n)\n",
        "import torch\ndef roc_auc(score, label):\n    d = score[label == 1].unsqueeze(1) - score[label == 0]\n    return (torch.sign(d) + 1).mean() / 2\n",
    ),
    "pass-at-k": (
        "from math import comb\ndef pass_at_k(n, c, k):\n    return sum(1 - comb(n - int(i), k) / comb(n, k) for i in c) / len(c)\n",
        "from fractions import Fraction\nimport math\ndef pass_at_k(n, c, k):\n    return float(sum(1 - Fraction(math.comb(n - x, k), math.comb(n, k)) for x in c.tolist()) / len(c))\n",
        "import numpy as np\nfrom scipy.special import gammaln\ndef pass_at_k(n, c, k):\n    log = lambda a, b: gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)\n    fail = [np.exp(log(n - x, k) - log(n, k)) if n - x >= k else 0.0 for x in c]\n    return 1 - np.mean(fail)\n",
        "import numpy as np\ndef pass_at_k(n, c, k):\n    i = np.arange(k)\n    return np.mean([1 - np.prod(np.maximum(n - x - i, 0) / (n - i)) for x in c])\n",
    ),
    "label-smoothing": (
        "import numpy as np\ndef label_smoothing(z, target, smoothing):\n    K = z.shape[1]\n    q = np.full(z.shape, smoothing / K)\n    q[np.arange(len(z)), target] += 1 - smoothing\n    log_p = z - np.logaddexp.reduce(z, 1, keepdims=True)\n    return -np.einsum('nk,nk->', q, log_p) / len(z)\n",
        "import math\ndef label_smoothing(z, y, s):\n    total = 0.0\n    for row, t in zip(z.tolist(), y.tolist()):\n        lse = max(row) + math.log(sum(math.exp(v - max(row)) for v in row))\n        total += lse - (1 - s) * row[t] - s * sum(row) / len(row)\n    return total / len(z)\n",
        "import torch\ndef label_smoothing(z, target, smoothing):\n    lp = torch.log_softmax(z, dim=1)\n    nll = torch.nn.functional.nll_loss(lp, target)\n    return (1 - smoothing) * nll - smoothing * lp.mean()\n",
        "import numpy as np\nfrom scipy.special import log_softmax\ndef label_smoothing(z, target, smoothing):\n    lp = log_softmax(z, axis=-1)\n    return float(np.mean(-(1 - smoothing) * lp[range(len(z)), target] - smoothing * lp.mean(1)))\n",
    ),
    "sliding-window-mask": (
        "def sliding_window_mask(T, S, window):\n    return [[0 <= S - T + t - s < window for s in range(S)] for t in range(T)]\n",
        "import numpy as np\ndef sliding_window_mask(T, S, window):\n    return np.tril(np.ones((T, S), bool), S - T) & ~np.tril(np.ones((T, S), bool), S - T - window)\n",
        "import numpy as np\ndef sliding_window_mask(n_q, n_k, w):\n    m = np.zeros((n_q, n_k), dtype=bool)\n    for t in range(n_q):\n        p = n_k - n_q + t\n        m[t, max(0, p - w + 1) : p + 1] = True\n    return m\n",
        "import torch\ndef sliding_window_mask(T, S, window):\n    q, k = torch.arange(S - T, S)[:, None], torch.arange(S)[None]\n    return (k <= q) & (k > q - window)\n",
    ),
    "swiglu-mlp": (
        "import numpy as np\nfrom scipy.special import expit\ndef swiglu_mlp(x, w1, w3, w2):\n    g = x @ w1\n    return (g * expit(g) * (x @ w3)) @ w2\n",
        "import numpy as np\ndef swiglu_mlp(x, w_gate, w_up, w_down):\n    a = np.einsum('td,df->tf', x, w_gate)\n    return np.einsum('tf,fd->td', a * (1 + np.tanh(a / 2)) / 2 * np.einsum('td,df->tf', x, w_up), w_down)\n",
        "import numpy as np\ndef swiglu_mlp(x, w_gate, w_up, w_down):\n    both = x @ np.concatenate((w_gate, w_up), axis=1)\n    g, u = np.split(both, 2, axis=-1)\n    return (g * u * np.exp(-np.logaddexp(0, -g))) @ w_down\n",
        "import torch\nfrom torch import nn\nclass MLP(nn.Module):\n    def __init__(self, g, u, d):\n        super().__init__()\n        self.g, self.u, self.d = g, u, d\n        self.act = nn.SiLU()\n    def forward(self, x):\n        return self.act(x @ self.g) * (x @ self.u) @ self.d\ndef swiglu_mlp(x, w_gate, w_up, w_down):\n    return MLP(w_gate, w_up, w_down)(x)\n",
    ),
    "bradley-terry": (
        "import math\ndef bradley_terry(chosen, rejected):\n    total = [max(r - c, 0) + math.log1p(math.exp(-abs(r - c))) for c, r in zip(chosen, rejected)]\n    return sum(total) / len(total)\n",
        "import numpy as np\ndef bradley_terry(w, l):\n    return np.logaddexp(0, l - w).mean()\n",
        "import torch\ndef bradley_terry(chosen, rejected):\n    return torch.nn.functional.softplus(rejected - chosen, threshold=40).mean()\n",
        "import torch\nimport torch.nn.functional as F\ndef bradley_terry(chosen, rejected):\n    z = torch.stack((chosen, rejected), 1)\n    return F.cross_entropy(z, torch.zeros(len(z), dtype=torch.long))\n",
    ),
}

for _path in sorted(FOLDER.glob("*.txt")):
    RIGHT[_path.stem] = (*RIGHT.get(_path.stem, ()), *_path.read_text(encoding="utf-8").split("# ---\n"))
