import functools
import http.server
import importlib.util
import json
import os
import random
import shutil
import subprocess
import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.serving.litert import export_litert
from mirrorgan_tf.text_to_image import TextToImage
from tests.browser import CHROMIUM_FLAGS, chromium_or_skip
from tests.conftest import ROOT, check_native_messages

EXAMPLE = ROOT / "examples" / "litert"
CAPTION = "a red bird with black wings"


def load_example(name, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(trained_model):
    return trained_model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export_litert(model, tmp_path_factory.mktemp("litert") / "model")


def interpreter(folder):
    return tf.lite.Interpreter(str(folder / "model.tflite"))


def generate(folder, model, caption, noise):
    ids, lengths = model.tokenizer([caption])
    return interpreter(folder).get_signature_runner()(
        ids=ids.numpy(), lengths=lengths.numpy(), noise=noise
    )["image"]


@pytest.fixture(scope="module")
def noise(model):
    size = model.glam.noise_dim + model.glam.condition_dim
    return np.random.default_rng(1).standard_normal((1, size), np.float32)


def test_float32_images_equal_those_of_tensorflow(folder, model, noise):
    captions = [CAPTION, "black", ""]
    text_to_image = TextToImage(model.tokenizer, model.stem, model.glam)
    expected = text_to_image(tf.constant(captions), noise.repeat(3, axis=0))
    images = [generate(folder, model, caption, noise)[0] for caption in captions]
    np.testing.assert_allclose(images, expected["images"][-1], atol=1e-5)


def test_int8_model_is_smaller_and_has_nearly_the_same_images(
    folder, model, noise, tmp_path, capfd
):
    int8 = export_litert(model, tmp_path / "int8", quantize="int8")
    check_native_messages(capfd.readouterr().err)
    difference = generate(int8, model, CAPTION, noise) - generate(
        folder, model, CAPTION, noise
    )
    assert 0 < np.abs(difference).mean() < 0.05
    sizes = [(path / "model.tflite").stat().st_size for path in (int8, folder)]
    assert sizes[0] < sizes[1]


def test_model_has_builtin_operations_alone(folder):
    names = {
        operation["op_name"] for operation in interpreter(folder)._get_ops_details()
    }
    assert "CONV_2D" in names
    assert not [name for name in names if name.startswith("Flex") or "CUSTOM" in name]


def test_python_example_generates_an_image(folder, monkeypatch):
    example = load_example("generate", monkeypatch)
    image = example.generate(folder, CAPTION, seed=7)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and image.std() > 0
    np.testing.assert_array_equal(image, example.generate(folder, CAPTION, seed=7))


@pytest.fixture(scope="module")
def random_captions():
    """Captions of known words, unknown words and characters of many scripts."""
    generator = random.Random(1)
    words = ["a", "red", "Bird", "WITH", "black", "wings", "owl", "naïve", "ﬁne", "x_1"]
    pools = [(32, 127), (0, 14), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600)]
    pools += [(0x1E00, 0x2150), (0x3040, 0x3100), (0x4E00, 0x4F00), (0x1F600, 0x1F650)]
    # Tables of newer characters differ between Python, ICU and TensorFlow.
    is_old = unicodedata.ucd_3_2_0.category

    def piece():
        if generator.random() < 0.7:
            return generator.choice(words)
        code = chr(generator.randrange(*generator.choice(pools)))
        return code if is_old(code) != "Cn" else "😀"

    return [
        "".join(
            piece() + generator.choice(["", " ", ", ", "-"])
            for _ in range(generator.randrange(12))
        )
        for _ in range(10_000)
    ]


@pytest.fixture(scope="module")
def expected_ids(model, random_captions):
    ids, lengths = (x.numpy() for x in model.tokenizer(tf.constant(random_captions)))
    assert 0 in lengths and model.tokenizer.max_words in lengths
    return ids.tolist()


def test_python_tokenizer_equals_caption_tokenizer(
    folder, random_captions, expected_ids, monkeypatch
):
    example = load_example("tokenizer", monkeypatch)
    tokenizer = example.CaptionTokenizer(folder / "tokenizer.json")
    results = [tokenizer(caption) for caption in random_captions]
    assert [ids for ids, _ in results] == expected_ids
    assert all(length == np.count_nonzero(ids) for ids, length in results)


