"""A digest changes if and only if code that can be reached changes."""

import ast
import shutil
import signal
from pathlib import Path

import pytest

from purity.run import codehash
from purity.run.codehash import Project

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_endless_search():
    """Each test here takes half a second of processor time, the first of a process some more for the digests of the
    whole project; one that has not ended after half a minute goes in circles."""

    def ring(*_):
        raise TimeoutError("the search for reached code does not end")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, 30)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def digest(folder: Path, *roots: str) -> str:
    return Project(folder).digest(folder / "main.py", *roots)


def edited(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")


def changes(
    folder: Path, files: dict[str, str], *roots: str, file: str, old: str = "VALUE", new: str = "OTHER"
) -> bool:
    """Does an edit of `file` change the digest of main.py?"""
    write(folder, files)
    before = digest(folder, *roots)
    edited(folder, file, old, new)
    return digest(folder, *roots) != before


F = "def f():\n    return 'VALUE'\n"
FG = "def f():\n    return 'f'\n\ndef g():\n    return 'VALUE'\n"


# What cannot change a result.

PLAIN = '''"""A module."""
import math

K = {"a": 1,
     "b": 2}


class Thing:
    """A thing."""
    size: int = 3

    def area(self, k: int) -> float:
        """Its area."""
        return math.pi * (self.size + k)


def f(x: float, *, y: int = 2) -> float:
    """Something."""
    # a comment
    return Thing().area(x) + K["a"] + y
'''
REWRITTEN = """import math
K = {'a': 0x1, "b": (2)}  # the same
class Thing:
    size: int = 3
    def area(self, k): return math.pi*(self.size+k)
def f(
    x,
    *,
    y=2,
):
    '''Another
    docstring.'''
    return (Thing().area(x)
            + K["a"] + y)
"""


def test_comments_docstrings_layout_and_annotations_of_functions_do_not_count(tmp_path):
    write(tmp_path, {"main.py": '"""Doc."""\nimport a\n\nprint(a.f(1))  # hm\n', "a.py": PLAIN})
    before = digest(tmp_path)
    write(tmp_path, {"main.py": "import a\nprint(\n    a.f(1),\n)\n", "a.py": REWRITTEN})
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("math.pi", "math.e"),
        ("y: int = 2", "y: int = 3"),
        ('"a": 1', '"a": 2'),
        ("size: int = 3", "size: int = 4"),
        ("+ y", "- y"),
    ],
)
def test_every_other_token_counts(tmp_path, old, new):
    assert changes(tmp_path, {"main.py": "import a\nprint(a.f(1))\n", "a.py": PLAIN}, file="a.py", old=old, new=new)


def test_a_digest_is_the_same_wherever_the_project_lies(tmp_path):
    files = {"main.py": "from pack.a import f\nf()\n", "pack/a.py": F}
    assert digest(write(tmp_path / "here", files)) == digest(write(tmp_path / "elsewhere", files))


# Reached: the edit of `VALUE` must change the digest. (files, edited file)

