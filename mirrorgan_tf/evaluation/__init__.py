"""Evaluation of a trained model by metrics that its training does not use."""
