from mirrorgan_tf.evaluation.evaluation import METRICS
from mirrorgan_tf.evaluation.report import to_markdown


def report(**changes):
    values = {
        "model": "runs/x, step 3",
        "data": "coco (data/coco)",
        "captions": 40,
        "seed": 1,
        "real_images": 30,
        "other_real_images": 30,
        "other_real_split": "train",
        "about": {},
        "metrics": {},
        "not_computed": {},
        "samples": {"score": None, "random": [1, 2]},
    }
    return to_markdown(values | changes, METRICS)


def test_reasons_are_listed_once_and_no_table_is_empty():
    reasons = {"fid": "no weights", "r_precision": "no DAMSM", "kid": "no weights"}
    text = report(not_computed=reasons)
    assert "- fid, kid: no weights\n- r_precision: no DAMSM\n" in text
    assert "FID |" not in text and "Realism" not in text
    assert "2 images at random, none chosen." in text


def test_tables_have_rows_for_generated_and_reference_images():
    share = {f"k={k}": {"mean": k / 10, "std": 0.01} for k in (1, 2, 3)}
    test = {"accuracy": 0.9, "interval": (0.85, 0.93), "images": 100}
    spectrum = {"highest_x": 1.5, "highest_y": 1.25, "checkerboard": 9.6, "radial": []}
    spread = {"mean": 0.002, "std": 0.0001}
    text = report(
        metrics={
            "fid": {"net": {"generated": 12.344, "other_real": 1.5}},
            "kid": {"net": {"generated": spread}},
            "two_sample_test": {"generated": test},
            "power_spectrum": {"generated": spectrum},
            "r_precision": {"generated": share, "real_shuffled": share},
            "diversity": {
                "captions": 2,
                "seeds": 5,
                "pixel_rmse": {"within": 4.0, "between": 9.0},
            },
        },
        about={"net": "some network"},
        samples={"score": "X", "random": [1, 2], "best": [3], "worst": [4]},
    )
    assert "## Distance from real images: net" in text
    assert "Features: some network." in text
    assert "| generated images | 12.34 | 2.00 ± 0.10 | - |" in text
    assert "| other real images | 1.50 | - | - |" in text
    assert "| generated images | 90.0 % (85.0 to 93.0) | 1.50 | 1.25 | 9.60 |" in text
    assert "| real images, shuffled captions | 10.0 ± 1.0 % | 20.0 ± 1.0 % |" in text
    assert "| pixel rmse | 4.000 | 9.000 |" in text
    assert "labelled so, the best 1 and the worst 1 by X" in text
