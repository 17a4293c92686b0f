"""Trains stages stem, stream and glam of a birdlets run with JAX, on a GPU.

The training of the package runs on TensorFlow; a machine that has JAX alone (with
Keras) can do the same steps. Three commands:

    python -m tools.jax_training pack --flagfile=flags/birdlets_64.cfg \
        --workdir=runs/birdlets_64 --out=pack.npz
    KERAS_BACKEND=jax python -m tools.jax_training train --pack=pack.npz --out=trained
    python -m tools.jax_training unpack --flagfile=flags/birdlets_64.cfg \
        --weights=trained --workdir=runs/birdlets_64

`pack` (TensorFlow) needs a workdir in which stage backbone is finished. It writes its
weights and all captions as word ids. `train` (JAX) draws the images, trains and writes
the weights. `unpack` (TensorFlow) writes them as checkpoints of the workdir, which
`generate`, `evaluate` and `export` can use.

The step of stage glam is in `benchmarks.jax_glam`; a test compares it with the step of
the package.
"""
