"""Loads a SavedModel where neither this package nor Keras Hub can be imported.

consumer.py VERSION_FOLDER package|ops OUT.npz: TF Text comes by its Python package,
which imports Keras itself, or by its op libraries alone, with Keras not to be found.
XLA is disabled, as in servers. What is the same at every start goes to OUT.npz.
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

import ctypes  # noqa: E402
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

# TensorFlow Serving begins like this, unless --xla_cpu_compilation_enabled is given.
library = pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2"
ctypes.CDLL(str(library))["_ZN10tensorflow21DisableXlaCompilationEv"]()

CAPTION = "a red bird with black wings"
CAPTIONS = [CAPTION, "", "black", "a bird"]
SEEDS = [7, -3, 0, 2**63 - 1]

model = tf.saved_model.load(sys.argv[1])
variables = {v.ref(): v for s in model.signatures.values() for v in s.variables}
before = {ref: variable.numpy() for ref, variable in variables.items()}


def ask(signature, **inputs):
    function = model.signatures[signature]
    specs = function.structured_input_signature[1]
    tensors = {k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()}
    answer = {name: value.numpy() for name, value in function(**tensors).items()}
    for name, spec in function.structured_outputs.items():
        rows = len(next(iter(inputs.values())))
        assert answer[name].shape == (rows, *spec.shape[1:]), (signature, name)
    return answer


def same(one, other):
    np.testing.assert_array_equal(one, other)


# Fresh noise at each call and for each row.
one = ask("serving_default", caption=[CAPTION])["image"]
assert one.dtype == np.uint8 and one.std() > 0
assert (ask("serving_default", caption=[CAPTION])["image"] != one).any()
three = ask("serving_default", caption=["a red bird"] * 3)["image"]
assert (three[0] != three[1]).any() and (three[1] != three[2]).any()
for signature, magic in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8")):
    files = ask(signature, caption=[CAPTION, ""])["image_bytes"]
    assert all(content.startswith(magic) for content in files)
    assert tf.io.decode_image(files[0]).shape == one.shape[1:]

# A seed fixes its row: alone, in any batch, beside dummies.
seeded = ask("seeded", caption=CAPTIONS, seed=SEEDS)["image"]
for row in range(4):
    alone = ask("seeded", caption=CAPTIONS[row : row + 1], seed=SEEDS[row : row + 1])
    same(alone["image"][0], seeded[row])
padded = ask("seeded", caption=[*CAPTIONS, "", "", ""], seed=[*SEEDS, 0, 0, 0])
same(padded["image"][:4], seeded)

explained = ask("explain", caption=CAPTIONS, seed=SEEDS)
last = max(int(k[6:]) for k in explained if k.startswith("image_"))
same(explained[f"image_{last}"], seeded)
for name, maps in explained.items():
    if name.startswith("word_attention_"):
        for row, length in zip(maps, explained["length"], strict=True):
            np.testing.assert_allclose(row.sum(-1), float(length > 0), atol=1e-5)
            assert not row[..., length:].any()
    if name.startswith("sentence_attention_"):
        assert maps.min() >= 0 and maps.max() <= 1
shown = [b" ".join(w for w in words if w).decode() for words in explained["words"]]
assert shown == CAPTIONS, shown

ends = ask(
    "interpolate",
    caption_from=[CAPTION] * 3,
    caption_to=["black"] * 3,
    weight=[0, 0.5, 1],
    seed=[7] * 3,
)["image"].astype(int)
goals = ask("seeded", caption=[CAPTION, "black"], seed=[7, 7])["image"].astype(int)
assert abs(ends[0] - goals[0]).max() <= 1 and abs(ends[2] - goals[1]).max() <= 1
assert (ends[1] != ends[0]).any() and (ends[1] != ends[2]).any()

described = ask("redescribe", caption=CAPTIONS, seed=SEEDS)
same(described["image"], seeded)
assert (described["log_likelihood"] < 0).all()
best = ask("best_of", caption=CAPTIONS, seed=SEEDS)
again = ask("redescribe", caption=CAPTIONS, seed=best["seed"])
same(again["image"], best["image"])
same(again["log_likelihood"], best["log_likelihood"])
assert (best["log_likelihood"] >= described["log_likelihood"]).all()

embedded = ask("embed", caption=CAPTIONS)
same(embedded["length"], explained["length"])
assert not embedded["words"][1].any() and not embedded["sentence"][1].any()

for ref, variable in variables.items():
    same(before[ref], variable.numpy())
imported = {name.split(".")[0] for name in sys.modules}
assert not imported & BLOCKED, imported & BLOCKED
np.savez(sys.argv[3], seeded=seeded, best=best["image"], words=embedded["words"])
print("served")
