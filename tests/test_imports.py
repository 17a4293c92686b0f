"""Modules import only what stands below them, so that each part can be read alone."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mirrorgan_tf"

# From the bottom to the top. A module may import modules of lower layers and of its
# own package; in the first and the last layer also others of the same layer.
LAYERS = (
    (
        "__init__",
        "arguments",
        "cpu",
        "downloads",
        "encoding",
        "errors",
        "files",
        "interrupts",
        "keras_settings",
        "logs",
        "native_messages",
        "pickles",
        "pictures",
        "progress",
        "terminal",
        "tf32",
    ),
    ("config",),
    ("text",),
    ("data",),
    ("ops",),
    ("models",),
    ("losses",),
    ("networks",),
    ("text_to_image",),
    ("mirrorgan",),
    ("keras_hub_task",),
    ("training",),
    ("workdir",),
    ("convert", "presets", "serving"),
    ("evaluation",),
    # A data set with metrics of its own; lower layers reach it by the registry alone.
    ("birdlets",),
    (
        "ablation",
        "check",
        "cli",
        "client",
        "command_help",
        "commands",
        "demo",
        "evaluate",
        "export",
        "fid_observer",
        "fitting",
        "flags",
        "generate",
        "initialization",
        "prepare",
        "train",
        "training_run",
    ),
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

# The networks and losses work without the program around them.
WITHOUT_SETTINGS = ("losses", "models")

# Imports in the other direction that are still there: shrink this list.
EXCEPTIONS = {
    # Its methods load and save, and import what does that when they are called.
    ("mirrorgan", "presets"),
    ("mirrorgan", "serving"),
    ("mirrorgan", "workdir"),
}


def _imported_parts(path):
    """The modules and packages of mirrorgan_tf that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = inside if node.module == "mirrorgan_tf" else [node.module]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "mirrorgan_tf" and rest.partition(".")[0] in LEVELS:
                yield rest.partition(".")[0]


def _is_allowed(importing, imported):
    if importing == imported:
        return True
    if importing in WITHOUT_SETTINGS and imported in ("config", "errors"):
        return False
    level, lower = LEVELS[importing], LEVELS[imported]
    return lower < level or (lower == level and level in (0, len(LAYERS) - 1))


def test_imports_point_downwards():
    upwards = set()
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("").parts
        # A package's command stands above all packages.
        part = LAYERS[-1][0] if module[-1] == "__main__" else module[0]
        assert part in LEVELS, f"{path}: add it to LAYERS"
        for imported in _imported_parts(path):
            if not _is_allowed(part, imported):
                upwards.add((".".join(module), imported))
    assert upwards <= EXCEPTIONS, "imports of higher layers"
    assert upwards >= EXCEPTIONS, "exceptions that are no longer needed"
