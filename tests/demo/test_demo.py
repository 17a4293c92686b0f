import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mirrorgan_tf.demo.model import DemoModel, SavedModel, TrainedModel
from mirrorgan_tf.demo.server import make_server
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.loading import load_saved_model
from tests.browser import CHROMIUM_FLAGS, chromium_or_skip
from tests.conftest import OTHER_KERAS_SETTINGS, PYTHON_WITH_SIGINT, ROOT

CAPTION = "a red bird with black wings"


@pytest.fixture(scope="module")
def model(exported):
    return DemoModel(SavedModel(load_saved_model(exported.parent, "explain")[0]))


@pytest.fixture
def server(model):
    with make_server(model, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_port}"


def get(address, **query):
    url = f"{address}/api/generate?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as reply:
        return json.load(reply)


def picture(url):
    assert url.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def test_api_returns_the_outputs_of_the_signatures(address, loaded):
    answer = get(address, caption=f"{CAPTION} zebra", seed=-7)
    inputs = {"caption": tf.constant([CAPTION]), "seed": tf.constant([-7], tf.int64)}
    explained = loaded.signatures["explain"](**inputs)
    for side in (16, 32):
        np.testing.assert_array_equal(
            picture(answer["images"][str(side)]), explained[f"image_{side}"][0]
        )
    assert answer["words"] == CAPTION.split() and answer["seed"] == "-7"
    (maps,) = answer["attention"].values()
    for word, attention in enumerate(maps):
        weights = explained["word_attention_16"][0, ..., word].numpy()
        assert attention["greatest"] == pytest.approx(weights.max())
        np.testing.assert_allclose(
            picture(attention["map"]), 255 * weights / weights.max(), atol=0.51
        )
    read = loaded.signatures["redescribe"](**inputs)
    assert answer["redescription"] == read["redescription"][0].numpy().decode()
    assert answer["log_likelihood"] == pytest.approx(float(read["log_likelihood"][0]))


def test_trained_model_gives_the_answers_of_its_export(model, trained_model):
    demo = DemoModel(TrainedModel(trained_model))
    # The constructor has traced the model, so that the first request does not wait.
    assert trained_model._describe.experimental_get_tracing_count() == 1
    for options in ({}, {"best": True}):
        ours = demo.generate(CAPTION, 3, **options)
        theirs = model.generate(CAPTION, 3, **options)
        assert ours["images"] == theirs["images"] and ours["seed"] == theirs["seed"]
        assert ours["words"] == theirs["words"]
        assert ours["redescription"] == theirs["redescription"]
        assert ours["log_likelihood"] == pytest.approx(theirs["log_likelihood"])
        assert ours["attention"].keys() == theirs["attention"].keys()
    assert trained_model._describe.experimental_get_tracing_count() == 1


def test_best_image_is_that_of_signature_best_of(address, loaded):
    best = loaded.signatures["best_of"](
        caption=tf.constant([CAPTION]), seed=tf.constant([2**62], tf.int64)
    )
    answer = get(address, caption=CAPTION, seed=2**62, best=1)
    # As text: JavaScript would round it.
    assert answer["seed"] == str(int(best["seed"][0]))
    np.testing.assert_array_equal(picture(answer["images"]["32"]), best["image"][0])


@pytest.mark.parametrize("caption", ["", "日本", "\x00", "a" * 2000])
def test_any_caption_gives_an_image(address, caption):
    assert picture(get(address, caption=caption, seed=1)["images"]["32"]).std() > 0


@pytest.mark.parametrize(
    "path, status, message",
    [
        ("/api/generate?caption=a&seed=x", 400, "seed"),
        ("/api/generate?caption=a&seed=9223372036854775808", 400, "64 bits"),
        (f"/api/generate?caption={'a' * 2001}", 400, "2000 letters"),
        ("/../setup.cfg", 404, "there is no"),
        ("/page.html", 404, "there is no"),
    ],
)
def test_wrong_requests_get_an_error_message(address, path, status, message):
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(address + path)
    assert failure.value.code == status
    assert message in json.load(failure.value)["error"]


def test_wrong_saved_models_are_refused(tmp_path, exported):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="no SavedModel there"):
            load_saved_model(path, "explain")
    broken = tmp_path / "2"
    shutil.copytree(exported, broken)
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="can't be loaded"):
        load_saved_model(tmp_path, "explain")
    plain = tf.Module()
    plain.serve = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None])])
    tf.saved_model.save(plain, tmp_path / "3", signatures=plain.serve)
    with pytest.raises(UserError, match="no signature explain"):
        load_saved_model(tmp_path, "explain")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
    chromium = chromium_or_skip()
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # The window is high enough for the complete page, which would otherwise scroll
    # below the mouse.
    for argument in (
        *CHROMIUM_FLAGS,
        "--window-size=1200,1200",
        f"--user-data-dir={tmp_path_factory.mktemp('user')}",
    ):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


