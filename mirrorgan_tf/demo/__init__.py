"""A web page for a served model: `python -m mirrorgan_tf.demo`."""
