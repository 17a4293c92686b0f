"""Loads a SavedModel in a process that has only TensorFlow and the ops of TF Text.

consumer.py VERSION_FOLDER EXPECTED.npz: this package, Keras and Keras Hub can't be
imported, and XLA is disabled, as in TensorFlow Serving. The model is loaded twice: as
an object, and like TensorFlow Serving as a graph in a session. The file has the inputs,
"input NAME", and the images of signatures, "images SIGNATURE".
"""

import sys

BLOCKED = {"mirrorgan_tf", "keras_nlp", "keras_hub", "export", "keras"}


class BlockingFinder:
    """Wraps a finder of modules and hides the blocked packages."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            return None
        return self.finder.find_spec(name, path, target)


sys.meta_path[:] = [BlockingFinder(finder) for finder in sys.meta_path]

import ctypes  # noqa: E402
import importlib.util  # noqa: E402
import pathlib  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

package = importlib.util.find_spec("tensorflow_text").submodule_search_locations[0]
for library in sorted((pathlib.Path(package) / "python" / "ops").glob("_*.so")):
    tf.load_op_library(str(library))

# TensorFlow Serving does this unless it has the flag --xla_cpu_compilation_enabled.
library = pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2"
ctypes.CDLL(str(library))["_ZN10tensorflow21DisableXlaCompilationEv"]()

with np.load(sys.argv[2], allow_pickle=True) as archive:
    values = {
        name.removeprefix("input "): archive[name]
        for name in archive.files
        if name.startswith("input ")
    }
    images = {
        name.removeprefix("images "): archive[name]
        for name in archive.files
        if name.startswith("images ")
    }

model = tf.saved_model.load(sys.argv[1])
inputs = {name: tf.constant(values[name]) for name in ("caption", "seed")}
seeded = model.signatures["seeded"](**inputs)["image"]
np.testing.assert_array_equal(seeded, images["seeded"])

# Unseeded signatures use new noise at each call and for each row.
serve = model.signatures["serving_default"]
first, repeated = (serve(caption=inputs["caption"])["image"].numpy() for _ in range(2))
assert (first != repeated).any((1, 2, 3)).all()

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    for name, signature in model.signatures.items():
        definition = meta_graph.signature_def[name]
        fetches = {key: info.name for key, info in definition.outputs.items()}
        for rows in (4, 0):
            feeds = {
                info.name: values[key][:rows] for key, info in definition.inputs.items()
            }
            outputs = session.run(fetches, feeds)
            for key, spec in signature.structured_outputs.items():
                assert outputs[key].shape == (rows, *spec.shape[1:]), (name, key)
            if rows and name in images:
                np.testing.assert_array_equal(outputs["image"], images[name])

assert not {name.split(".")[0] for name in sys.modules} & BLOCKED