class Page:
    def __init__(self, browser, address):
        self.browser = browser
        browser.get("about:blank")
        browser.get(address)

    def one(self, selector):
        return self.browser.find_element("css selector", selector)

    def wait(self, condition):
        end = time.monotonic() + 120
        while not (value := condition()):
            assert time.monotonic() < end, self.one("#status").text
            time.sleep(0.05)
        return value

    def run(self, script):
        return self.browser.execute_script(f"return {script}")


def red_of_overlay(page):
    """The overlay's red, (16, 16)."""
    pixels = page.run(
        "Array.from(document.getElementById('overlay').getContext('2d')"
        ".getImageData(0, 0, 16, 16).data)"
    )
    return np.array(pixels).reshape(16, 16, 4)[..., 0]


@pytest.mark.slow
def test_the_page_shows_image_attention_and_redescription(browser, address, loaded):
    from selenium.webdriver import ActionChains, Keys

    page = Page(browser, address)
    # The caption field has the focus: type, then press Enter.
    ActionChains(browser).send_keys(f"{CAPTION} Zébra", Keys.ENTER).perform()
    page.wait(lambda: page.one("#result").is_displayed())
    page.wait(lambda: page.run("document.getElementById('image').naturalWidth") == 32)
    expected = loaded.signatures["redescribe"](
        caption=tf.constant([CAPTION]), seed=tf.constant([1], tf.int64)
    )["redescription"][0]
    # The redescription of an untrained network may be empty.
    assert page.one("#redescription").text == (expected.numpy().decode() or "(nothing)")
    assert page.one("#words s").text == "zebra"
    assert page.one("#image").get_attribute("alt") == f"Image of: {CAPTION} Zébra"
    buttons = browser.find_elements("css selector", "#words button")
    assert [button.text for button in buttons] == CAPTION.split()

    (maps,) = get(address, caption=CAPTION, seed=1)["attention"].values()
    assert page.one("#overlay").get_attribute("class") == ""
    for word in (1, 2):
        ActionChains(browser).move_to_element(buttons[word]).perform()
        quoted = f"“{buttons[word].text}”"
        page.wait(lambda: quoted in page.one("#strength").text)  # noqa: B023
        grey = picture(maps[word]["map"]).astype(int)
        # Red comes first: three times the attention's grey.
        page.wait(
            lambda: (red_of_overlay(page) == np.minimum(255, 3 * grey)).all()  # noqa: B023
        )
        assert "on" in page.one("#overlay").get_attribute("class")
    # Words can also be selected with the keyboard.
    ActionChains(browser).move_to_element(page.one("h1")).perform()
    page.wait(lambda: "Point at a word" in page.one("#strength").text)
    page.run("document.querySelector('#words button').focus()")
    page.wait(lambda: "“a”" in page.one("#strength").text)

    # The address holds caption and seed.
    link = browser.current_url
    shown = page.one("#image").get_attribute("src")
    reopened = Page(browser, link)
    reopened.wait(lambda: reopened.one("#result").is_displayed())
    assert reopened.one("#image").get_attribute("src") == shown


@pytest.mark.slow
def test_the_page_shows_errors(browser, model):
    server = make_server(model, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = Page(browser, f"http://127.0.0.1:{server.server_port}")
    page.one("#seed").clear()
    page.one("#seed").send_keys("seven\n")
    page.wait(lambda: "whole number" in page.one("#status").text)
    assert page.one("#status").get_attribute("class") == "error"
    server.shutdown()
    server.server_close()
    page.one("#dice").click()
    page.wait(lambda: "does not answer" in page.one("#status").text)
    assert page.one("#go").is_enabled()


def test_a_malformed_address_gets_400(server, capfd):
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(b"GET http://[ HTTP/1.0\r\n\r\n")
        reply = connection.makefile("rb").read()
    assert b" 400 " in reply.splitlines()[0] and b"not a valid address" in reply
    assert "Traceback" not in capfd.readouterr().err


def test_the_command_serves_under_other_keras_settings(exported):
    process = subprocess.Popen(
        [*PYTHON_WITH_SIGINT, "-m", "mirrorgan_tf.demo"]
        + [f"--saved_model={exported.parent}", "--port=0"],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        assert line.startswith("http://127.0.0.1:"), line
        assert get(line.split()[0], caption=CAPTION, seed=1)["images"]
    finally:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert stderr == "interrupted\n"
