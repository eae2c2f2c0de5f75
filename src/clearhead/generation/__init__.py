"""Generation: sampling, the trie of token slots that is the cache, and the engine that serves a language model."""
