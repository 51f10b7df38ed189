"""How the rooms of the package lie: what each may know, and that imports point one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "purity"
# Rooms by their names within the package: `noise`, `run.store`; a folder's own file is `run`.
ROOMS = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or path.stem != "__init__"
}
FOLDERS = ("diffusion", "stages", "studies", "report", "run")
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
TENSORS = {"run.batches", "run.checkpoints", "run.engine", "run.state_dicts"}
WITHOUT_TORCH = sorted(
    {"cap", "data", "landscape", "metrics", "stats"}
    | {room for room in ROOMS if room.partition(".")[0] in ("run", "studies", "report")} - TENSORS
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


def known(room: str) -> set[str]:
    """Rooms that a room imports, but for the own files of folders."""
    found = set()
    for name in imported(ROOMS[room]):
        inside = name.removeprefix("purity.") if name.startswith("purity.") else ""
        while inside and inside not in ROOMS:
            inside = inside.rpartition(".")[0]
        found.add(inside)
    return found - {"", room, *FOLDERS}


def of(folder: str) -> set[str]:
    return {room for room in ROOMS if room == folder or room.startswith(f"{folder}.")}


SCIENCE = set(ROOMS) - set().union(*map(of, FOLDERS))


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
    assert {"attacks", "noise", "run.store", "run.checkpoints", "stages.cap", "studies.cap"} <= set(ROOMS)
    assert len(SCRIPTS) >= 10 and all(of(folder) for folder in FOLDERS) and len(SCIENCE) > 15


def test_nothing_in_the_package_knows_snakemake():
    assert not importers("snakemake")
    for room, tree in ROOMS.items():
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in ("snakemake", "workflow")], room


def test_only_the_store_and_the_users_images_know_zarr():
    assert importers("zarr") == {"run.store", "data"}


def test_only_one_room_reads_and_writes_checkpoints():
    assert importers("safetensors") == {"run.checkpoints"} and not importers("pickle")
    loading = {
        room for room, tree in ROOMS.items() for _, name, _ in calls(tree) if name in ("torch.load", "torch.save")
    }
    assert loading == {"run.checkpoints", "data"}  # and one the user's images
    assert not [name for _, name, _ in calls(ROOMS["data"]) if name == "torch.save"]
    for _, name, call in [*calls(ROOMS["run.checkpoints"]), *calls(ROOMS["data"])]:
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
    assert seeding == [("run.checkpoints", "untrained")]
    forks = [
        n
        for n in ast.walk(ROOMS["run.checkpoints"])
        if isinstance(n, ast.With) and "fork_rng" in ast.unparse(n.items[0])
    ]
    inside = [name for fork in forks for _, name, _ in calls(fork)]
    assert "torch.manual_seed" in inside


# What holds a user's code to its contract, or takes its draws over, has to know these generators.
WATCHING = {"contract", "intercepted", "lockstep"}


OWN_GENERATORS = ("default_rng", "Generator", "Philox", "RandomState", "Random")  # each made of a seed, none global


def test_nothing_is_drawn_from_a_global_generator():
    for room, tree in ROOMS.items():
        assert "random" not in imported(tree) or room in WATCHING, room
        for here, name, call in calls(tree):
            module, _, function = name.rpartition(".")
            state = room in WATCHING and function in ("get_state", "set_state", "getstate", "setstate")
            if module == "torch" and function in DRAWS:
                assert "generator" in {k.arg for k in call.keywords}, f"{room}.{here}: {name}"
            if module in ("np.random", "numpy.random"):
                assert state or function in OWN_GENERATORS, f"{room}.{here}: {name}"
            assert module != "random" or state or function in OWN_GENERATORS, f"{room}.{here}: {name}"
            assert function not in ("normal_", "uniform_", "bernoulli_", "random_"), f"{room}.{here}: {name}"


def test_imports_between_rooms_point_one_way():
    """Repeatedly taking away the rooms that import none of those left leaves nothing."""
    imports = {room: known(room) for room in ROOMS}
    assert imports["stages.attack"] and imports["studies.law"] and imports["run.checkpoints"]
    left = dict(imports)
    while free := [room for room, needed in left.items() if not needed & set(left)]:
        for room in free:
            del left[room]
    assert not left, f"a circle among {sorted(left)}"


# What a folder may know of the package besides itself.
ARROWS = {
    "run": set(),
    "diffusion": {"noise", "run.rules"},
    "stages": SCIENCE | {"run.job", "run.batches"},
    "studies": {"stats", "metrics"},
    "report": of("studies") | {"stats"},
}
# The rooms that a folder meets the others through.
DOORS = {
    "stages.arguments": {"run.checkpoints", "run.devices", "run.naming", "run.presets", "run.rules", "run.store"},
    "stages.checks": {"run.checkpoints", "run.naming", "run.rules"},
    "stages.jacobian": {"diffusion.jacobian"},  # many directions of any f, chain or not
    "stages.search": {"diffusion.denoiser", "diffusion.jacobian", "run.store"},  # what was measured is kept as stores
    "studies.reading": {"run.store"},
    "studies.search": {"search"},
    "studies.verified": {"search"},
    "report.across": {"run.store"},
    "report.side_by_side": {"run.experiment", "run.store"},
    "report.kept": {"run.lineage", "run.store"},
}


@pytest.mark.parametrize("folder", ARROWS)
def test_a_folder_knows_only_what_is_below_it(folder):
    for room in of(folder):
        assert known(room) <= of(folder) | ARROWS[folder] | DOORS.get(room, set()), room


def test_the_science_knows_nothing_of_stages_studies_and_reports_and_little_of_how_jobs_run():
    helpers = {"run.rules", "run.devices", "run.naming", "run.state_dicts"}
    for room in SCIENCE:
        assert known(room) <= SCIENCE | of("diffusion") | helpers, room


def test_how_jobs_run_names_science_in_few_places_and_in_strings_only():
    """Specs name stages; studies are declared by their rules files; presets and the config know the package's own."""
    naming = set()
    for room in of("run"):
        texts = [n.value for n in ast.walk(ROOMS[room]) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        if any(text.startswith("purity.") and not text.startswith("purity.run") for text in texts):
            naming.add(room)
    may = {"run.studies", "run.experiment", "run.presets", "run.config", "run.judge", "run.checkpoints"}
    assert {"run.studies", "run.experiment"} <= naming <= may


@pytest.mark.parametrize(
    ("room", "hidden"),
    [
        ("attacks", {"purifiers", *of("diffusion")}),
        ("diffusion.samplers", {"purifiers", "diffusion.denoiser"}),
        ("metrics", of("studies") | of("run")),
        ("stats", {"metrics", *of("studies")}),
        ("noise", {"defence", "purifiers", "attacks"}),
        ("addt", {"purifiers", "attacks", *of("run")}),
        ("landscape", of("studies") | of("run") | of("stages")),
        ("boundary", of("studies") | of("run") | of("stages")),
        *((room, of("diffusion") - DOORS.get(room, set())) for room in sorted(of("stages"))),
        *((room, {"metrics"}) for room in ("studies.drawing", "studies.records", "studies.tabulate")),
    ],
)
def test_a_room_does_not_know_what_is_above_it(room, hidden):
    assert not known(room) & hidden


def test_rooms_that_need_no_tensors_do_not_load_torch():
    """A table or figure job would else wait seconds for it, and could not run where it is not installed."""
    code = f"import sys\nfor room in {WITHOUT_TORCH}:\n    __import__('purity.' + room)\n    print(room, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == [word for room in WITHOUT_TORCH for word in (room, "False")]


# Scripts of jobs on tensors; all others start without torch.
OF_TENSORS = {"calibrate", "check_parts", "fine_tune", "perturb", "stage", "train_classifier", "train_diffusion"}


@pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if path.stem not in OF_TENSORS], ids=lambda path: path.stem
)
def test_scripts_of_tables_and_figures_import_only_rooms_without_torch(script):
    names = imported(ast.parse(script.read_text(encoding="utf-8")))
    inside = {name.removeprefix("purity.") for name in names if name.startswith("purity.")} & set(ROOMS)
    assert inside <= {*WITHOUT_TORCH, *FOLDERS}
    assert "torch" not in names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_says_what_it_makes_and_computes_nothing_itself(script):
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert 9 <= len(text.splitlines()) <= 40
    assert ast.get_docstring(tree)
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]
    used = {dotted(n).split(".")[1] for n in ast.walk(tree) if dotted(n).startswith("snakemake.")}
    assert used <= {"params", "input", "output", "log", "wildcards", "threads", "resources"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for(room):
    assert ast.get_docstring(ROOMS[room])
