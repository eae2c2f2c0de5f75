"""The tools that come with Clearhead, and `make_tools`, which makes those that a person names."""