REACHED = {
    "the script itself": ({"main.py": "print('VALUE')\n"}, "main.py"),
    "a function of the script": ({"main.py": "def f():\n    return 'VALUE'\n"}, "main.py"),
    "from a import f": ({"main.py": "from a import f\nf()\n", "a.py": F}, "a.py"),
    "from a import f as g": ({"main.py": "from a import f as g\ng()\n", "a.py": F}, "a.py"),
    "import a": ({"main.py": "import a\na.f()\n", "a.py": F}, "a.py"),
    "import a.b": ({"main.py": "import a.b\na.b.f()\n", "a/__init__.py": "", "a/b.py": F}, "a/b.py"),
    "import a.b as c": ({"main.py": "import a.b as c\nc.f()\n", "a/__init__.py": "", "a/b.py": F}, "a/b.py"),
    "from a import b": ({"main.py": "from a import b\nb.f()\n", "a/__init__.py": "", "a/b.py": F}, "a/b.py"),
    "no __init__": ({"main.py": "from a import b\nb.f()\n", "a/b.py": F}, "a/b.py"),
    "no __init__ at two levels": ({"main.py": "import a.b.c\na.b.c.f()\n", "a/b/c.py": F}, "a/b/c.py"),
    "relative, one dot": (
        {"main.py": "from a.b import f\nf()\n", "a/__init__.py": "", "a/b.py": "from .c import f\n", "a/c.py": F},
        "a/c.py",
    ),
    "relative, the package": (
        {
            "main.py": "from a.b import g\ng()\n",
            "a/__init__.py": "",
            "a/b.py": "from . import c\ndef g():\n    return c.f()\n",
            "a/c.py": F,
        },
        "a/c.py",
    ),
    "relative, two dots": (
        {
            "main.py": "from a.b.c import g\ng()\n",
            "a/__init__.py": "",
            "a/b/__init__.py": "",
            "a/b/c.py": "from ..d import f\ndef g():\n    return f()\n",
            "a/d.py": F,
        },
        "a/d.py",
    ),
    "re-export": ({"main.py": "from a import f\nf()\n", "a/__init__.py": "from .b import f\n", "a/b.py": F}, "a/b.py"),
    "re-export under a name": (
        {"main.py": "import a\na.g()\n", "a/__init__.py": "from a.b import f as g\n", "a/b.py": F},
        "a/b.py",
    ),
    "re-exported submodule": (
        {"main.py": "import a\na.b.f()\n", "a/__init__.py": "from . import b\n", "a/b.py": F},
        "a/b.py",
    ),
    "submodule that the package imports too": (
        {"main.py": "from a import b\nb.f()\n", "a/__init__.py": "from . import b\n", "a/b.py": F},
        "a/b.py",
    ),
    "modules that import each other": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "import b\ndef f():\n    return b.g()\ndef h():\n    return 'VALUE'\n",
            "b.py": "import a\ndef g():\n    return a.h()\n",
        },
        "a.py",
    ),
    "import inside a function": (
        {"main.py": "def go():\n    from a import f\n    return f()\ngo()\n", "a.py": F},
        "a.py",
    ),
    "either of two imports inside a function": (
        {
            "main.py": (
                "def go(fast):\n    if fast:\n        from a import f\n    else:\n        from b import f\n"
                "    return f()\ngo(True)\n"
            ),
            "a.py": F,
            "b.py": "def f():\n    return 'b'\n",
        },
        "a.py",
    ),
    "import that may fail": (
        {
            "main.py": "try:\n    from a import f\nexcept ImportError:\n    from b import f\nf()\n",
            "a.py": F,
            "b.py": "def f():\n    return 'b'\n",
        },
        "a.py",
    ),
    "import that may fail, what takes its place": (
        {
            "main.py": "try:\n    from a import f\nexcept ImportError:\n    from b import f\nf()\n",
            "a.py": "def f():\n    return 'a'\n",
            "b.py": F,
        },
        "b.py",
    ),
    "import with a definition in its place": (
        {
            "main.py": "import c\nc.f()\n",
            "c.py": "try:\n    from a import f\nexcept ImportError:\n    def f():\n        return 'c'\n",
            "a.py": F,
        },
        "a.py",
    ),
    "import with None in its place": (
        {
            "main.py": "import c\nc.g()\n",
            "c.py": "try:\n    from a import f\nexcept ImportError:\n    f = None\ndef g():\n    return f()\n",
            "a.py": F,
        },
        "a.py",
    ),
    "default argument": (
        {"main.py": "from a import g\ng()\n", "a.py": F + "def g(x=f()):\n    return x\n"},
        "a.py",
    ),
    "decorator": (
        {"main.py": "from a import g\ng()\n", "a.py": "def d(f):\n    return 'VALUE'\n@d\ndef g():\n    pass\n"},
        "a.py",
    ),
    "decorator of a method": (
        {
            "main.py": "from a import C\nC()\n",
            "a.py": "def d(f):\n    return 'VALUE'\nclass C:\n    @d\n    def g(self):\n        pass\n",
        },
        "a.py",
    ),
    "base class": (
        {"main.py": "from a import C\nC()\n", "a.py": "class B:\n    x = 'VALUE'\nclass C(B):\n    pass\n"},
        "a.py",
    ),
    "base class elsewhere": (
        {
            "main.py": "from a import C\nC()\n",
            "a.py": "import b\nclass C(b.B):\n    pass\n",
            "b.py": "class B:\n    x = 'VALUE'\n",
        },
        "b.py",
    ),
    "method": (
        {"main.py": "from a import C\nC().m()\n", "a.py": "class C:\n    def m(self):\n        return 'VALUE'\n"},
        "a.py",
    ),
    "dispatch table": (
        {
            "main.py": "from a import go\ngo('f')\n",
            "a.py": F + "TABLE = {'f': f}\ndef go(name):\n    return TABLE[name]()\n",
        },
        "a.py",
    ),
    "dispatch table of another module": (
        {"main.py": "from b import TABLE\nTABLE['f']()\n", "b.py": "import a\nTABLE = dict(f=a.f)\n", "a.py": F},
        "a.py",
    ),
    "lambda in a table": ({"main.py": "from a import T\nT[0]()\n", "a.py": "T = [lambda: 'VALUE']\n"}, "a.py"),
    "constant": ({"main.py": "from a import g\ng()\n", "a.py": "K = 'VALUE'\ndef g():\n    return K\n"}, "a.py"),
    "constant by tuple": ({"main.py": "from a import K\nprint(K)\n", "a.py": "J, K = 1, 'VALUE'\n"}, "a.py"),
    "constant of a constant": ({"main.py": "from a import K\nprint(K)\n", "a.py": "J = 'VALUE'\nK = [J]\n"}, "a.py"),
    "constant changed afterwards": (
        {"main.py": "from a import K\nprint(K)\n", "a.py": "K = []\nK += ['VALUE']\n"},
        "a.py",
    ),
    "name bound twice": (
        {"main.py": "from a import f\nf()\n", "a.py": F + "def wrap(g):\n    return g\nf = wrap(f)\n"},
        "a.py",
    ),
    "registration": (
        {"main.py": "from a import REG\nREG['f']()\n", "a.py": F + "REG = {}\nREG['f'] = f\n"},
        "a.py",
    ),
    "registration by a call": (
        {"main.py": "from a import REG\nREG[0]()\n", "a.py": F + "REG = []\nREG.append(f)\n"},
        "a.py",
    ),
    "registration by a loop": (
        {"main.py": "from a import REG\nREG[0]()\n", "a.py": F + "REG = []\nfor h in (f,):\n    REG.append(h)\n"},
        "a.py",
    ),
    "registration by a decorator of the project": (
        {
            "main.py": "from a import REG\nREG['f']()\n",
            "a.py": "REG = {}\ndef reg(f):\n    REG[f.__name__] = f\n    return f\n@reg\n" + F,
        },
        "a.py",
    ),
    "registration by a decorator that is a function's attribute": (
        {
            "main.py": "from a import go\ngo(1)\n",
            "a.py": (
                "from functools import singledispatch\n@singledispatch\ndef go(x):\n    pass\n"
                "@go.register(int)\ndef _(x):\n    return 'VALUE'\n"
            ),
        },
        "a.py",
    ),
    "registration by an import": (
        {
            "main.py": "import plugin\nfrom registry import REG\nREG['f']()\n",
            "registry.py": "REG = {}\n",
            "plugin.py": "from registry import REG\n" + F + "REG['f'] = f\n",
        },
        "plugin.py",
    ),
    "what a package does when it is imported": (
        {
            "main.py": "from a.b import f\nf()\n",
            "a/__init__.py": "import os\nos.environ['K'] = 'VALUE'\n",
            "a/b.py": F.replace("VALUE", "f"),
        },
        "a/__init__.py",
    ),
    "definition under if": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "import sys\nif sys.flags.optimize:\n    def f():\n        return 'VALUE'\nelse:\n    def f():\n        return 1\n",
        },
        "a.py",
    ),
    "definition under else of TYPE_CHECKING": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import f\nelse:\n    def f():\n        return 'VALUE'\n",
        },
        "a.py",
    ),
    "module as a value": ({"main.py": "import a\nprint(getattr(a, input())())\n", "a.py": FG}, "a.py"),
    "module as an argument": ({"main.py": "from a import b\nprint(b)\n", "a/__init__.py": "", "a/b.py": FG}, "a/b.py"),
    "module under another name": ({"main.py": "import a\nm = a\nm.g()\n", "a.py": FG}, "a.py"),
    "vars of a module": ({"main.py": "import a\nvars(a)['g']()\n", "a.py": FG}, "a.py"),
    "__dict__ of a module": ({"main.py": "import a\na.__dict__['g']()\n", "a.py": FG}, "a.py"),
    "lazy attribute of a module": (
        {
            "main.py": "import a\na.f()\n",
            "a/__init__.py": "def __getattr__(name):\n    from a import b\n    return getattr(b, name)\n",
            "a/b.py": F,
        },
        "a/b.py",
    ),
    "star import": ({"main.py": "from a import *\nf()\n", "a.py": F}, "a.py"),
    "star import, by the module's name": (
        {"main.py": "import a\na.f()\n", "a.py": "from b import *\n", "b.py": F},
        "b.py",
    ),
    "star import in __init__": (
        {"main.py": "from a import f\nf()\n", "a/__init__.py": "from .b import *\n", "a/b.py": F},
        "a/b.py",
    ),
    "generator, comprehension, f-string": (
        {"main.py": "from a import f\nprint(f'{[f() for _ in range(3)]}')\n", "a.py": F},
        "a.py",
    ),
    "match": ({"main.py": "from a import f\nmatch 1:\n    case _:\n        f()\n", "a.py": F}, "a.py"),
    "nested function": (
        {"main.py": "from a import g\ng()\n", "a.py": F + "def g():\n    def h():\n        return f()\n    return h\n"},
        "a.py",
    ),
    "partial": ({"main.py": "from functools import partial\nimport a\npartial(a.f)()\n", "a.py": F}, "a.py"),
    "dataclass field": (
        {
            "main.py": "from a import C\nC()\n",
            "a.py": "from dataclasses import dataclass, field\ndef f():\n    return 'VALUE'\n@dataclass\nclass C:\n    x: str = field(default_factory=f)\n",
        },
        "a.py",
    ),
    "attribute of a module patched": (
        {"main.py": "import a\na.K = 'VALUE'\na.f()\n", "a.py": "K = 1\ndef f():\n    return K\n"},
        "main.py",
    ),
    "async function": ({"main.py": "import asyncio, a\nasyncio.run(a.f())\n", "a.py": "async " + F}, "a.py"),
    "byte order mark": ({"main.py": "import a\na.f()\n", "a.py": "\ufeff" + F}, "a.py"),
}


