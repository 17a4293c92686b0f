"""Links, paths, modules and flags that the documents name exist."""

import importlib
import re

import pytest
from absl import flags

from tests.conftest import ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md", "tools/**/*.md")
    for path in ROOT.glob(pattern)
) + sorted(ROOT.glob("mirrorgan_tf/presets/*/*.md"))
# They name files and flags that are created in examples (test_extending.py runs them),
# and those of earlier versions.
NAME_OTHER_FILES = {"extending.md", "CHANGELOG.md"}
# Modules that only start another.
STARTED_MODULES = {"export": "mirrorgan_tf.export"}
OTHER_PROGRAMS = {"build", "http.server", "pip", "pytest", "tensorboard", "venv"}
# Flags of other programs that are named without a command line around them.
OTHER_FLAGS = {
    "container-health-route",
    "container-ports",
    "container-predict-route",
    "dist",
    "enable_batching",
    "grpc_max_threads",
    "no-loadscope-reorder",
    "privileged",
    "xla_cpu_compilation_enabled",
}
OWN_FOLDERS = "mirrorgan_tf|tests|docs|flags|tools|benchmarks|export|examples"


def read(document):
    """The text of a document without its HTML comments."""
    return re.sub(r"<!--.*?-->", "", document.read_text("utf-8"), flags=re.S)


def code(document):
    """Lines of fenced blocks, continuations joined, and inline code spans."""
    text = read(document)
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.S | re.M)
    prose = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.S | re.M)
    spans = [" ".join(s.split()) for s in re.findall(r"(?<!`)`([^`]+)`", prose)]
    lines = [
        line.split(" #")[0]
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return lines + spans


def anchors(document):
    """The anchors that GitHub gives to a document's headings."""
    text = re.sub(r"^```.*?^```", "", read(document), flags=re.S | re.M)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in headings
    }


def own_command_lines():
    """(document, command line, name of the command's module) of our own commands."""
    pattern = r"(?:python3? -m ([\w.]+)|(?<![\w/.-])mirrorgan ([a-z]+)\b)([^|;&\n]*)"
    for document in DOCUMENTS:
        for line in code(document):
            for match in re.finditer(pattern, line):
                module, verb = match.group(1, 2)
                name = STARTED_MODULES.get(module, module) or f"mirrorgan_tf.{verb}"
                if name not in OTHER_PROGRAMS:
                    yield document, match[0], name


def module_path(name):
    """The file that `python -m name` runs, or None."""
    path = ROOT / name.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__main__.py"):
        if candidate.is_file():
            return candidate
    return None


def flag_names(module_file):
    """Names of the flags of a command, a tool or a benchmark."""
    source = module_file.read_text("utf-8")
    if "define_flags" not in source:
        folder = module_file.parent if module_file.name == "__main__.py" else None
        files = folder.glob("*.py") if folder else [module_file]
        return {
            name.replace("-", "_")
            for file in files
            for name in re.findall(
                r"""(?:add_argument|DEFINE_\w+|define_path)\(\s*f?["'](?:--)?([\w-]+)""",
                file.read_text("utf-8"),
            )
        }
    name = ".".join(module_file.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name)
    before = set(flags.FLAGS)
    try:
        module.define_flags()
        return set(flags.FLAGS) - before
    finally:
        for flag in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, flag)


@pytest.fixture(scope="module")
def flags_of():
    """Name of a module -> names of its flags, for every command that is documented."""
    names = {name for _, _, name in own_command_lines()}
    names |= {
        f"mirrorgan_tf.{path.parent.name}"
        for path in ROOT.glob("mirrorgan_tf/*/__main__.py")
    }
    names |= {
        f"mirrorgan_tf.{path.stem}"
        for path in ROOT.glob("mirrorgan_tf/*.py")
        if "commands.run(" in path.read_text("utf-8")
    }
    paths = {name: module_path(name) for name in names}
    return {name: flag_names(path) for name, path in paths.items() if path}


def flags_in(text):
    """Flags of a text, as their names are written in Python."""
    return [
        flag.replace("-", "_")
        for flag in re.findall(r"(?<![\w-])--([a-z][\w-]*)", text)
    ]


def is_flag(flag, names):
    return (
        flag in names
        or flag.removeprefix("no") in names
        or flag in ("flagfile", "recipe", "help", "helpfull", "version", "name")
    )


def test_links_lead_to_files_and_headings_that_exist():
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = document.parent / name if name else document
            if not path.exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
            elif anchor and anchor not in anchors(path):
                broken.append(f"{document.relative_to(ROOT)}: {target} (heading)")
    assert not broken, "\n".join(broken)


def test_paths_of_the_repository_exist():
    missing = []
    for document in DOCUMENTS:
        if document.name in NAME_OTHER_FILES:
            continue
        pattern = rf"(?<![\w/.@:-])(?<!--out=)(?:{OWN_FOLDERS})/[\w./*-]*"
        for match in re.findall(pattern, read(document)):
            path = match.rstrip(".-")
            exists = list(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()
            if not exists:
                missing.append(f"{document.relative_to(ROOT)}: {path}")
    assert not missing, "\n".join(missing)


def test_modules_and_verbs_exist():
    missing = {
        f"{document.relative_to(ROOT)}: {line}"
        for document, line, name in own_command_lines()
        if module_path(name) is None
    }
    assert not missing, "\n".join(missing)


def test_command_lines_have_only_flags_of_their_command(flags_of):
    wrong = [
        f"{document.relative_to(ROOT)}: {line}: --{flag}"
        for document, line, name in own_command_lines()
        for flag in flags_in(line)
        if name in flags_of and not is_flag(flag, flags_of[name])
    ]
    assert not wrong, "\n".join(wrong)


def test_flags_in_code_spans_are_flags_of_a_command(flags_of):
    known = set().union(*flags_of.values()) | {f.replace("-", "_") for f in OTHER_FLAGS}
    wrong = [
        f"{document.relative_to(ROOT)}: {span}"
        for document in DOCUMENTS
        if document.name not in NAME_OTHER_FILES
        for span in code(document)
        if span.startswith("--")
        for flag in flags_in(span)
        if not is_flag(flag, known)
    ]
    assert not wrong, "\n".join(wrong)


def test_recipes_and_flagfiles_exist():
    missing = []
    for document in DOCUMENTS:
        text = "\n".join(code(document))
        names = re.findall(r"--recipe=([a-z]\w*)", text)
        paths = [f"flags/{name}.cfg" for name in names]
        paths += re.findall(r"--flagfile=(flags/[\w.]+)", text)
        missing += [
            f"{document.relative_to(ROOT)}: {path}"
            for path in paths
            if not (ROOT / path).is_file()
        ]
    assert not missing, "\n".join(missing)


def test_python_blocks_compile():
    for document in DOCUMENTS:
        text = read(document)
        for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M):
            compile(block, str(document), "exec")


@pytest.mark.parametrize(("name", "lines"), [("README.md", 200), ("BUILD.md", 150)])
def test_documents_are_short(name, lines):
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= lines


def test_nothing_is_left_to_be_filled_in():
    pattern = r"TODO|FIXME|PLACEHOLDER|REPLICAS_TABLE|@[A-Z]{3,}@"
    documents = [path.name for path in DOCUMENTS if re.search(pattern, read(path))]
    assert not documents


def test_citation_file_has_the_required_keys_and_the_packages_version():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    source = (ROOT / "mirrorgan_tf" / "__init__.py").read_text("utf-8")
    assert f'__version__ = "{citation["version"]}"' in source
