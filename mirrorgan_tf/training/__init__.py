"""Training: one step a stage, one loop for all of them."""
