"""Other people's code in a process that the kernel has walled in, and values across its pipes without trust."""
