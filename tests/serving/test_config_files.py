import re

import pytest
from google.protobuf import text_format

from tests.conftest import ROOT

FOLDER = ROOT / "examples" / "tensorflow_serving"


def test_model_config_is_valid():
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse(
        (FOLDER / "models.config").read_text(), config.ModelServerConfig()
    )
    (model,) = parsed.model_config_list.config
    assert (model.name, model.base_path) == ("birdlets", "/models/birdlets")
    assert model.model_version_policy.latest.num_versions == 1


def test_batching_config_fits_the_export_and_never_pads():
    text = re.sub("#.*", "", (FOLDER / "batching.config").read_text())
    fields = dict(re.findall(r"(\w+) \{ value: (\d+) \}\n", text))
    assert re.sub(r"\w+ \{ value: \d+ \}\n", "", text).strip() == ""
    # No allowed_batch_sizes: TensorFlow Serving pads batches with their first row and
    # crashes if a request is empty.
    assert set(fields) == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    }
    # --max_batch is 32 by default.
    assert fields["max_batch_size"] == "32"


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_containers_use_existing_files_and_enough_threads(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (FOLDER / name).read_text()
    documents = list(yaml.safe_load_all(text))
    assert all(isinstance(document, dict) for document in documents)
    for option, file in (
        ("--model_config_file", "models.config"),
        ("--batching_parameters_file", "batching.config"),
    ):
        assert f"- {option}=/config/{file}\n" in text and (FOLDER / file).is_file()
    # With the default number of threads, 8 clients at a time get RESOURCE_EXHAUSTED.
    assert "--grpc_max_threads=128" in text
