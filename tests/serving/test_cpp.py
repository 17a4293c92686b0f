import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

SOURCE = Path(__file__).parent / "consumer.cc"
CAPTION = "a red bird with black wings"


def text_op_libraries():
    package = importlib.util.find_spec("tensorflow_text").submodule_search_locations[0]
    return sorted((Path(package) / "python" / "ops").glob("_*.so"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C++ consumer, built against the installed TensorFlow."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler (g++)")
    libraries = Path(tf.sysconfig.get_lib())
    if not (libraries / "libtensorflow_cc.so.2").exists():
        pytest.skip("the installed TensorFlow has no C++ library")
    program = tmp_path_factory.mktemp("cpp") / "consumer"
    built = subprocess.run(
        [
            compiler,
            str(SOURCE),
            *tf.sysconfig.get_compile_flags(),
            "-O0",
            "-o",
            str(program),
            f"-L{libraries}",
            f"-Wl,-rpath,{libraries}",
            # Keep libraries that only register sessions and kernels.
            "-Wl,--no-as-needed",
            "-l:libtensorflow_cc.so.2",
            "-l:libtensorflow_framework.so.2",
            "-ldl",
        ],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.slow
def test_cpp_loader_gives_the_same_image(program, exported, loaded, tmp_path):
    done = subprocess.run(
        [program, exported, tmp_path, *text_op_libraries()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["served"]
    seeded = loaded.signatures["seeded"](
        caption=tf.constant([CAPTION]), seed=tf.constant([7], tf.int64)
    )
    expected = tf.io.encode_png(seeded["image"][0]).numpy()
    assert (tmp_path / "seeded.png").read_bytes() == expected
    with Image.open(tmp_path / "png.png") as image:
        assert (image.format, image.size, image.mode) == ("PNG", (32, 32), "RGB")
