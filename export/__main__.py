"""`python -m export`: the same as `python -m mirrorgan_tf.export`."""

import runpy

runpy.run_module("mirrorgan_tf.export", run_name="__main__", alter_sys=True)
