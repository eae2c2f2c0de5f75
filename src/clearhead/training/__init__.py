"""Training: optimizers, schedule, one compiled step, the loop around it, and the log it leaves."""
