"""Published checkpoints: fetched once into a cache outside the results, checked, never trusted. No torch here.

Published is a single file, {"file": name in the cache, "url", optionally "sha256" (all of its hex digits or the first
eight or more, as torchvision and pytorch-fid print them in file names) and "md5" (as pesser/pytorch_diffusion does)},
or files of a repository of the Hugging Face hub, {"hub": "owner/name", optionally "revision", "files" and "sha256" by
file name}. What a download puts under its final name has passed every check that can be made.
"""

import hashlib
import itertools
import json
import logging
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException, HTTPResponse
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import quote
from urllib.request import Request, urlopen

from purity.run import content
from purity.run.rules import broken
from purity.run.store import replacing

CHUNK = 2**20  # bytes of a download between two reports
TIMEOUT = 60.0  # seconds without a byte
_START = 4096  # bytes that tell a web page from a file
_HUB_FILES = (("config.json",), ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"))
_HUB_SCHEDULER = "scheduler_config.json"  # what a repository says of its training, if it says it at the top


def cache() -> Path:
    """The folder that published files are kept in, by all projects of a user: $PURITY_CACHE, else ~/.cache/purity."""
    return Path(os.environ.get("PURITY_CACHE", "~/.cache/purity"))


class _File(NamedTuple):
    name: str
    place: Path
    url: str
    sha256: str
    md5: str


def place(published: dict, cache: str | Path) -> Path:
    """Where it lies, or would lie, in the cache (absolute): a file, or the folder of a hub repository's revision."""
    folder = Path(cache).expanduser().absolute()
    return folder / "@".join(_hub(published)).replace("/", "--") if "hub" in published else folder / published["file"]


def fetch(published: dict, cache: str | Path, progress: Callable[[Iterable], Iterator] = iter) -> dict:
    """The receipt of a published checkpoint, downloaded if the cache lacks it, else only checked, without network.

    Receipt: file (its name in the cache), sha256 (hex; of a hub repository by file name), bytes (their sum), url. It
    says nothing of this machine. progress wraps the range of chunks if the server says how many bytes there are.

    ValueError in one line naming the file, its url, what is wrong and where to put it by hand: no answer, fewer bytes
    than announced, a web page, another digest, a zip (.pt) or safetensors file that is cut off. A download that fails
    leaves nothing under the final name; a file that somebody put there is left as it is.
    """
    whole = place(published, cache)
    needed = _needed(published, cache)
    new = _present(needed[-1]) is None
    pairs = [_cached(files) or _downloaded(files, progress) for files in needed]
    if "hub" in published and "files" not in published:
        pairs += _scheduler(published, cache, new)
    digests = {file.name: digest for file, digest in pairs}
    sha256 = digests if "hub" in published else digests[published["file"]]
    if not all(file.sha256 or file.md5 for file, _ in pairs):
        logging.warning("%s: no digest to hold it against; in the config, sha256: %s", whole, json.dumps(sha256))
    size = sum(file.place.stat().st_size for file, _ in pairs)
    url = _hub_url(published, "tree") if "hub" in published else published["url"]
    return {
        "file": whole.name if "hub" in published else published["file"],
        "sha256": sha256,
        "bytes": size,
        "url": url,
    }


def missing(published: Iterable[dict], cache: str | Path) -> list[dict]:
    """Those of which the cache lacks a file."""
    return [one for one in published if any(_present(files) is None for files in _needed(one, cache))]


def unreachable(published: dict, cache: str | Path, timeout: float = 10.0) -> str | None:
    """None if the server gives every file that the cache lacks; else the line of `fetch`. timeout: seconds a file.

    Asks for the first bytes rather than for the head: a quota or log-in page has a head like any other.
    """
    for alternatives in _needed(published, cache):
        if _present(alternatives) is None:
            try:
                file, response = _answer(alternatives, timeout, {"Range": f"bytes=0-{_START - 1}"})
                with response, _blaming(file):
                    _refuse_page(_read(response, _START))
            except ValueError as error:
                return str(error)
    return None


def located(path: str | Path) -> Path:
    """The checkpoint that a receipt (.json) names, in `cache()`; any other path as it is.

    ValueError in one line if the receipt is damaged, or what it names is gone or has another size than then.
    """
    path = Path(path)
    if path.suffix != ".json":
        return path
    again = f"delete the receipt {path} and run again"
    try:
        receipt = json.loads(path.read_text(encoding="utf-8"))
        name, sha256, size = receipt["file"], receipt["sha256"], receipt["bytes"]
        checkpoint = cache().expanduser().absolute() / name
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no receipt of a published checkpoint ({error}); {again}") from error
    files = [checkpoint / name for name in sha256] if isinstance(sha256, dict) else [checkpoint]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is not there; {again}, or set PURITY_CACHE to the folder that has it")
    found = sum(file.stat().st_size for file in files)
    if found != size:
        raise ValueError(f"{checkpoint} had {size} bytes when it was checked and has {found} now; {again}")
    return checkpoint


def checked(path: str | Path, digest: str | None = None) -> Path:
    """`located`, and what it leads to is what was recorded then, byte by byte: by the receipt of a published file, by
    the record of the job that trained it (purity.run.lineage), if there is one beside it, or by `digest`
    (purity.run.content), taken when the run was planned.

    ValueError in one line that names the file. What has no record is taken as it is.
    """
    path = Path(path)
    checkpoint = located(path)
    if path.suffix == ".json":
        sha256 = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        recorded = {checkpoint / name: d for name, d in sha256.items()} if isinstance(sha256, dict) else {}
        recorded = recorded or {checkpoint: sha256}
        again = f"delete it and the receipt {path}, and run again"
    else:
        recorded, again = _trained(path), "delete it and run again"
    for file, wanted in recorded.items():
        found = content.sha256(file)
        if found != wanted:
            said = f"{file} is not what it was when it was recorded: expected sha256 {wanted}, found {found}"
            raise broken(f"{said}; {again}", "weights")
    if digest is not None and content.Contents(None).of(checkpoint) != digest:
        raise broken(f"{checkpoint} is not what it was when this run was planned; run again", "weights")
    return checkpoint


def _trained(path: Path) -> dict[Path, str]:
    """{path: SHA-256} by the record of the job that made results/models/<kind>/<name>.safetensors; {} without one."""
    record = path.parents[1] / "logs" / path.parent.name / f"{path.stem}.json" if len(path.parents) > 1 else path
    if not (path.is_file() and record.suffix == ".json" and record.is_file()):
        return {}
    try:
        outputs = json.loads(record.read_text(encoding="utf-8"))["outputs"]
        made = {Path(output).parts[-2:]: digest for output, digest in outputs.items()}  # results may have been moved
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{record} is no record of a job ({error}); delete it, and {path}, and run again") from error
    digest = made.get(path.parts[-2:])
    return {path: digest} if digest else {}


# What is published where.


def _hub(published: dict) -> tuple[str, str]:
    return published["hub"], published.get("revision", "main")


def _hub_url(published: dict, kind: str) -> str:
    """kind: 'tree', the page that lists the files, or 'resolve', the prefix of their urls."""
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    repository, revision = _hub(published)
    return f"{host}/{repository}/{kind}/{quote(revision, safe='')}"


def _needed(published: dict, cache: str | Path) -> list[list[_File]]:
    """The files it takes, each as a list of alternatives, the preferred one first."""
    whole, digests = place(published, cache), published.get("sha256")
    if "hub" not in published:
        return [[_File(published["file"], whole, published["url"], digests or "", published.get("md5", ""))]]
    names = [(name,) for name in published["files"]] if "files" in published else _HUB_FILES
    base, digests = _hub_url(published, "resolve"), digests or {}
    return [
        [_File(name, whole / name, f"{base}/{quote(name)}", digests.get(name, ""), "") for name in alternatives]
        for alternatives in names
    ]


def _scheduler(published: dict, cache: str | Path, new: bool) -> list[tuple[_File, str]]:
    """That of a hub repository with its sha256; asked for when the weights are new. Many repositories have none."""
    digest, url = published.get("sha256", {}).get(_HUB_SCHEDULER, ""), _hub_url(published, "resolve")
    file = _File(_HUB_SCHEDULER, place(published, cache) / _HUB_SCHEDULER, f"{url}/{_HUB_SCHEDULER}", digest, "")
    if there := _cached([file]):
        return [there]
    try:
        return [_downloaded([file], iter)] if new else []
    except ValueError as fault:
        refused = fault.__cause__ and fault.__cause__.__cause__  # what `_answer` and `_blaming` have put lines round
        if getattr(refused, "code", None) == 404 and not digest:
            return []
        raise


def _present(alternatives: list[_File]) -> _File | None:
    return next((file for file in alternatives if file.place.is_file()), None)


def _cached(alternatives: list[_File]) -> tuple[_File, str] | None:
    """The alternative that the cache has, and its sha256."""
    file = _present(alternatives)
    if file is None:
        return None
    try:
        return file, _verified(file.place, file)
    except ValueError as fault:
        todo = f"it was left there; replace it by {file.url} from a browser, or delete it and run again"
        raise ValueError(f"{file.place}: {fault}; {todo}") from fault


# Downloads.


def _downloaded(alternatives: list[_File], progress: Callable) -> tuple[_File, str]:
    """The alternative that there was, now in its place, and its sha256."""
    file, response = _answer(alternatives, TIMEOUT)
    with response, replacing(file.place) as temporary, _blaming(file):
        _receive(response, temporary, progress)
        return file, _verified(Path(temporary), file)


def _answer(alternatives: list[_File], timeout: float, headers: dict | None = None) -> tuple[_File, HTTPResponse]:
    """The first alternative that is not 404, and the server's answer. Google Drive wants a browser's name."""
    for file in alternatives:
        with _blaming(file):
            try:
                request = Request(file.url, headers={"User-Agent": "Mozilla/5.0"} | (headers or {}))
                return file, urlopen(request, timeout=timeout)
            except (OSError, HTTPException) as error:
                if getattr(error, "code", None) != 404 or file is alternatives[-1]:
                    raise ValueError(f"cannot be had ({str(error).strip('<>')})") from error
    raise AssertionError("the last alternative is answered or refused")


def _receive(response: HTTPResponse, temporary: str, progress: Callable) -> None:
    announced = response.headers["Content-Length"]
    rounds = itertools.count() if announced is None else progress(range(math.ceil(int(announced) / CHUNK)))
    with open(temporary, "wb") as file:
        for _ in rounds:
            chunk = _read(response, CHUNK)
            if not chunk:
                break
            file.write(chunk)
        received = file.tell()
    if announced is not None and received != int(announced):
        raise ValueError(f"expected {announced} bytes, found {received}: the download was cut off")


def _read(response: HTTPResponse, size: int) -> bytes:
    """Keeps what the network does (ValueError) apart from a full disk (OSError)."""
    try:
        return response.read(size)
    except (OSError, HTTPException) as error:
        raise ValueError(f"the connection broke ({error})") from error


@contextmanager
def _blaming(file: _File) -> Iterator[None]:
    """Puts the file, its url and the way out round a ValueError."""
    try:
        yield
    except ValueError as fault:
        todo = f"download it by hand in a browser and put it at {file.place}"
        what = " ".join(str(fault).split())  # one line, whatever a server said
        raise ValueError(f"{file.name} from {file.url}: {what}; {todo}") from fault


# Checks: ValueError says what was expected and found.


def _verified(path: Path, file: _File) -> str:
    """sha256 of the content, after every check that can be made. A legacy pickle has a digest or no check at all."""
    size = path.stat().st_size
    with open(path, "rb") as opened:
        start = opened.read(_START)
        _refuse_page(start)
        if size == 0:
            raise ValueError("expected a checkpoint, found no bytes")
        if file.place.suffix == ".safetensors":
            _refuse_cut_safetensors(opened, size)
        elif start.startswith(b"PK\x03\x04"):
            _refuse_cut_zip(opened)
        sha256 = _digest(opened, hashlib.sha256)
        if not sha256.startswith(file.sha256.lower()):
            raise ValueError(f"expected sha256 {file.sha256}, found {sha256}")
        if file.md5:
            md5 = _digest(opened, partial(hashlib.md5, usedforsecurity=False))  # else some clusters forbid it
            if md5 != file.md5.lower():
                raise ValueError(f"expected md5 {file.md5}, found {md5}")
    return sha256


def _digest(opened: BinaryIO, algorithm: Callable) -> str:
    opened.seek(0)
    return hashlib.file_digest(cast(BufferedReader, opened), algorithm).hexdigest()


def _refuse_page(start: bytes) -> None:
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise ValueError("expected a checkpoint, found a web page (HTML)")


def _refuse_cut_zip(opened: BinaryIO) -> None:
    """The list of a zip's entries is its end."""
    try:
        zipfile.ZipFile(opened)
    except zipfile.BadZipFile as error:
        raise ValueError(f"expected a whole zip file, found one without its end ({error})") from error


def _refuse_cut_safetensors(opened: BinaryIO, size: int) -> None:
    """Eight bytes n, little-endian, n bytes of JSON, then the tensors at data_offsets from there."""
    opened.seek(0)
    end = 8 + int.from_bytes(opened.read(8), "little")
    if end <= size:
        try:
            header = json.loads(opened.read(end - 8))
            end += max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"expected a safetensors file, found no header of one ({error})") from error
    if end != size:
        raise ValueError(f"expected a safetensors file of {end} bytes, found {size}")
