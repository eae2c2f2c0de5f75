"""What people type finds what they mean: the headings of a review of the subject, and the field's own terms."""

import pytest

from clearhead.study import book
from clearhead.study.examples import GUIDE
from clearhead.study.search import Entry, Index, concepts, is_clear, stem, stems

# What is typed -> the places that are the right answer, or "3." for a whole chapter.
HEADINGS = {
    "Vector Knowledge": "1.",
    "Matrices": "2.",
    "Calculus and Optimization": "3.",
    "Probability and Statistics": "4.",
    "ML Fundamentals": "5.",
    "Linear Regression": "6.",
    "Logistic Regression": "7.",
    "Neural Networks": "8.",
    "Graph Neural Networks": "9.",
    "Optimization Algorithms": "10.",
    "Regularization": "11.",
    "Tokenization": "13.",
    "Word Embeddings": "14.",
    "Language Modeling": "15.",
    "RNNs and LSTMs": "16.",
    "Sequence-to-Sequence Models": "17.",
    "Attention (Pre-Transformer)": "18.",
    "Basic Transformer Questions (High Level)": "19.",
    "KV Cache": "20.",
    "Flash Attention": "21.",
    "Historical Questions": "23.",
    "Practice Problems": "24.",
    "Forward/Backward Pass": "24.",
    "Attention Mechanics": "24.6 24.7",
    "Architecture Analysis": "25.",
    "Debugging Scenarios": "26.",
    "Long-Horizon Planning & Reasoning": "27.",
    "Alignment / RLHF": "28.",
    "Coding Exercises": "29.",
    "MSE from Gaussian MLE": "6.6",
    "Logistic Regression Gradient": "7.6",
    "Kernel Methods": "12.",
}
TERMS = {
    "RoPE": "23.6",
    "rotary embeddings": "23.6",
    "GNN": "9.",
    "KV heads": "20.3",
    "GQA": "20.3",
    "MQA": "20.3",
    "tokenizer": "13.",
    "tokeniser": "13.",
    "BPE": "13.2",
    "byte pair encoding": "13.2",
    "optimizers": "10.",
    "optimiser": "10.",
    "weight initialization": "8.6",
    "weight initialisation": "8.6",
    "Xavier": "8.6",
    "vanishing gradients": "8.5",
    "exploding gradient": "8.5",
    "skip connections": "8.7",
    "backprop": "8.3 29.2",
    "word2vec": "14.2",
    "skip-gram": "14.2",
    "GloVe": "14.3",
    "polysemy": "14.4",
    "perplexity": "15.2",
    "teacher forcing": "15.3",
    "LSTM gates": "16.4",
    "BPTT": "16.3",
    "beam search": "17.2 29.5",
    "nucleus sampling": "17.3",
    "top-p": "17.3",
    "length bias": "17.4",
    "Bahdanau attention": "18.3",
    "additive attention": "18.3",
    "Luong": "18.4",
    "positional encoding": "18.6 29.4",
    "sqrt d": "19.4 19.6",
    "cosine similarity": "1.2",
    "multi-head attention": "19.8 29.1",
    "residual stream": "19.9",
    "online softmax": "21.2",
    "tiling": "21.2",
    "label smoothing": "22.5",
    "loss function": "22.",
    "loss funciton": "22.",
    "DPO": "22.9",
    "Bradley-Terry": "22.9",
    "pre-norm": "23.4",
    "RMSNorm": "23.5",
    "SwiGLU": "23.7",
    "linear attention": "23.9 32.6",
    "decoder-only": "23.3",
    "overfitting": "26.4",
    "NaN loss": "26.2",
    "ReAct": "27.1",
    "chain of thought": "27.2",
    "tool calling": "27.3",
    "function calling": "27.3",
    "world model": "27.6",
    "MCTS": "28.1 29.6",
    "LoRA": "2.4",
    "condition number": "2.5",
    "Hessian": "2.8",
    "Bayes theorem": "4.3",
    "cross-entropy": "4.8",
    "MAP": "4.12",
    "bias-variance tradeoff": "6.4",
    "double descent": "6.5",
    "ridge": "6.2",
    "sigmoid": "7.1",
    "AdamW": "10.3",
    "learning rate warm-up": "10.5",
    "gradient clipping": "10.4",
    "dropout": "11.3",
    "batch norm": "11.4",
    "layer norm": "11.5",
    "kernel trick": "12.3",
    "SVM": "12.1",
    "triangle inequality": "1.9",
    "matrix norms": "1.10",
    "universal approximation": "8.8",
    "over-smoothing": "9.",
    "policy gradient": "30.1",
    "REINFORCE": "30.1",
    "PPO": "30.2",
    "GAE": "30.3",
    "GRPO": "30.4",
    "DAPO": "30.4",
    "KL estimators": "30.5",
    "best-of-N": "30.6",
    "reward hacking": "30.7",
    "RLVR": "30.8",
    "speculative decoding": "31.1",
    "prefill": "31.2",
    "arithmetic intensity": "31.2",
    "continuous batching": "31.3",
    "paged attention": "31.3",
    "prefix caching": "31.3",
    "MLA": "31.4",
    "quantization": "31.5",
    "quantisation": "31.5",
    "GPTQ": "31.5",
    "derive RoPE": "32.1",
    "YaRN": "32.2",
    "RoPE scaling": "32.2",
    "mixture of experts": "32.3",
    "MoE": "32.3",
    "cross-attention": "32.4",
    "encoder-decoder": "32.4 23.3",
    "attention sinks": "32.5",
    "sliding window": "32.5",
    "Mamba": "32.6",
    "DeltaNet": "32.6",
    "diffusion language models": "32.7",
    "weight tying": "32.8",
    "QK-norm": "32.8",
    "Chinchilla": "33.1",
    "scaling laws": "33.1",
    "muP": "33.2",
    "Muon": "33.3",
    "mixed precision": "33.4",
    "bfloat16": "33.4",
    "tensor parallel": "33.5",
    "FSDP": "33.5",
    "gradient checkpointing": "33.6",
    "WSD": "33.7",
    "test-time compute": "34.1",
    "PUCT": "34.2",
    "MCP": "34.3",
    "chat template": "34.3",
    "RAG": "34.4",
    "InfoNCE": "34.4",
    "pass@k": "34.5",
    "LLM as a judge": "34.5",
}