_TOKENIZE = """
import {readFileSync} from 'node:fs';
import {CaptionTokenizer} from '%s';
const {tokenizer, captions} = JSON.parse(readFileSync(0, 'utf8'));
const encoder = new CaptionTokenizer(tokenizer);
const ids = captions.map((caption) => [...encoder.encode(caption).ids]);
console.log(JSON.stringify(ids));
"""


def test_javascript_tokenizer_equals_caption_tokenizer(
    folder, random_captions, expected_ids
):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    process = subprocess.run(
        [
            *(node, "--input-type=module", "--eval"),
            _TOKENIZE % (EXAMPLE / "web" / "tokenizer.js").as_uri(),
        ],
        input=json.dumps({"tokenizer": tokenizer, "captions": random_captions}),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == expected_ids


# A page that generates an image as the example does, then opens the example itself, and
# sends noise, pixels and the state of the example to the test.
_BROWSER_TEST_PAGE = """<!doctype html>
%s
<script type="module">
const result = {};
try {
  const {MirrorGAN, normalNoise} = await import('./mirrorgan.js');
  const wasm = './node_modules/@litertjs/core/wasm/';
  const mirrorgan = await MirrorGAN.load('./model', wasm);
  const noise = normalNoise(mirrorgan.noiseDim, 7);
  result.noise = [...noise];
  result.pixels = [...(await mirrorgan.generate('%s', noise)).data];
  const frame = document.createElement('iframe');
  frame.src = 'index.html';
  document.body.append(frame);
  const isReady = (page) => page?.querySelector('button')?.disabled === false;
  while (!isReady(frame.contentDocument)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const page = frame.contentDocument;
  result.canvases = page.querySelectorAll('#images canvas').length;
  result.status = page.getElementById('status').textContent;
} catch (error) {
  result.error = `${error}`;
}
await fetch('/result', {method: 'POST', body: JSON.stringify(result)});
</script>
"""


class _PageHandler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {
        ".html": "text/html",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        "": "application/octet-stream",
    }

    def do_POST(self):  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.result = json.loads(content)
        self.send_response(204)
        self.end_headers()
        self.server.has_result.set()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_page_generates_the_same_image_in_chromium(folder, model, tmp_path):
    browser = chromium_or_skip()
    packages = Path(os.environ.get("NODE_MODULES", EXAMPLE / "web" / "node_modules"))
    if not (packages / "@litertjs" / "core").is_dir():
        pytest.skip("LiteRT.js is not installed: npm install in examples/litert/web")
    site = shutil.copytree(
        EXAMPLE / "web",
        tmp_path / "site",
        ignore=shutil.ignore_patterns("node_modules"),
    )
    (site / "node_modules").symlink_to(packages.absolute())
    (site / "model").symlink_to(folder)
    page = (site / "index.html").read_text()
    start = page.index('<script type="importmap">')
    import_map = page[start : page.index("</script>", start)] + "</script>"
    (site / "test.html").write_text(_BROWSER_TEST_PAGE % (import_map, CAPTION))
    handler = functools.partial(_PageHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.has_result = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen(
            [
                *(browser, *CHROMIUM_FLAGS, "--remote-debugging-port=0"),
                f"--user-data-dir={tmp_path / 'user'}",
                f"http://127.0.0.1:{server.server_port}/test.html",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert server.has_result.wait(120), "the page did not answer"
        finally:
            process.kill()
            process.wait()
            server.shutdown()
    assert "error" not in server.result, server.result
    noise = np.array([server.result["noise"]], np.float32)
    assert 0.5 < noise.std() < 1.5
    expected = (generate(folder, model, CAPTION, noise)[0] + 1) * 127.5
    pixels = np.array(server.result["pixels"]).reshape(32, 32, 4)
    assert (pixels[..., 3] == 255).all()
    assert np.abs(pixels[..., :3] - expected).max() <= 1
    assert server.result["canvases"] == 4
    assert server.result["status"].endswith(" ms an image")
