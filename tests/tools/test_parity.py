import json
import shutil

import numpy as np
import pytest

from mirrorgan_tf.errors import UserError
from tools.parity import __main__ as parity
from tools.parity.golden import Report


def copy_files(reference, folder, *names):
    for name in names:
        shutil.copyfile(reference / name, folder / name)
    return folder


def edit_arrays(path, **changes):
    """Changes arrays of an .npz file; None removes one."""
    with np.load(path) as archive:
        arrays = dict(archive)
    for key, value in changes.items():
        arrays.pop(key, None)
        if value is not None:
            arrays[key] = value
    np.savez(path, **arrays)


def test_all_golden_tensors_are_within_tolerance(reference):
    report = parity.check_folder(reference)
    assert report.passed, (report.failures, report.gaps)
    # 2 of the tokenizer, 2 of STEM, 4 of STREAM's decoder, 8 of DAMSM, 12 of GLAM, 12
    # of the discriminators, 4 losses and 60 norms of gradients.
    assert len(report.lines) == 104
    exact = ("tokenizer/", "stream_decoder/packed_targets", "stream_decoder/greedy")
    for line in report.lines:
        tolerance = 1e-3 if "gradnorm" in line.name else 1e-4
        assert line.tolerance == (0 if line.name.startswith(exact) else tolerance)


def test_wrong_number_is_a_failure(reference, tmp_path, capsys):
    copy_files(reference, tmp_path, "stem.npz", "damsm.npz")
    words = np.load(reference / "stem.npz")["out/words"]
    loss = np.load(reference / "damsm.npz")["class/sent_loss1"]
    edit_arrays(tmp_path / "stem.npz", **{"out/words": words * 1.0002})
    edit_arrays(tmp_path / "damsm.npz", **{"class/sent_loss1": loss + 0.001})
    report = parity.check_folder(tmp_path)
    assert report.failures == ["stem/words", "damsm/class/sent_loss1"]
    assert not report.passed
    assert capsys.readouterr().out.count("FAIL") == 2


def test_files_and_arrays_without_a_check_are_named(reference, tmp_path, capsys):
    copy_files(reference, tmp_path, "stem.npz")
    (tmp_path / "FACTS.md").write_text("no tensors")
    assert parity.main(str(tmp_path)) == 0
    edit_arrays(tmp_path / "stem.npz", **{"out/paragraph": np.ones(3)})
    (tmp_path / "other.npz").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert parity.main(str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert "2 quantities, 0 failed, 3 not compared" in printed
    for name in ("out/paragraph", "other.npz", "folder"):
        assert name in printed


def test_parameters_that_do_not_fit_are_named(reference, tmp_path):
    copy_files(reference, tmp_path, "stem.npz")
    edit_arrays(
        tmp_path / "stem.npz",
        **{"param/rnn.bias_hh_l0": None, "param/rnn.extra": np.ones(2)},
    )
    report = parity.check_folder(tmp_path)
    assert not report.passed
    gaps = "\n".join(report.gaps)
    assert "missing: rnn.bias_hh_l0" in gaps and "unknown: rnn.extra" in gaps
    assert "out/words" in gaps


def test_losses_without_the_generators_file_are_reported(reference, tmp_path):
    copy_files(reference, tmp_path, "adversarial.npz")
    report = parity.check_folder(tmp_path)
    assert not report.failures
    assert {line.name for line in report.lines} == {
        f"adversarial/eval/{name}{i}"
        for name in ("features", "cond_prob", "uncond_prob")
        for i in range(3)
    }
    gaps = "\n".join(report.gaps)
    for part in ("glam.npz", "eval/errD0", "loss/errG_lambda20", "gradnorm/ca_net"):
        assert part in gaps


def test_wrong_missing_and_unknown_gradient_norms_are_reported(reference, tmp_path):
    names = ("adversarial.npz", "glam.npz", "stream_decoder.npz")
    copy_files(reference, tmp_path, *names)
    bias = "gradnorm/h_net1.upsample1.2.bias"
    norm = np.load(reference / names[0])[bias]
    edit_arrays(
        tmp_path / names[0],
        **{
            bias: norm * 1.002,
            "gradnorm/ca_net.fc.weight": None,
            "gradnorm/h_net9.conv.weight": norm,
        },
    )
    report = parity.check_folder(tmp_path)
    assert report.failures == [f"adversarial/{bias}"]
    gaps = "\n".join(report.gaps)
    assert "gradnorm/ca_net.fc.weight" in gaps
    assert "gradnorm/h_net9.conv.weight" in gaps
    assert len(report.gaps) == 2


def test_wrong_tokens_fail(tmp_path):
    examples = [{"caption": "a bird's wing", "tokens": ["a", "birds", "wing"]}]
    (tmp_path / "tokenizer.json").write_text(json.dumps(examples))
    assert "tokenizer/words" in parity.check_folder(tmp_path).failures


def test_unknown_keys_and_empty_token_files_are_reported(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps([{"caption": "A bird", "tokens": ["a", "bird"]}]))
    assert parity.check_folder(tmp_path).passed
    path.write_text(json.dumps([{"caption": "", "tokens": [], "tags": []}]))
    assert parity.check_folder(tmp_path).gaps == ["tokenizer.json: tags"]
    path.write_text("[]")
    assert not parity.check_folder(tmp_path).passed


@pytest.mark.parametrize(
    "name, content",
    [
        ("stem.npz", b"PK\x03\x04 cut"),
        ("stem.npz", b""),
        ("stem.npz", b"\x93NUMPY\x01\x00"),
        ("tokenizer.json", b"{"),
        ("tokenizer.json", b"\xff"),
        ("tokenizer.json", b"{}3"),
        ("tokenizer.json", b'[{"caption": "a"}]'),
    ],
)
def test_damaged_files_are_user_errors(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        parity.check_folder(tmp_path)


def test_missing_and_empty_folders_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        parity.check_folder(tmp_path / "gone")
    with pytest.raises(UserError, match="nothing to compare"):
        parity.check_folder(tmp_path)


def test_few_wrong_elements_of_a_large_tensor_fail():
    theirs = np.ones(10**6)
    ours = theirs.copy()
    ours[3] = 1.05
    report = Report()
    report.compare("many", ours, theirs, 1e-4)
    report.compare("shape", np.ones(2), np.ones(3), 1e-4)
    report.compare("nan", np.array([1.0, np.nan]), np.ones(2), 1e-4)
    report.compare("from nothing", np.ones(2), np.zeros(2), 1e-4)
    assert report.failures == ["many", "shape", "nan", "from nothing"]
    report.compare("nothing", np.zeros(2), np.zeros(2), 1e-4)
    report.compare(
        "near", ours=np.array([1.00005, 1.0]), theirs=np.ones(2), tolerance=1e-4
    )
    assert len(report.failures) == 4
