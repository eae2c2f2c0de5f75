"""Wrong solutions of which the exercises do not know, by exercise: they must fail without being recognized."""

WRONG: dict[str, tuple[str, ...]] = {
    "softmax": (
        "import numpy as np\ndef softmax(z):\n    e = np.exp(np.clip(z, -500, 500))\n    return e / e.sum(-1, keepdims=True)\n",
        "import numpy as np\ndef softmax(z):\n    e = np.exp(z - z.max(-1, keepdims=True))\n    return e / (e.sum(-1, keepdims=True) + 1e-8)\n",
        "import numpy as np\ndef softmax(z):\n    e = np.exp(z - z.max())\n    return e / e.sum(-1, keepdims=True)\n",
        "import numpy as np\ndef softmax(z):\n    return np.round(np.exp(z - np.logaddexp.reduce(z, -1, keepdims=True)), 6)\n",
        "import numpy as np\ndef softmax(z):\n    z = z / np.abs(z).max()\n    e = np.exp(z)\n    return e / e.sum(-1, keepdims=True)\n",
        "import torch\ndef softmax(z):\n    e = torch.exp(z - z.mean(-1, keepdim=True))\n    return e / e.sum(-1, keepdim=True)\n",
    ),
    "kv-cache": (
        "import numpy as np\nclass KVCache:\n    def __init__(self, a, b, c):\n        self.w, self.xs = (np.array(a), np.array(b), np.array(c)), []\n    def step(self, x):\n        self.xs.append(x)\n        y = np.concatenate(self.xs)\n        q, k, v = x @ self.w[0], y @ self.w[1], y @ self.w[2]\n        z = q @ k.T / np.sqrt(q.shape[1])\n        z = np.where(np.tri(*z.shape, z.shape[1] - z.shape[0], dtype=bool), z, -np.inf)\n        p = np.exp(z - z.max(-1, keepdims=True))\n        return p / p.sum(-1, keepdims=True) @ v\n",
        "import torch\nHISTORY = []\nclass KVCache:\n    def __init__(self, a, b, c):\n        self.w = torch.cat((a, b, c), 1)\n        HISTORY.clear()\n    def step(self, x):\n        HISTORY.extend(x.tolist())\n        q, k, v = (torch.tensor(HISTORY, dtype=torch.float64) @ self.w).chunk(3, 1)\n        T = len(x)\n        z = q[-T:] @ k.T / q.shape[1] ** 0.5\n        z = z.masked_fill(torch.ones(*z.shape, dtype=torch.bool).triu(len(k) - T + 1), float('-inf'))\n        return z.softmax(-1) @ v\n",
    ),
    "layer-norm": (
        "import numpy as np\ndef layer_norm(x, gain, bias, eps):\n    return gain * (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) + bias\n",
        "import numpy as np\ndef layer_norm(x, gain, bias, eps):\n    return gain * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) + bias\n",
        "import torch\ndef layer_norm(x, gain, bias, eps):\n    return gain * (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() + bias\n",
        "import numpy as np\ndef layer_norm(x, gain, bias, eps):\n    return gain * (x - x.mean()) / np.sqrt(x.var() + eps) + bias\n",
    ),
    "layer-norm-backward": (
        "import numpy as np\ndef layer_norm_backward(x, gain, eps, dy):\n    m = x.mean(-1, keepdims=True); s = np.sqrt(x.var(-1, keepdims=True)) + eps\n    h = (x - m) / s\n    g = dy * gain\n    return (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)) / s, (dy * h).sum(0), dy.sum(0)\n",
        "import numpy as np\ndef layer_norm_backward(x, gain, eps, dy):\n    s = np.sqrt(x.var(-1, keepdims=True) + eps); h = (x - x.mean(-1, keepdims=True)) / s\n    return (dy - dy.mean(-1, keepdims=True) - h * (dy * h).mean(-1, keepdims=True)) / s * gain, (dy * h).sum(0), dy.sum(0)\n",
    ),
    "cross-entropy": (
        "import math\ndef cross_entropy(z, target):\n    a = [math.log(sum(math.exp(v - max(r)) for v in r)) + max(r) - r[t] for r, t in zip(z.tolist(), target.tolist()) if t != -100]\n    return sum(a) / len(z)\n",
        "import torch\ndef cross_entropy(z, target):\n    keep = target != -100\n    return -z.softmax(-1)[keep].gather(1, target[keep, None]).log().clamp(min=-100).mean()\n",
        "import numpy as np\ndef cross_entropy(z, target):\n    keep = target > 0\n    return (np.logaddexp.reduce(z, 1)[keep] - z[keep, target[keep]]).sum() / max(keep.sum(), 1)\n",
    ),
    "multi-head-attention": (
        "import torch\ndef multi_head_attention(x, w_q, w_k, w_v, w_o, heads):\n    B, T, D = x.shape\n    q, k, v = ((x @ w).view(B, T, heads, -1).transpose(1, 2) for w in (w_q, w_k, w_v))\n    z = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).tril()\n    return (z @ v).transpose(1, 2).reshape(B, T, -1) @ w_o\n",
    ),
    "rms-norm": (
        "import numpy as np\ndef rms_norm(x, weight, eps):\n    return weight * x / np.maximum(np.sqrt((x**2).mean(-1, keepdims=True)), eps)\n",
        "import numpy as np\ndef rms_norm(x, weight, eps):\n    return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)\n",
    ),
    "top-p": (
        "import torch\ndef top_p(z, p):\n    s, i = z.softmax(-1).sort(-1, descending=True)\n    keep = s.cumsum(-1) - s <= p\n    out = torch.zeros_like(z).scatter(-1, i, s * keep)\n    return out / out.sum(-1, keepdim=True)\n",
        "import numpy as np\ndef top_p(z, p):\n    e = np.exp(z - z.max(-1, keepdims=True)); q = e / e.sum(-1, keepdims=True)\n    o = np.argsort(-q, -1); r = np.take_along_axis(q, o, -1)\n    keep = r.cumsum(-1) <= p; keep[:, 0] = True\n    out = np.zeros_like(q); np.put_along_axis(out, o, r * keep, -1)\n    return out / out.sum(-1, keepdims=True)\n",
    ),
    "rotary-positions": (
        "import torch\ndef rotary_positions(x, positions, base):\n    C = x.shape[-1]\n    a = positions[:, None] * base ** (-torch.arange(0, C, 2) / C)\n    x1, x2 = x[..., ::2], x[..., 1::2]\n    return torch.stack((x1 * a.cos() - x2 * a.sin(), x1 * a.sin() + x2 * a.cos()), -1).flatten(-2)\n",
    ),
}
