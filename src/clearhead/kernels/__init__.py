"""The few operations worth more than their plain form; each fast one stands beside the definition that proves it."""
