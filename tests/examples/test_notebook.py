import json
from pathlib import Path

import numpy as np
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "examples" / "mirrorgan.ipynb"


def test_the_notebook_runs_and_shows_images(untraced, capsys):
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    shown = []
    # What Jupyter defines for every cell.
    names = {"display": shown.append}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            assert not cell["outputs"]
    assert len(shown) == 4
    assert all(isinstance(image, Image.Image) for image in shown)
    assert all(np.asarray(image).std() > 0 for image in shown)
    printed = capsys.readouterr().out
    assert "unknown: ['zebra']" in printed
    assert "redescription: " in printed
