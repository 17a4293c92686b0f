"""Names in the code say what a thing is."""

import ast

from tests.conftest import ROOT

FOLDERS = ("mirrorgan_tf", "export", "tools", "benchmarks", "examples", "tests")
# Words of earlier versions that say nothing about the thing they name.
VAGUE = {
    "again",
    "asked",
    "found",
    "given",
    "hand_back",
    "hold_workdir",
    "judge",
    "judges",
    "judging",
    "look",
    "looks",
    "made",
    "made_from",
    "of_scale",
    "oracle",
    "said",
    "seen",
    "settle",
    "some",
    "told",
    "whose",
}


def names_in(path):
    """(line, name) of everything that a file defines or assigns."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def test_no_name_is_a_vague_word():
    vague = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in names_in(path)
        if name.strip("_").lower() in VAGUE
    ]
    assert not vague, "\n".join(vague)
