"""Which code can a result depend on? A digest of exactly that, for Snakemake's params.

From a script (and the functions its config names) every definition that can be reached is collected, across the
project's modules, function by function. The digest is taken on the parsed tree without docstrings, comments, layout
and the annotations of functions, so only a change that can change the result changes it; the versions of the
third-party packages that the reached code imports go in as well. Nothing is imported or run.

Reached: every name a definition mentions, through imports to the definition behind it; whole classes; what a module
that is imported does besides defining (registering by a decorator of the project's included). Where a module itself is
used as a value (passed on, `getattr`), all of it is taken. What only a string names must be given as a root; subclasses
that a base class finds by itself are not seen.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

Target = tuple[str, tuple[str, ...]]  # what an import binds: a module, and the attribute of it if there is one


@dataclass
class _Module:
    name: str
    package: str  # what its relative imports start from
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)  # what binds each top-level name
    imports: dict[str, set[Target]] = field(default_factory=dict)  # local name → where it may come from
    stars: list[str] = field(default_factory=list)  # modules imported by `*`
    loaded: set[str] = field(default_factory=set)  # modules that importing this one imports
    effects: list[ast.stmt] = field(default_factory=list)  # top-level statements that do more than bind

    @property
    def everything(self) -> set[str]:
        return set(self.definitions) | set(self.imports)


Work = tuple[_Module, str]  # a definition of a module, or "" for what the module does when it is imported
_PLAIN = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass
class _Lead:
    work: list[Work] = field(default_factory=list)  # what a definition needs in turn
    nodes: list[ast.stmt] = field(default_factory=list)  # its statements
    packages: set[str] = field(default_factory=set)  # third-party ones that it mentions


@dataclass
class _Reached:
    names: set[tuple[str, str]] = field(default_factory=set)
    nodes: dict[int, tuple[str, ast.stmt]] = field(default_factory=dict)  # by identity: the module and the statement
    packages: set[str] = field(default_factory=set)


class Project:
    """The Python modules below some folders, e.g. the workflow's own and the folder a user's purifier lies in."""

    def __init__(self, *folders: str | Path):
        self.folders = [Path(folder) for folder in folders]
        self._modules: dict[str, _Module | None] = {}
        self._known: dict[tuple, _Reached] = {}
        self._digests: dict[tuple, str] = {}  # many jobs ask for the same
        self._scripts: dict[Path, _Module] = {}
        self._leads: dict[tuple[int, str], _Lead] = {}  # by the module's identity: every script is a __main__
        self._packages: dict[str, list[Path]] = {}  # where each top-level package is looked for

    def digest(self, script: str | Path, *named: str) -> str:
        """Hex digest of the code that `script` and the functions `named` ('module:function') can reach.

        ValueError if the script or a named function does not exist in the project or as an installed package.
        """
        if (script, named) not in self._digests:
            self._digests[script, named] = self._digest(self._reach(script, named))
        return self._digests[script, named]

    @staticmethod
    def _digest(reached: _Reached) -> str:
        sha = hashlib.sha256()
        for line in sorted(f"{module}:{name}" for module, name in reached.names if name):
            sha.update(f"{line}\n".encode())
        for module, _, text in sorted(_ordered(reached.nodes.values())):
            sha.update(f"{module}\n{text}\n".encode())
        for package in sorted(reached.packages):
            sha.update(f"{package}=={installed_version(package)}\n".encode())
        return sha.hexdigest()[:16]

    def reached(self, script: str | Path, *named: str) -> set[str]:
        """The names 'module:definition' behind a digest, for tests and for the curious."""
        return {f"{module}:{name}" for module, name in self._reach(script, named).names}

    def packages(self, script: str | Path, *named: str) -> set[str]:
        """The importable packages outside the project that this code imports; the standard library's among them."""
        return self._reach(script, named).packages

    def signature(self, named: str) -> ast.arguments | None:
        """Arguments of 'module:function' (of __init__ for a class). None if it is not the project's, or a value.

        ValueError if there is no such function, as far as can be told without importing it.
        """
        return self._signature(named, frozenset())

    def constant(self, module: str, name: str) -> object:
        """A literal that a module binds to a name; None if it binds none. ValueError if there is no such module."""
        found = self._module(module)
        if found is None:
            raise ValueError(f"there is no module '{module}'")
        bound = (getattr(node, "value", None) for node in found.definitions.get(name, []))
        values = [value for value in bound if value is not None]
        return ast.literal_eval(values[-1]) if values else None

    def _signature(self, named, seen):
        name, _, function = named.partition(":")
        module = self._module(name)
        if module is None:
            top = name.partition(".")[0]
            if self._module(top) is not None or find_spec(top) is None:
                raise ValueError(f"there is no module '{name}'")
            return None
        for node in reversed(module.definitions.get(function, [])):
            if isinstance(node, ast.ClassDef):
                init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
                return init.args if init else None
            if isinstance(node, ast.FunctionDef):
                return node.args
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant | ast.Dict | ast.List | ast.Set | ast.Tuple | ast.JoinedStr):
                raise ValueError(f"'{function}' in {_file(name)} is not a function")
        if function in module.definitions:
            return None
        for source, attribute in sorted(module.imports.get(function, ())):
            if not attribute or self._module(".".join((source, *attribute))) is not None:
                raise ValueError(f"'{function}' in {_file(name)} is a module, not a function")
            if (source, attribute) not in seen:
                return self._signature(f"{source}:{attribute[0]}", seen | {(source, attribute)})
        for source in module.stars:
            if (source, function) not in seen:
                try:
                    return self._signature(f"{source}:{function}", seen | {(source, function)})
                except ValueError:
                    continue
        raise ValueError(f"there is no '{function}' in {_file(name)}")

    def _reach(self, script: str | Path, named: tuple[str, ...]) -> _Reached:
        if (script, named) not in self._known:
            self._known[script, named] = self._collect(script, named)
        return self._known[script, named]

    def _collect(self, script: str | Path, named: tuple[str, ...]) -> _Reached:
        main, reached = self._script(Path(script)), _Reached()
        todo = [(main, name) for name in ["", *main.definitions]]
        for root in named:
            self.signature(root)
            source, _, function = root.partition(":")
            todo += self._resolve(source, (function,), reached.packages)
        while todo:
            module, name = todo.pop()
            if (module.name, name) in reached.names:
                continue
            reached.names.add((module.name, name))
            lead = self._lead(module, name)
            todo += lead.work
            reached.packages |= lead.packages
            reached.nodes |= {id(node): (module.name, node) for node in lead.nodes}
        return reached

    def _script(self, path: Path) -> _Module:
        if path not in self._scripts:
            self._scripts[path] = _parse("__main__", path, package="")
        return self._scripts[path]

    def _lead(self, module: _Module, name: str) -> "_Lead":
        """Where one definition leads; the same whatever reaches it, so that it is looked up once."""
        if (id(module), name) in self._leads:
            return self._leads[id(module), name]
        lead = _Lead()
        for source, attribute in module.imports.get(name, ()):
            lead.work += self._resolve(source, attribute, lead.packages)
        if name == "":
            lead.work += self._on_import(module)
        for node in module.definitions.get(name, ()) if name else module.effects:
            lead.nodes.append(node)
            lead.work += self._uses(module, node, lead.packages)
        self._leads[id(module), name] = lead  # not before: what cannot be parsed leaves no half of one
        return lead

    def _on_import(self, module: _Module) -> Iterator[Work]:
        """What importing a module sets off: the modules it imports, and what decorators of the project register."""
        for source in module.loaded:
            yield from self._loads(source)
        for name, nodes in module.definitions.items():
            for decorator in (d for node in nodes for d in getattr(node, "decorator_list", ())):
                if any(True for _ in self._named(module, {}, decorator, set())):
                    yield module, name

    def _loads(self, source: str) -> Iterator[Work]:
        """The project's modules among a module and the packages it lies in."""
        parts = source.split(".")
        for n in range(1, len(parts) + 1):
            module = self._module(".".join(parts[:n]))
            if module is not None:
                yield module, ""

    def _uses(self, module: _Module, node: ast.stmt, packages: set[str]) -> Iterator[Work]:
        """Definitions that a statement mentions, in its own module or through its imports, and what it imports."""
        nested = _Module(module.name, module.package)
        for child in ast.walk(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                _import(child, nested)
        yield from self._named(module, nested.imports, node, packages)
        for source in nested.loaded:
            yield from self._loads(source)
        for source in nested.stars:
            yield from self._resolve(source, ("*",), packages)

    def _named(
        self, module: _Module, nested: dict[str, set[Target]], node: ast.AST, packages: set[str]
    ) -> Iterator[Work]:
        for name, chain in _mentions(node):
            targets = nested.get(name, set()) | module.imports.get(name, set())
            for source, attribute in targets:
                yield from self._resolve(source, (*attribute, *chain), packages)
            if name in module.definitions:
                yield module, name
            elif not targets:
                for source in module.stars:
                    yield from self._resolve(source, (name, *chain), packages, unsure=True)

    def _resolve(self, source, chain, packages, unsure=False, seen=frozenset()) -> list[Work]:
        """What `source.a.b…` leads to, as work to do; a third-party source is noted in `packages`.

        unsure: the name may well come from elsewhere, so that nothing is taken when it is not found.
        """
        module = self._module(source)
        if module is None:
            packages.add(source.partition(".")[0])
            return []
        work = list(self._loads(source))
        for i, name in enumerate(chain):
            if name == "*":
                break
            rest = chain[i + 1 :]
            submodule = self._module(f"{module.name}.{name}")
            targets = {t for t in module.imports.get(name, ()) if t != (module.name, (name,))} - seen
            if name in module.definitions or targets:
                for origin, attribute in targets:
                    work += self._resolve(origin, (*attribute, *rest), packages, seen=seen | targets)
                return [*work, (module, name)] if name in module.definitions else work
            if submodule is None:
                for star in module.stars:
                    if (star, (name,)) not in seen:
                        work += self._resolve(star, (name, *rest), packages, True, seen | {(star, (name,))})
                if unsure or module.stars:
                    return work
                break  # made at run time, by __getattr__ say
            module = submodule
            work.append((module, ""))
        # the module itself is used as a value
        return [*work, *((module, name) for name in module.everything)]

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def _find(self, name):
        for folder in self._places(name.partition(".")[0]):
            stem = folder.joinpath(*name.split("."))
            for path, package in ((stem / "__init__.py", name), (stem.with_suffix(".py"), name.rpartition(".")[0])):
                if path.is_file():
                    return _parse(name, path, package)
            if stem.is_dir() and next(stem.rglob("*.py"), None) is not None:
                return _Module(name, name)  # a package without __init__.py
        return None

    def _places(self, package: str) -> list[Path]:
        """The folders that a package may lie in: the project's, else that of somebody's own package."""
        if package not in self._packages:
            here = [f for f in self.folders if (f / package).is_dir() or (f / f"{package}.py").is_file()]
            self._packages[package] = here or own_folders(package)
        return self._packages[package]


def own_folders(package: str) -> list[Path]:
    """Where somebody's own package or module lies outside the project: on PYTHONPATH, or installed to be edited. None
    for what is installed, which lies among what pip says of it (*.dist-info): its version tells it."""
    if package in sys.stdlib_module_names:
        return []
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # e.g. __main__
        return []
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
    found = dict.fromkeys(Path(place).parent for place in places if place and not place.endswith("__init__.py"))
    return [f for f in found if f.is_dir() and not _INSTALLED & {*f.parts} and not any(f.glob("*.dist-info"))]


_INSTALLED = {"site-packages", "dist-packages"}  # of pip, conda, Debian, a cluster's modules


def strangers(root: Path, places: Iterable[str]) -> list[str]:
    """Those of the folders that modules are imported from that hold another package of the name than root has."""
    package = Path(__file__).parents[1].name
    found = [place for place in places if place and (Path(place) / package / "__init__.py").is_file()]
    if not (root / package).is_dir():
        return []
    return [place for place in found if not (root / package).samefile(Path(place) / package)]


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _ordered(nodes: Iterable[tuple[str, ast.stmt]]) -> Iterator[tuple[str, int, str]]:
    """(module, place, text): definitions have no place, statements that run have theirs, for order may matter there."""
    of_module: dict[str, list[ast.stmt]] = {}
    for module, node in nodes:
        of_module.setdefault(module, []).append(node)
    for module, members in of_module.items():
        statements = sorted((n for n in members if not isinstance(n, _DEFINITIONS)), key=lambda n: n.lineno)
        for place, node in enumerate(statements, start=1):
            yield module, place, _text(node)
        for node in members:
            if isinstance(node, _DEFINITIONS):
                yield module, 0, _text(node)


def _tree(source: bytes, name: str) -> ast.Module:
    """Before 3.11.5, Python may miscount its recursion when the garbage collector runs while a tree is made, and raise
    SystemError; it does not twice."""
    try:
        return ast.parse(source, filename=name)
    except SystemError:
        return ast.parse(source, filename=name)


def _parse(name: str, path: Path, package: str) -> _Module:
    try:
        tree = _tree(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    except FileNotFoundError as error:
        raise ValueError(f"there is no script {path}") from error
    _strip(tree)
    module = _Module(name, package)
    _sort(tree.body, module)
    return module


def _sort(body: list[ast.stmt], module: _Module) -> None:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _import(node, module)
        elif isinstance(node, _DEFINITIONS):
            module.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.If) and (_is_type_checking(node.test) or _is_not_run(node.test, module)):
            _sort(node.orelse, module)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # a docstring
            bound = _bound(node)
            for name in bound:
                module.definitions.setdefault(name, []).append(node)
            if not (isinstance(node, _PLAIN) and bound):
                module.effects.append(node)
                for child in ast.walk(node):  # e.g. under try:
                    if isinstance(child, ast.Import | ast.ImportFrom):
                        _import(child, module)


def _import(node: ast.Import | ast.ImportFrom, module: _Module) -> None:
    """Note in `module` what an import statement binds and loads."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.name if alias.asname else alias.name.partition(".")[0]
            module.imports.setdefault(alias.asname or bound, set()).add((bound, ()))
            module.loaded.add(alias.name)
        return
    parents = module.package.split(".")
    parents = parents[: len(parents) - node.level + 1] if node.level else []
    source = ".".join([*parents, *([node.module] if node.module else [])])
    module.loaded.add(source)
    for alias in node.names:
        if alias.name == "*":
            module.stars.append(source)
        else:
            module.imports.setdefault(alias.asname or alias.name, set()).add((source, (alias.name,)))
            module.loaded.add(f"{source}.{alias.name}")


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds, at any depth: more than it does to its module, never fewer."""
    names = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(child.name)
    return names


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Scope = _Function | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _mentions(node: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Names not `local` that code reads, each with the attributes read off it: `a.b.c` → ('a', ['b', 'c'])."""
    chain: list[str] = []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        if node.id not in local and (chain or not isinstance(node.ctx, ast.Store)):
            yield node.id, chain
        return
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id not in local:
        yield node.target.id, []
    outside: list[ast.AST] = list(ast.iter_child_nodes(node))
    inside: list[ast.AST] = []
    inner = local
    if isinstance(node, _FUNCTIONS):
        inside = [*node.body] if isinstance(node.body, list) else [node.body]
        inner = local | _locals(node)
        outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, _COMPREHENSIONS):
        outside, inside = [node.generators[0].iter], outside
        inner = local | _locals(node)
    for child in outside:
        yield from _mentions(child, local)
    for child in inside:
        yield from _mentions(child, inner)


def _locals(scope: _Scope) -> frozenset[str]:
    """Names that belong to a function or comprehension; those it imports are left to be looked up as imports."""
    if isinstance(scope, _COMPREHENSIONS):
        stored = (name for generator in scope.generators for name in ast.walk(generator.target))
        return frozenset(name.id for name in stored if isinstance(name, ast.Name))
    a = scope.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    names, elsewhere = {argument.arg for argument in arguments}, set()
    todo: list[ast.AST] = [*scope.body] if isinstance(scope.body, list) else [scope.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Global):
            elsewhere.update(node.names)
        if not isinstance(node, (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
    return frozenset(names - elsewhere)


def _is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def _is_not_run(test: ast.expr, module: _Module) -> bool:
    """What `if __name__ == "__main__":` guards, in a module that is imported."""
    return module.name != "__main__" and ast.unparse(test) == "__name__ == '__main__'"


def _strip(tree: ast.AST) -> None:
    """Remove what cannot change a result: docstrings and the annotations of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, _DEFINITIONS):
            if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
            if not isinstance(node, ast.ClassDef):
                node.returns = None


_text = cache(ast.unparse)  # a statement is of many scripts


@cache
def installed_version(package: str) -> str:
    """Version of the distribution that provides an importable package; '' for the standard library."""
    try:
        return version(package)
    except PackageNotFoundError:
        distributions = _distributions().get(package, [])
        return version(distributions[0]) if distributions else ""


@lru_cache(maxsize=1)
def _distributions():
    return packages_distributions()