@pytest.fixture(scope="module")
def chapters() -> list[book.Chapter]:
    return book.read(GUIDE)


def is_right(place: str, right: str) -> bool:
    return any(place == one or (one.endswith(".") and place.startswith(one)) for one in right.split())


@pytest.mark.parametrize("asked", [HEADINGS, TERMS], ids=["headings", "terms"])
def test_the_right_answer_comes_first(chapters: list[book.Chapter], asked: dict[str, str]) -> None:
    found = {topic: [one.place for one in book.find(chapters, topic)] for topic in asked}
    wrong = {topic: places[:3] for topic, places in found.items() if not is_right(places[0], asked[topic])}
    unlisted = [topic for topic, places in found.items() if not any(is_right(one, asked[topic]) for one in places)]
    assert unlisted == []
    assert len(wrong) <= 0.05 * len(asked), wrong


def test_words_are_whole_and_of_one_spelling() -> None:
    for american, british in (("tokenizers", "tokenisation"), ("modeling", "modelling"), ("behavior", "behaviours"),
                              ("centers", "centre"), ("learned", "learnt"), ("analyze", "analyse")):  # fmt: skip
        assert stem(american) == stem(british)
    assert stem("LSTMs".lower()) == stem("lstm")
    assert stem("rope") not in {stem(word) for word in ("properties", "europe")}
    assert stems(r"Why is $L_\infty$ a *norm*?") == ["l", "infin", "norm"]


def test_a_term_has_many_names() -> None:
    assert concepts(stems("RoPE")) == concepts(stems("rotary position embeddings"))
    assert concepts(stems("the KV cache's size"))[0] == concepts(stems("key-value caches"))[0]


def test_the_question_counts_more_than_the_answer_and_all_words_more_than_one() -> None:
    index = Index([Entry("What do cats eat?", (), "fish"), Entry("Whales?", (), "They eat fish, not cats."),
                   Entry("Fish?", (), "x")])  # fmt: skip
    assert [i for i, _ in index.search("cats fish")] == [0, 1]
    assert index.search("bicycle") == [] and index.search("") == []
    assert index.search("cats whles")[0][0] == 1  # a slip of the finger beside a word that is known
    assert index.nearest("whles") == ["whales"]


def test_what_is_clear() -> None:
    assert is_clear([3.0]) and is_clear([3.0, 1.0])
    assert not is_clear([3.0, 2.9]) and not is_clear([])
