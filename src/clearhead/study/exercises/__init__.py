"""The exercises, one file each: statement, inputs, oracle, hints, solutions, and wrong solutions to be rejected."""
