"""How good the images are: measures that the training does not use."""
