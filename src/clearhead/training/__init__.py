"""Training: optimizers, schedule, one compiled step, the loop around it, and the record it leaves."""