@pytest.mark.parametrize("case", REACHED)
def test_what_can_be_reached_counts(case, tmp_path):
    files, file = REACHED[case]
    assert changes(tmp_path, files, file=file)


# Not reached: the edit of `VALUE` must leave the digest alone.

NOT_REACHED = {
    "another function": ({"main.py": "from a import f\nf()\n", "a.py": FG}, "a.py"),
    "another function, by the module's name": ({"main.py": "import a\na.f()\n", "a.py": FG}, "a.py"),
    "another function of a submodule": (
        {"main.py": "from a import b\nb.f()\n", "a/__init__.py": "", "a/b.py": FG},
        "a/b.py",
    ),
    "another function, by the package's name": (
        {"main.py": "import a.b\na.b.f()\n", "a/__init__.py": "", "a/b.py": FG},
        "a/b.py",
    ),
    "another function that is re-exported": (
        {"main.py": "from a import f\nf()\n", "a/__init__.py": "from .b import f, g\n", "a/b.py": FG},
        "a/b.py",
    ),
    "another constant": ({"main.py": "from a import J\nprint(J)\n", "a.py": "J = 1\nK = 'VALUE'\n"}, "a.py"),
    "another class": (
        {"main.py": "from a import f\nf()\n", "a.py": "def f():\n    pass\nclass C:\n    x = 'VALUE'\n"},
        "a.py",
    ),
    "another module": ({"main.py": "import a\na.f()\n", "a.py": "def f():\n    pass\n", "b.py": F}, "b.py"),
    "import that only an unreached function uses": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "from b import g\ndef f():\n    pass\ndef h():\n    g()\n",
            "b.py": FG,
        },
        "b.py",
    ),
    "import for the types only": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import g\n    G = g | None\ndef f(x: 'G' = 1):\n    pass\n",
            "b.py": FG,
        },
        "b.py",
    ),
    "import for the types only, typing by name": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "import typing\nif typing.TYPE_CHECKING:\n    from b import g\n    G = g | None\ndef f(x: 'G' = 1):\n    pass\n",
            "b.py": FG,
        },
        "b.py",
    ),
    "what an imported module does as a program": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "def f():\n    pass\nif __name__ == '__main__':\n    from b import g\n    g()\n",
            "b.py": FG,
        },
        "b.py",
    ),
    "annotation of a function": (
        {"main.py": "from a import f\nf()\n", "a.py": "from b import g\ndef f(x: g = 1) -> g:\n    pass\n", "b.py": FG},
        "b.py",
    ),
    "a string that looks like a name": (
        {"main.py": "from a import f\nf('g')\n", "a.py": FG.replace("f()", "f(x)")},
        "a.py",
    ),
    "a neighbour decorated by a library": (
        {
            "main.py": "from a import f\nf()\n",
            "a.py": "import functools\ndef f():\n    pass\n@functools.cache\ndef g():\n    return 'VALUE'\n",
        },
        "a.py",
    ),
}


