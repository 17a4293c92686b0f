"""A web page that shows what a model generates: `python -m mirrorgan_tf.demo`."""
