"""Which code can a result depend on? A digest of exactly that, for Snakemake's params.

From a script (and the functions its config names) every definition that can be reached is collected, across the
project's modules, function by function. The digest is taken on the parsed tree without docstrings, comments, layout
and the annotations of functions, so only a change that can change the result changes it; the versions of the
third-party packages that the reached code imports go in as well. Nothing is imported or run.

Reached: every name a definition mentions, through imports to the definition behind it; whole classes; whatever a
module does at its top level besides defining, if anything of the module is reached. Where a module itself is used as a
value (passed on, `getattr`), all of it is taken. What only a string names must be given as a root.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path


@dataclass(frozen=True)
class _Module:
    name: str
    package: str  # what its relative imports start from
    definitions: dict[str, list[ast.stmt]]  # what binds each top-level name
    imports: dict[str, tuple[str, str | None]]  # local name → (module, attribute or None for the module itself)
    effects: list[ast.stmt]  # top-level statements that bind nothing

    @property
    def everything(self) -> set[str]:
        return set(self.definitions) | set(self.imports)


class Project:
    """The Python modules below some folders, e.g. the workflow's own and the folder a user's purifier lies in."""

    def __init__(self, *folders: str | Path):
        self.folders = [Path(folder) for folder in folders]
        self._modules: dict[str, _Module | None] = {}
        self._reached: dict[tuple, tuple[dict[tuple[str, str], str], set[str]]] = {}

    def digest(self, script: str | Path, *named: str) -> str:
        """Hex digest of the code that `script` and the functions `named` ('module:function') can reach.

        ValueError if the script or a named function does not exist in the project or as an installed package.
        """
        reached, packages = self._reach(script, named)
        sha = hashlib.sha256()
        for (module, name), text in sorted(reached.items()):
            sha.update(f"{module}:{name}\n{text}\n".encode())
        for package in sorted(packages):
            sha.update(f"{package}=={installed_version(package)}\n".encode())
        return sha.hexdigest()[:16]

    def reached(self, script: str | Path, *named: str) -> set[str]:
        """The names 'module:definition' behind a digest, for tests and for the curious."""
        return {f"{module}:{name}" for module, name in self._reach(script, named)[0]}

    def packages(self, script: str | Path, *named: str) -> set[str]:
        """The importable packages outside the project that this code imports; the standard library's among them."""
        return self._reach(script, named)[1]

    def signature(self, named: str) -> ast.arguments | None:
        """Arguments of 'module:function' (of __init__ for a class). None if it lies outside the project.

        ValueError if the module is the project's and defines no such thing.
        """
        name, _, function = named.partition(":")
        module = self._module(name)
        if module is None:
            return None
        if function in module.imports:
            return self.signature("{}:{}".format(*module.imports[function]))
        for node in module.definitions.get(function, []):
            if isinstance(node, ast.ClassDef):
                node = next((n for n in node.body if getattr(n, "name", None) == "__init__"), None)
                return node.args if node else None
            if isinstance(node, ast.FunctionDef):
                return node.args
        if function not in module.definitions:
            raise ValueError(f"there is no '{function}' in {name.replace('.', '/')}.py")
        return None

    def _reach(self, script, named):
        if (script, named) not in self._reached:  # many jobs ask for the same
            self._reached[script, named] = self._collect(script, named)
        return self._reached[script, named]

    def _collect(self, script, named):
        main = _parse("__main__", Path(script), package="")
        todo = [(main, name) for name in ["", *main.definitions]]
        packages: set[str] = set()
        for root in named:
            self.signature(root)
            module, _, function = root.partition(":")
            todo += self._resolve(module, [function], packages)
        reached: dict[tuple[str, str], str] = {}
        while todo:
            module, name = todo.pop()
            if (module.name, name) in reached:
                continue
            if name in module.imports and name not in module.definitions:
                source, attribute = module.imports[name]
                todo += self._resolve(source, [attribute] if attribute else [], packages)
                continue
            nodes = module.definitions[name] if name else module.effects
            reached[module.name, name] = "\n".join(ast.unparse(_without_annotations(node)) for node in nodes)
            for node in nodes:
                todo += self._uses(module, node, packages)
        return reached, packages

    def _uses(self, module, node, packages) -> Iterator[tuple[_Module, str]]:
        """Definitions that a statement mentions, in its own module or through `module.attribute`."""
        node = _without_annotations(node)
        imports = module.imports | _nested_imports(node, module.package)
        for name, chain in _mentions(node):
            if name in imports:
                source, attribute = imports[name]
                yield from self._resolve(source, [*([attribute] if attribute else []), *chain], packages)
            if name in module.definitions:
                yield module, name

    def _resolve(self, source: str, chain: list[str], packages: set[str]) -> list[tuple[_Module, str]]:
        """What `source.a.b…` leads to, as work to do; a third-party source is noted in `packages`."""
        module = self._module(source)
        if module is None:
            packages.add(source.partition(".")[0])
            return []
        work = [(module, "")]
        for name in chain:
            if name == "*":
                break
            if name in module.everything:
                return [*work, (module, name)]
            submodule = self._module(f"{module.name}.{name}")
            if submodule is None:
                return work
            module = submodule
            work.append((module, ""))
        return [*work, *((module, name) for name in module.everything)]  # the module itself is used as a value

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def _find(self, name):
        for folder in self.folders:
            stem = folder.joinpath(*name.split("."))
            for path, package in ((stem / "__init__.py", name), (stem.with_suffix(".py"), name.rpartition(".")[0])):
                if path.is_file():
                    return _parse(name, path, package)
            if any(stem.glob("*.py")):
                return _Module(name, name, {}, {}, [])  # a package without __init__.py
        return None