@pytest.mark.parametrize("case", NOT_REACHED)
def test_what_cannot_be_reached_does_not_count(case, tmp_path):
    files, file = NOT_REACHED[case]
    assert not changes(tmp_path, files, file=file)


def test_the_order_of_what_a_module_does_counts(tmp_path):
    module = "K = 1\nJ = K\nK = 2\n"
    assert changes(
        tmp_path,
        {"main.py": "from a import J, K\nprint(J, K)\n", "a.py": module},
        file="a.py",
        old="J = K\nK = 2",
        new="K = 2\nJ = K",
    )


# Roots.


def test_a_root_is_reached_and_its_neighbour_is_not(tmp_path):
    files = {"main.py": "print(input())\n", "a/__init__.py": "", "a/b.py": FG}
    assert changes(tmp_path / "1", files, "a.b:g", file="a/b.py")
    assert not changes(tmp_path / "2", files, "a.b:f", file="a/b.py")
    assert not changes(tmp_path / "3", files, file="a/b.py")


def test_a_root_is_followed_through_a_re_export(tmp_path):
    files = {"main.py": "", "a/__init__.py": "from .b import g\n", "a/b.py": FG}
    assert changes(tmp_path, files, "a:g", file="a/b.py")


def test_reached_names_the_definitions(tmp_path):
    write(
        tmp_path, {"main.py": "from a import f\nf()\n", "a.py": "K = 1\ndef h():\n    pass\ndef f():\n    return K\n"}
    )
    names = {name for name in Project(tmp_path).reached(tmp_path / "main.py") if not name.endswith(":")}
    assert names == {"a:f", "a:K"}


