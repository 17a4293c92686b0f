import pytest

from mirrorgan_tf import cli
from mirrorgan_tf.config.flagfiles import recipe_names
from tools import check_wheel

PACKAGE = check_wheel.ROOT / "mirrorgan_tf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return check_wheel.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel):
    check_wheel.install(wheel, wheel.parent / "site")
    return wheel.parent / "site"


def test_wheel_holds_every_file_of_the_package_and_is_small(wheel):
    names = check_wheel.names_in(wheel)
    files = [path for path in PACKAGE.rglob("*") if path.is_file()]
    package = {
        str(path.relative_to(PACKAGE.parent))
        for path in files
        if "__pycache__" not in path.parts
    }
    recipes = {f"mirrorgan_tf/flags/{name}.cfg" for name in recipe_names()}
    installed = {name for name in names if ".dist-info/" not in name}
    assert installed == package | recipes
    assert {"mirrorgan_tf/py.typed", "mirrorgan_tf/flags/coco.cfg"} <= installed
    assert wheel.stat().st_size < 20e6


def test_installed_program_lists_verbs_and_recipes_from_any_folder(site, tmp_path):
    assert list(cli.VERBS)[0] in check_wheel.run(site, tmp_path, "--help").stdout
    bare_train = check_wheel.run(site, tmp_path, "train")
    assert bare_train.returncode == 1
    assert "--recipe=coco" in bare_train.stdout


@pytest.mark.slow
def test_installed_program_generates_an_image_in_an_empty_folder(site, tmp_path):
    command, file = check_wheel.COMMANDS[0]
    done = check_wheel.run(site, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [file]
