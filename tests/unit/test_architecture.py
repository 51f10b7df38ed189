"""How the rooms of the package lie: what each may know, and that imports point one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "purity").glob("*.py"))}
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
WITHOUT_TORCH = (
    "cap",
    "comparison",
    "config",
    "cost",
    "data",
    "devices",
    "figures",
    "figures_compression",
    "figures_earlier",
    "figures_stochastic",
    "findings",
    "fuzzy",
    "kept",
    "landscape",
    "law",
    "metrics",
    "naming",
    "pages",
    "provenance",
    "running",
    "stats",
    "store",
    "tables",
    "tables_compression",
    "tables_earlier",
    "tables_stochastic",
    "trail",
    "weights",
)


def imported(tree: ast.AST) -> set[str]:
    """Full names of all modules that a tree imports, anywhere in it; for `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def importers(package: str) -> set[str]:
    return {room for room, tree in ROOMS.items() if any(name.split(".")[0] == package for name in imported(tree))}


def dotted(node: ast.AST) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str, ast.Call]]:
    """(function it stands in, called name, call)."""
    for node in ast.iter_child_nodes(tree):
        here = node.name if isinstance(node, ast.FunctionDef) else inside
        if isinstance(node, ast.Call):
            yield here, dotted(node.func), node
        yield from calls(node, here)


def test_the_rooms_are_seen():
    assert {"attacks", "models", "noise", "store"} <= set(ROOMS) and len(SCRIPTS) >= 10


def test_nothing_in_the_package_knows_snakemake():
    assert not importers("snakemake")
    for room, tree in ROOMS.items():
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in ("snakemake", "workflow")], room


def test_only_the_store_knows_zarr():
    assert importers("zarr") == {"store"}


def test_only_models_reads_and_writes_checkpoints():
    assert importers("safetensors") == {"models"} and not importers("pickle")
    loading = {
        room for room, tree in ROOMS.items() for _, name, _ in calls(tree) if name in ("torch.load", "torch.save")
    }
    assert loading == {"models"}
    for _, name, call in calls(ROOMS["models"]):
        if name == "torch.load":
            (safe,) = (k.value for k in call.keywords if k.arg == "weights_only")
            assert isinstance(safe, ast.Constant) and safe.value is True


GLOBAL_SEEDS = {
    "torch.manual_seed",
    "torch.seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "random.seed",
}
DRAWS = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "bernoulli",
    "multinomial",
    "rand_like",
    "randn_like",
    "randint_like",
}


def test_no_global_generator_is_seeded_but_inside_a_fork_that_puts_it_back():
    seeding = [(room, here) for room, tree in ROOMS.items() for here, name, _ in calls(tree) if name in GLOBAL_SEEDS]
    assert seeding == [("models", "untrained")]
    forks = [n for n in ast.walk(ROOMS["models"]) if isinstance(n, ast.With) and "fork_rng" in ast.unparse(n.items[0])]
    inside = [name for fork in forks for _, name, _ in calls(fork)]
    assert "torch.manual_seed" in inside


def test_nothing_is_drawn_from_a_global_generator():
    for room, tree in ROOMS.items():
        # whoever holds parts to their contract reads the state of these generators
        assert "random" not in imported(tree) or room == "contract", room
        for here, name, call in calls(tree):
            module, _, function = name.rpartition(".")
            if module == "torch" and function in DRAWS:
                assert "generator" in {k.arg for k in call.keywords}, f"{room}.{here}: {name}"
            if module in ("np.random", "numpy.random"):
                assert function in ("default_rng", "Generator", "Philox", "get_state"), f"{room}.{here}: {name}"
            assert module != "random" or function == "getstate", f"{room}.{here}: {name}"
            assert function not in ("normal_", "uniform_", "bernoulli_", "random_"), f"{room}.{here}: {name}"


def test_imports_between_rooms_point_one_way():
    """Repeatedly taking away the rooms that import none of those left leaves nothing."""
    imports = {
        r: {n.split(".")[1] for n in imported(t) if n.startswith("purity.")} & set(ROOMS) for r, t in ROOMS.items()
    }
    assert imports["stages"] and imports["models"]
    left = dict(imports)
    while free := [room for room, needed in left.items() if not needed & set(left)]:
        for room in free:
            del left[room]
    assert not left, f"a circle among {sorted(left)}"


@pytest.mark.parametrize(
    ("room", "hidden"),
    [
        ("attacks", {"purifiers", "samplers", "schedules", "denoiser"}),
        ("samplers", {"purifiers", "denoiser"}),
        ("metrics", {"tables", "store", "figures"}),
        ("tables", {"store", "figures"}),
        ("figures", {"tables", "store", "metrics"}),
        ("stats", {"metrics", "tables"}),
        ("noise", {"defence", "purifiers", "attacks"}),
        ("stages", {"store", "models", "config", "running"}),
        ("stages_compression", {"store", "models", "config", "running"}),
        ("stages_earlier", {"store", "models", "config", "running"}),
        ("stages_stochastic", {"store", "models", "config", "running"}),
        ("addt", {"store", "models", "config", "running", "kept", "purifiers", "attacks"}),
        ("landscape", {"tables", "figures", "store", "stages"}),
        ("tables_stochastic", {"store", "figures", "findings"}),
        ("figures_stochastic", {"store", "tables", "metrics"}),
        ("tables_compression", {"store", "figures", "findings"}),
        ("tables_earlier", {"store", "figures", "findings"}),
        ("figures_compression", {"store", "tables", "metrics"}),
        ("figures_earlier", {"store", "tables", "metrics"}),
        ("findings", {"store", "figures", "pages"}),
    ],
)
def test_a_room_does_not_know_what_is_above_it(room, hidden):
    assert not {name.split(".")[1] for name in imported(ROOMS[room]) if name.startswith("purity.")} & hidden


def test_rooms_that_need_no_tensors_do_not_load_torch():
    """A table or figure job would else wait seconds for it, and could not run where it is not installed."""
    code = f"import sys\nfor room in {WITHOUT_TORCH}:\n    __import__('purity.' + room)\n    print(room, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [word for room in WITHOUT_TORCH for word in (room, "False")]


@pytest.mark.parametrize(
    "script",
    ["table", "figure", "gallery", "measure", "measure_ball", "compare", "comparison_page", "fetch", "cost", "usage"],
)
def test_scripts_of_tables_and_figures_import_only_rooms_without_torch(script):
    names = imported(ast.parse((ROOT / f"workflow/scripts/{script}.py").read_text(encoding="utf-8")))
    assert {n.split(".")[1] for n in names if n.startswith("purity.")} <= set(WITHOUT_TORCH)
    assert "torch" not in names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_says_what_it_makes_and_computes_nothing_itself(script):
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 40
    assert ast.get_docstring(tree)
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]
    used = {dotted(n).split(".")[1] for n in ast.walk(tree) if dotted(n).startswith("snakemake.")}
    assert used <= {"params", "input", "output", "log", "wildcards", "threads", "resources"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for(room):
    assert ast.get_docstring(ROOMS[room])