def test_several_folders_are_searched(tmp_path):
    write(tmp_path / "one", {"main.py": "from mine import f\nf()\n"})
    write(tmp_path / "two", {"mine.py": F})
    before = Project(tmp_path / "one", tmp_path / "two").digest(tmp_path / "one/main.py")
    edited(tmp_path / "two", "mine.py", "VALUE", "OTHER")
    assert Project(tmp_path / "one", tmp_path / "two").digest(tmp_path / "one/main.py") != before


@pytest.mark.parametrize("root", ["a:nothing", "a.nothing:f", "a.b:nothing", "nowhere_at_all:f", "nowhere_at_all.b:f"])
def test_an_unknown_root_is_refused(root, tmp_path):
    write(tmp_path, {"main.py": "", "a/__init__.py": F, "a/b.py": F})
    with pytest.raises(ValueError, match=r"nothing|nowhere_at_all"):
        digest(tmp_path, root)


def test_an_installed_root_is_accepted(tmp_path):
    write(tmp_path, {"main.py": ""})
    assert digest(tmp_path, "scipy.special:expit") != digest(tmp_path)


def test_a_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"main\.py"):
        digest(tmp_path)


@pytest.mark.parametrize("file", ["main.py", "a.py"])
def test_a_syntax_error_names_file_and_line(file, tmp_path):
    write(tmp_path, {"main.py": "from a import f\nf()\n", "a.py": F} | {file: "from a import f\n\ndef g(:\n"})
    with pytest.raises(ValueError, match=rf"{file}.*3") as refused:
        digest(tmp_path)
    assert "\n" not in str(refused.value)


def test_what_was_refused_is_refused_again(tmp_path):
    project = Project(write(tmp_path, {"main.py": "from a import f\nf()\n", "a.py": "def g(:\n"}))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a\.py.*1"):
            project.digest(tmp_path / "main.py")


# Signatures.


def test_a_signature_is_that_of_the_function_or_of_init(tmp_path):
    write(
        tmp_path,
        {
            "a/__init__.py": "from .b import f\nfrom .b import C as D\nimport numpy\n",
            "a/b.py": "def f(x, *, y=1):\n    pass\nclass C:\n    def __init__(self, z):\n        pass\n",
        },
    )
    project = Project(tmp_path)
    assert [a.arg for a in project.signature("a:f").kwonlyargs] == ["y"]
    assert [a.arg for a in project.signature("a:D").args] == ["self", "z"]
    assert project.signature("numpy:mean") is None


