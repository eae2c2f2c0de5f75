"""An OpenAI-compatible server over the engine, and the page that works with it."""
