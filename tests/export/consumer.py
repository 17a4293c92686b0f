"""Loads a SavedModel where nothing but TensorFlow and TF Text can be imported."""

import importlib.abc
import sys


class Blocker(importlib.abc.MetaPathFinder):
    blocked = ("mirrorgan_tf", "keras", "keras_nlp", "keras_hub", "export")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)


sys.meta_path.insert(0, Blocker())

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_text  # noqa: E402, F401

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
assert not imported & set(Blocker.blocked), imported & set(Blocker.blocked)
print("served")