def test_a_submodule_that_the_package_imports_is_no_function(tmp_path):
    write(tmp_path, {"a/__init__.py": "from . import b\n", "a/b.py": F})
    with pytest.raises(ValueError, match="b"):
        Project(tmp_path).signature("a:b")


# Versions of third-party packages.

VERSIONED = {
    "main.py": "import a\na.f()\n",
    "a.py": "import numpy as np\nimport yaml\ndef f():\n    return np.zeros(3)\ndef g():\n    return yaml.dump\n",
}


@pytest.mark.parametrize(("package", "counts"), [("numpy", True), ("yaml", False), ("scipy", False)])
def test_a_version_counts_only_where_its_package_is_reached(package, counts, tmp_path, monkeypatch):
    write(tmp_path, VERSIONED)
    before = digest(tmp_path)
    installed = codehash.installed_version
    monkeypatch.setattr(codehash, "installed_version", lambda name: "0.0" if name == package else installed(name))
    assert (digest(tmp_path) != before) == counts


def test_versions_are_found_by_the_name_that_is_imported():
    assert codehash.installed_version("sklearn") == codehash.installed_version("scikit-learn") != ""
    assert codehash.installed_version("yaml") == codehash.installed_version("PyYAML") != ""
    assert codehash.installed_version("pathlib") == ""


# The project itself.

# Figures by the study that draws them.
FIGURES = {
    **{name: name for name in ("trajectory", "distances", "robustness", "transfer", "compression")},
    **dict.fromkeys(("directions", "centroids", "variance"), "ball"),
    "loss": "training",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    for part in ("purity", "workflow/scripts"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def before(original):
    return digests(original)


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original, tmp_path, dirs_exist_ok=True)


def digests(folder: Path) -> dict[str, str]:
    """Digests as the rules take them, by what they are for."""
    project = Project(folder)
    scripts = folder / "workflow/scripts"
    networks = ["purity.networks:cnn", "purity.networks:unet"]
    attack, ddpm = "purity.stages.attack:attack", "purity.purifiers:ddpm"
    wanted = {
        **{
            f"attack {f}": ["stage", attack, *networks, ddpm, f"purity.attacks:{f}"]
            for f in ("pgd", "bpda", "worst_of")
        },
        "perturb": ["perturb", attack, "purity.attacks:uniform"],
        **{
            f"purify {f}": ["stage", "purity.stages.purify:purify_and_judge", *networks, f"purity.purifiers:{f}"]
            for f in ("gaussian", "ddpm", "reverse", "ddim")
        },
        "ball": ["stage", "purity.stages.ball:sample_ball", "purity.networks:unet", ddpm],
        "states": ["stage", "purity.stages.purify:states", "purity.networks:unet", ddpm],
        "measure": ["measure", "purity.metrics:judged"],
        "measure ball": ["measure", "purity.metrics:ball"],
        "subset": ["subset", "purity.data:digits"],
        "train classifier": ["train_classifier", "purity.networks:cnn", "purity.data:digits"],
        "train diffusion": ["train_diffusion", "purity.networks:unet", "purity.data:digits"],
        "table robustness": ["tables", "purity.studies.robustness:robustness", "purity.studies.robustness:evidence"],
        "table ball": ["tables", *(f"purity.studies.ball:{f}" for f in ("directions", "variance", "evidence"))],
        **{f"figure {f}": ["figure", f"purity.studies.{study}:draw_{f}"] for f, study in FIGURES.items()},
        "gallery": ["gallery"],
    }
    return {name: project.digest(scripts / f"{script}.py", *roots) for name, (script, *roots) in wanted.items()}


@pytest.fixture
def after(copy, before):
    """after('module:function'): what an edit of that function makes run again."""

    def edit(function: str) -> set[str]:
        module, _, name = function.partition(":")
        path = copy / "purity" / f"{module.replace('.', '/')}.py"
        lines = path.read_text(encoding="utf-8").splitlines()
        (node,) = (n for n in ast.parse("\n".join(lines)).body if getattr(n, "name", None) == name)
        last = node.body[-1]
        lines.insert(last.lineno - 1, " " * last.col_offset + "assert True")
        path.write_text("\n".join(lines), encoding="utf-8")
        return {name for name, value in digests(copy).items() if value != before[name]}

    return edit


@pytest.mark.parametrize(
    ("function", "again"),
    [
        ("attacks:bpda", {"attack bpda", "attack worst_of"}),
        ("attacks:expected_gradient", {"attack pgd", "attack bpda", "attack worst_of"}),
        *((f"attacks:{part}", {"attack worst_of"}) for part in ("apgd", "apgd_targeted", "_auto_pgd", "judged")),
        ("losses:dlr_toward", {"attack worst_of"}),
        ("studies.robustness:draw_robustness", {"figure robustness"}),
        ("studies.gallery:draw_gallery", {"gallery"}),
        ("metrics:ssim", {"measure"}),
        ("metrics:mean_off_diagonal", {"measure ball"}),
        ("purifiers:reverse", {"purify reverse"}),
        ("diffusion.samplers:implicit", {"purify ddim"}),
        ("studies.ball:variance", {"table ball"}),
        ("training:train_diffusion", {"train diffusion"}),
        ("stages.ball:sample_ball", {"ball"}),
        ("data:digits", {"subset", "train classifier", "train diffusion"}),
    ],
)
def test_an_edit_of_a_function_runs_again_what_it_can_change_and_nothing_else(function, again, after):
    assert after(function) == again


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        ("noise:philox4x32", {"attack", "perturb", "purify", "ball", "states"}),
        ("studies.drawing:style", {"figure", "gallery"}),
        (
            "run.store:replacing",
            {
                "attack",
                "perturb",
                "purify",
                "ball",
                "states",
                "measure",
                "subset",
                "train",
                "table",
                "figure",
                "gallery",
            },
        ),
    ],
)
def test_an_edit_of_what_many_share_runs_them_all_again_and_nothing_else(function, kinds, after, before):
    assert after(function) == {name for name in before if name.split()[0] in kinds}


