from pathlib import Path

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

FOLDER = Path(__file__).parents[2] / "export" / "tensorflow_serving"


def test_the_model_config_is_servings():
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse(
        (FOLDER / "models.config").read_text(), config.ModelServerConfig()
    )
    (model,) = parsed.model_config_list.config
    assert (model.name, model.base_path) == ("birdlets", "/models/birdlets")
    assert model.model_version_policy.latest.num_versions == 1


def batching_parameters():
    """The fields of TensorFlow Serving's BatchingParameters that are used here.

    Its package ships no such message.
    """
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="test")
    file.message_type.add(name="Number").field.add(
        name="value", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        ),
        start=1,
    ):
        message.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=".test.Number",
            label=field.LABEL_OPTIONAL,
        )
    message.field.add(
        name="allowed_batch_sizes",
        number=6,
        type=field.TYPE_INT64,
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("test.BatchingParameters")
    )()


def test_batches_end_at_what_the_export_takes():
    parsed = text_format.Parse(
        (FOLDER / "batching.config").read_text(), batching_parameters()
    )
    sizes = list(parsed.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[0] == 1
    # Servers refuse anything else; --max_batch is 32 by default.
    assert sizes[-1] == parsed.max_batch_size.value == 32


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_containers_get_the_files_that_are_here(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (FOLDER / name).read_text()
    documents = list(yaml.safe_load_all(text))
    assert all(isinstance(document, dict) for document in documents)
    for option, file in (
        ("--model_config_file", "models.config"),
        ("--batching_parameters_file", "batching.config"),
    ):
        assert f"{option}=/config/{file}" in text and (FOLDER / file).is_file()
