"""Loads a SavedModel where neither this package nor Keras Hub can be imported.

consumer.py VERSION_FOLDER package|ops: TF Text comes by its Python package, which
imports Keras itself, or by its op libraries alone, with Keras not to be found.
"""

import sys

BLOCKED = {"mirrorgan_tf", "keras_nlp", "keras_hub", "export"}
if sys.argv[2] == "ops":
    BLOCKED.add("keras")


class Without:
    """A finder that doesn't find the blocked packages, as if not installed."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            return None
        return self.finder.find_spec(name, path, target)


sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

import importlib.util  # noqa: E402
import pathlib  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

if sys.argv[2] == "ops":
    package = importlib.util.find_spec("tensorflow_text").submodule_search_locations[0]
    for library in sorted((pathlib.Path(package) / "python" / "ops").glob("_*.so")):
        tf.load_op_library(str(library))
else:
    import tensorflow_text  # noqa: F401

model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_default"]
before = [variable.numpy() for variable in serve.variables]


def images(*captions):
    made = serve(caption=tf.constant(list(captions), tf.string))["image"].numpy()
    assert made.dtype == np.uint8
    assert made.shape == (len(captions), 32, 32, 3), made.shape
    return made


assert images().size == 0
one = images("a red bird with black wings")
assert one.std() > 0
assert (images("a red bird with black wings") != one).any()
three = images("a red bird", "a red bird", "a red bird")
assert (three[0] != three[1]).any() and (three[1] != three[2]).any()
odd = ["", " ", "?!", "zebra qwerty", b"\xff\xfe", b"\x00", "日本", "red " * 10_000]
for caption, image in zip(odd, images(*odd), strict=True):
    # NaN would become one constant colour.
    assert image.std() > 0, caption
for wrong in (tf.constant([1.0]), tf.constant([["a"]]), tf.constant("a")):
    try:
        serve(caption=wrong)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        continue
    raise AssertionError(f"accepted {wrong}")
for old, variable in zip(before, serve.variables, strict=True):
    np.testing.assert_array_equal(old, variable.numpy())
imported = {name.split(".")[0] for name in sys.modules}
assert not imported & BLOCKED, imported & BLOCKED
print("served")