def _parse(name: str, path: Path, package: str) -> _Module:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    module = _Module(name, package, {}, {}, [])
    _sort(tree.body, module, package)
    return module


def _sort(body, module: _Module, package: str) -> None:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_imported(node, package))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            continue
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        else:
            plain = isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
            bound = _bound(node)
            for name in bound:
                module.definitions.setdefault(name, []).append(node)
            if not (plain and bound):
                module.effects.append(node)
                module.imports.update(_nested_imports(node, package))  # e.g. under try:


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


def _mentions(node: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Names not `local` that code reads, each with the attributes read off it: `a.b.c` → ('a', ['b', 'c'])."""
    chain: list[str] = []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        if node.id not in local:
            yield node.id, chain
        return
    outside, inside = list(ast.iter_child_nodes(node)), []
    if isinstance(node, _FUNCTIONS):
        inside = node.body if isinstance(node.body, list) else [node.body]
        outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, _COMPREHENSIONS):
        outside, inside = [node.generators[0].iter], outside
    for child in outside:
        yield from _mentions(child, local)
    for child in inside:
        yield from _mentions(child, local | _locals(node))


def _locals(scope: ast.AST) -> frozenset[str]:
    """Names that belong to a function or comprehension; those it imports are left to be looked up as imports."""
    if isinstance(scope, _COMPREHENSIONS):
        stored = (name for generator in scope.generators for name in ast.walk(generator.target))
        return frozenset(name.id for name in stored if isinstance(name, ast.Name))
    a = scope.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    names, elsewhere = {argument.arg for argument in arguments}, set()
    todo = list(scope.body) if isinstance(scope.body, list) else [scope.body]
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


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        return {
            a.asname or a.name.partition(".")[0]: (a.name if a.asname else a.name.partition(".")[0], None)
            for a in node.names
        }
    parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    source = ".".join([*parents, *([node.module] if node.module else [])])
    return {a.asname or a.name: (source, a.name) for a in node.names}


def _nested_imports(node: ast.stmt, package: str) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            found.update(_imported(child, package))
    return found


def _is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


class _Strip(ast.NodeTransformer):
    """Removes what cannot change a result: docstrings and the annotations of functions."""

    def _strip(self, node):
        self.generic_visit(node)
        if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        if not isinstance(node, ast.ClassDef):
            node.returns = None
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _strip

    def visit_arg(self, node):
        node.annotation = None
        return node


@cache
def _without_annotations(node: ast.stmt) -> ast.stmt:
    return _Strip().visit(ast.parse(ast.unparse(node)).body[0])


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
