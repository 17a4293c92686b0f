"""`python -m export.client`: the same as `python -m mirrorgan_tf.client`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("mirrorgan_tf.client", run_name="__main__", alter_sys=True)