def test_tables_and_measures_do_not_depend_on_torch(original, before, monkeypatch):
    installed = codehash.installed_version
    monkeypatch.setattr(codehash, "installed_version", lambda name: "0.0" if name == "torch" else installed(name))
    again = {name for name, value in digests(original).items() if value != before[name]}
    assert again == {n for n in before if n.split()[0] in ("attack", "perturb", "purify", "ball", "states", "train")}


# Code outside of the project.


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that Python imports from, as one on PYTHONPATH is; the project's functions lie beside it."""
    write(tmp_path / "project", {"main.py": "import own\nown.f()\n"})
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("file", ["own.py", "own/__init__.py", "own/parts.py"])
def test_somebodys_own_module_outside_the_project_counts(file, elsewhere):
    files = {"own/__init__.py": "from own.parts import f\n"} if file == "own/parts.py" else {}
    write(elsewhere, files | {file: F})
    before = digest(elsewhere.parent / "project", "own:f")
    edited(elsewhere, file, "VALUE", "OTHER")
    assert digest(elsewhere.parent / "project", "own:f") != before


def test_its_options_are_checked_too(elsewhere):
    write(elsewhere, {"own.py": "def f(*, sigma):\n    return sigma\n"})
    arguments = Project(elsewhere.parent / "project").signature("own:f")
    assert [a.arg for a in arguments.kwonlyargs] == ["sigma"]


def test_what_pip_has_installed_is_told_by_its_version(elsewhere):
    write(elsewhere, {"own.py": F, "own-1.0.dist-info/METADATA": ""})
    before = digest(elsewhere.parent / "project", "own:f")
    edited(elsewhere, "own.py", "VALUE", "OTHER")
    assert digest(elsewhere.parent / "project", "own:f") == before


def test_a_package_of_the_project_is_not_looked_for_elsewhere(elsewhere):
    write(elsewhere, {"own/__init__.py": "", "own/more.py": F})
    write(elsewhere.parent / "project", {"own/__init__.py": F})
    before = digest(elsewhere.parent / "project")
    edited(elsewhere, "own/more.py", "VALUE", "OTHER")
    assert digest(elsewhere.parent / "project") == before


def test_another_copy_of_the_package_is_a_stranger(tmp_path):
    write(tmp_path, {"clone/purity/__init__.py": "", "other/purity/__init__.py": "", "mine/blur.py": ""})
    (tmp_path / "link").symlink_to("clone")
    places = [str(tmp_path / name) for name in ("link", "mine", "other", "nowhere")]
    assert codehash.strangers(tmp_path / "clone", ["", *places]) == [str(tmp_path / "other")]
    assert codehash.strangers(tmp_path / "mine", places) == []  # no project lies there
