"""Published checkpoints come whole and checked or not at all, and a failure is one line that says the way out."""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_safetensors

from purity.run import store, weights
from purity.run.progress import Progress

ROOT = Path(__file__).parents[3]
STATE = {"weight": torch.arange(300.0).view(20, 15), "bias": torch.arange(7)}


def torch_file(zipped: bool) -> bytes:
    written = io.BytesIO()
    torch.save(STATE, written, _use_new_zipfile_serialization=zipped)
    return written.getvalue()


ZIP, LEGACY, SAFE = torch_file(True), torch_file(False), to_safetensors(STATE, {"format": "pt"})
REDIRECTS = (301, 302, 303, 307, 308)
CONFIG = b'{"_class_name": "UNet2DModel"}'
PAGE = b"<!DOCTYPE html><html><body>Quota exceeded</body></html>"


class Site(ThreadingHTTPServer):
    """Serves pages: path → body, or (status, body, bytes that it announces, None for no announcement)."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked = {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def publish(self, body, name="g.pt", status=200, announced=..., **digests) -> dict:
        self.pages[f"/{name}"] = (status, body, len(body) if announced is ... else announced)
        return {"file": name, "url": f"{self.url}/{name}", **digests}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers))
        status, body, announced = self.server.pages.get(self.path, (404, b"no", 2))
        if "Mozilla" not in self.headers["User-Agent"]:  # as Google Drive
            status = 403
        self.send_response(status)
        if status in REDIRECTS:
            self.send_header("Location", body.decode())
        if announced is not None:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)
        if self.path.endswith("endless"):
            self.wfile.flush()
            self.rfile.read()  # until the other side is gone

    def log_message(self, *said):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Site() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def nobody() -> str:
    """A url where nobody listens: the port is taken and never listened at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/g.pt"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left(cache: Path) -> list[str]:
    """Every file below the cache, the hidden ones too."""
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def refusal(published, cache, *said) -> str:
    """The one line of a download that is refused. It names the file, the url and the place; nothing is left over."""
    before = left(cache)
    with pytest.raises(ValueError) as error:
        weights.fetch(published, cache)
    line = str(error.value)
    assert "\n" not in line and "browser" in line and left(cache) == before
    for part in (published["file"], published["url"], str(weights.place(published, cache)), *said):
        assert part in line
    return line


# What comes.


@pytest.mark.parametrize("body", [ZIP, LEGACY, SAFE, b"anything"], ids=["zip", "legacy", "safetensors", "other"])
def test_a_file_comes_byte_for_byte_with_its_receipt(body, site, cache):
    name = "g.safetensors" if body is SAFE else "sub/g.pt"
    published = site.publish(body, name, sha256=sha256(body))
    receipt = weights.fetch(published, cache)
    assert receipt == {
        "file": name,
        "sha256": sha256(body),
        "bytes": len(body),
        "url": f"{site.url}/{name}",
    }
    assert (cache / name).read_bytes() == body and left(cache) == [name]
    assert (cache / name).stat().st_mode & 0o444 == 0o444


def test_what_the_cache_has_is_checked_and_not_asked_for_again(site, cache):
    published = site.publish(ZIP, sha256=sha256(ZIP))
    receipt = weights.fetch(published, cache)
    site.asked.clear()
    assert weights.fetch(published, cache) == receipt and not site.asked


@pytest.mark.parametrize(
    "chunk", [1, 7, len(LEGACY) - 1, len(LEGACY), 2**20], ids=["1", "7", "all but 1", "all", "more"]
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_file_is_the_same_in_chunks_of_any_size(chunk, announced, site, cache, monkeypatch):
    monkeypatch.setattr(weights, "CHUNK", chunk)
    published = site.publish(LEGACY, announced=len(LEGACY) if announced else None, sha256=sha256(LEGACY))
    weights.fetch(published, cache)
    assert (cache / "g.pt").read_bytes() == LEGACY


def test_progress_is_of_chunks_and_of_downloads_of_known_size_only(site, cache, monkeypatch):
    monkeypatch.setattr(weights, "CHUNK", 100)
    said = []
    progress = Progress(lambda at, share, left: said.append((at, share)), clock=lambda: 0.0)
    weights.fetch(site.publish(bytes(950), sha256=sha256(bytes(950))), cache, progress)
    assert said == [("1/10", 0.1), ("10/10", 1.0)]

    def never(items):
        raise AssertionError

    weights.fetch(site.publish(LEGACY, "unknown.pt", announced=None), cache, never)
    weights.fetch(site.publish(LEGACY, "unknown.pt"), cache, never)


def test_the_home_folder_is_expanded_and_the_path_absolute(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    published = site.publish(ZIP)
    weights.fetch(published, "~/cache")
    assert (tmp_path / "cache/g.pt").is_file()
    assert weights.place(published, "cache") == tmp_path / "cache/g.pt"
    weights.fetch(published, "cache")
    assert len(site.asked) == 1


# Digests.


@pytest.mark.parametrize(
    "digests",
    [
        {"sha256": sha256(ZIP)},
        {"sha256": sha256(ZIP)[:8]},
        {"sha256": sha256(ZIP).upper()},
        {"md5": hashlib.md5(ZIP).hexdigest()},
        {"md5": hashlib.md5(ZIP).hexdigest().upper(), "sha256": sha256(ZIP)[:10]},
    ],
)
def test_the_right_digest_passes_in_silence_and_the_receipt_has_the_whole_sha256(digests, site, cache, caplog):
    assert weights.fetch(site.publish(ZIP, **digests), cache)["sha256"] == sha256(ZIP)
    assert not caplog.records


def test_without_a_digest_the_log_says_which_to_write_and_that_one_passes(site, cache, caplog):
    published = site.publish(ZIP)
    weights.fetch(published, cache)
    (warning,) = caplog.messages
    written = json.loads(warning.partition("sha256: ")[2])
    assert "g.pt" in warning and "\n" not in warning and written == sha256(ZIP)
    caplog.clear()
    weights.fetch(published | {"sha256": written}, cache)
    assert not caplog.records


WRONG = [
    {"sha256": sha256(LEGACY)},
    {"sha256": sha256(ZIP)[1:9]},
    {"sha256": sha256(ZIP)[:-1] + "x"},
    {"md5": hashlib.md5(LEGACY).hexdigest()},
    {"md5": hashlib.md5(ZIP).hexdigest()[:-1]},
    {"md5": hashlib.md5(LEGACY).hexdigest(), "sha256": sha256(ZIP)},
    {"md5": hashlib.md5(ZIP).hexdigest(), "sha256": sha256(LEGACY)},
]


@pytest.mark.parametrize("digests", WRONG)
def test_another_digest_is_refused_with_the_expected_one_and_the_found_one(digests, site, cache):
    line = refusal(site.publish(ZIP, **digests), cache)
    right = {"sha256": sha256(ZIP), "md5": hashlib.md5(ZIP).hexdigest()}
    assert any(f"expected {kind} {wrong}, found {right[kind]}" in line for kind, wrong in digests.items())


# Damage.


@pytest.mark.parametrize(
    "page", [PAGE, PAGE.lower(), b"\n \t\r\n<HTML lang=en>", b"\xef\xbb\xbf<!doctype html>", b"<html>" + bytes(10**5)]
)
def test_a_web_page_is_refused_for_what_it_is(page, site, cache):
    refusal(site.publish(page, sha256=sha256(ZIP)), cache, "web page")
    refusal(site.publish(page, "page.safetensors"), cache, "web page")


@pytest.mark.parametrize("sent", [0, 1, 1000, len(LEGACY) - 1], ids=["0", "1", "1000", "all but 1"])
def test_a_download_that_is_cut_off_is_refused_with_what_came_of_how_much(sent, site, cache):
    published = site.publish(LEGACY[:sent], announced=len(LEGACY), sha256=sha256(LEGACY))
    refusal(published, cache, f"expected {len(LEGACY)} bytes, found {sent}")


def test_a_cut_in_a_download_of_unknown_size_is_seen_in_zip_and_safetensors_files_without_any_digest(site, cache):
    """At every length, 0 included; a legacy pickle shows nothing, and is not refused."""
    for whole, name in ((ZIP, "g.pt"), (SAFE, "g.safetensors")):
        cuts = random.Random(0).sample(range(8, len(whole)), 40)
        for length in [0, 4, 7, 8, 9, *cuts, len(whole) - 1]:
            if name == "g.pt" and 0 < length < 4:
                continue  # nothing of a zip file yet
            refusal(site.publish(whole[:length], name, announced=None), cache)
        assert weights.fetch(site.publish(whole, name, announced=None), cache)["bytes"] == len(whole)
    assert weights.fetch(site.publish(LEGACY[:1000], "old.pt", announced=None), cache)["bytes"] == 1000


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"[]",
        b'{"w": 1}',
        b'{"w": {}}',
        b'{"w": {"data_offsets": []}}',
        b'{"w": {"data_offsets": [0, "a"]}}',
        b'{"w": {"data_offsets": null}}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_safetensors_header_is_refused_in_one_line(header, site, cache):
    refusal(site.publish(len(header).to_bytes(8, "little") + header, "g.safetensors"), cache, "safetensors")


def test_a_safetensors_header_longer_than_any_memory_is_not_read(site, cache):
    refusal(site.publish(b"\xff" * 100, "g.safetensors"), cache, f"of {8 + 2**64 - 1} bytes, found 100")


def test_a_safetensors_file_with_more_than_its_tensors_is_refused_and_one_without_any_is_none(site, cache):
    refusal(site.publish(SAFE + b"\0", "g.safetensors"), cache, str(len(SAFE)), str(len(SAFE) + 1))
    assert weights.fetch(site.publish(to_safetensors({}), "none.safetensors"), cache)["bytes"] > 0


def test_a_refused_download_leaves_the_way_free_for_the_next(site, cache):
    refusal(site.publish(PAGE), cache)
    assert weights.fetch(site.publish(ZIP), cache)["sha256"] == sha256(ZIP)


@pytest.mark.parametrize(
    ("content", "said"),
    [(PAGE, "web page"), (ZIP[:-30], "zip"), (LEGACY, f"expected sha256 {sha256(ZIP)}, found {sha256(LEGACY)}")],
    ids=["page", "cut", "other"],
)
def test_a_wrong_file_that_somebody_put_into_the_cache_is_named_and_left_there(content, said, site, cache):
    published = site.publish(ZIP, sha256=sha256(ZIP))
    cache.mkdir()
    (cache / "g.pt").write_bytes(content)
    refusal(published, cache, said, "left there")
    assert (cache / "g.pt").read_bytes() == content and not site.asked


def test_a_file_put_there_by_hand_is_taken(nobody, cache):
    cache.mkdir()
    (cache / "g.pt").write_bytes(ZIP)
    published = {"file": "g.pt", "url": nobody, "sha256": sha256(ZIP)[:8]}
    assert weights.fetch(published, cache)["bytes"] == len(ZIP)


# The network.


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_server_that_refuses_is_quoted(status, site, cache):
    published = site.publish(b"no", status=status)
    refusal(published, cache, str(status))
    assert weights.unreachable(published, cache) == refusal(published, cache)


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_redirect_is_followed(status, absolute, site, cache):
    target = site.publish(ZIP, "store/g.pt")["url"]
    target = target if absolute else target.removeprefix(site.url)
    published = site.publish(target.encode(), status=status, sha256=sha256(ZIP))
    assert weights.unreachable(published, cache) is None
    assert weights.fetch(published, cache)["url"] == published["url"]
    assert (cache / "g.pt").read_bytes() == ZIP


def test_no_network_is_one_line_before_the_job_and_in_it(nobody, cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published = {"file": "g.pt", "url": nobody}
    assert weights.unreachable(published, cache) == refusal(published, cache, "refused")


@pytest.mark.parametrize("url", ["nowhere", "htp://127.0.0.1/g.pt", "http://127.0.0.1:x/g.pt", "http://127.0.0.1/ä b"])
def test_an_impossible_url_is_one_line(url, cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published = {"file": "g.pt", "url": url}
    assert weights.unreachable(published, cache) == refusal(published, cache)


def test_a_server_that_falls_silent_is_given_up(site, cache, monkeypatch):
    monkeypatch.setattr(weights, "TIMEOUT", 0.2)
    started = time.monotonic()
    refusal(site.publish(LEGACY[:10], "endless", announced=len(LEGACY)), cache, "timed out")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, never answers
        published = {"file": "g.pt", "url": f"http://127.0.0.1:{silent.getsockname()[1]}/g.pt"}
        refusal(published, cache, "timed out")
        assert "timed out" in weights.unreachable(published, cache, timeout=0.2)
    assert time.monotonic() - started < 4  # three waits of 0.2 s, and a busy machine


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf"]
)
def test_an_answer_that_is_no_http_or_breaks_off_within_a_chunk_is_one_line(answer, cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once():
            connection, _ = server.accept()
            with connection:
                connection.recv(2**16)
                connection.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        refusal({"file": "g.pt", "url": f"http://127.0.0.1:{server.getsockname()[1]}/g.pt"}, cache)
        thread.join()


def test_a_full_disk_is_not_blamed_on_the_network(site, cache, monkeypatch):
    cache.mkdir()

    def full(prefix, suffix, dir):
        name = Path(dir) / f"{prefix}full{suffix}"
        name.symlink_to("/dev/full")  # opens well; every write says that no space is left
        return os.open(name, os.O_WRONLY), str(name)

    monkeypatch.setattr(store.tempfile, "mkstemp", full)
    with pytest.raises(OSError, match="No space left"):
        weights.fetch(site.publish(bytes(2**21)), cache)
    assert os.listdir(cache) == []


FETCH = "import sys\nfrom purity.run import weights\nweights.CHUNK = 1000\nweights.fetch(eval(sys.argv[1]), sys.argv[2], {})"
SAY = "lambda items: (print('chunk', flush=True) or i for i in items)"


def test_a_download_killed_on_its_way_leaves_nothing_under_the_final_name_and_the_next_succeeds(site, cache):
    published = site.publish(LEGACY[:1500], "endless", announced=len(LEGACY), sha256=sha256(LEGACY))
    loading = subprocess.Popen(
        [sys.executable, "-c", FETCH.format(SAY), repr(published), str(cache)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    for _ in range(2):  # the second of two chunks is asked for: the first is there
        assert loading.stdout.readline() == b"chunk\n"
    loading.send_signal(signal.SIGKILL)
    assert loading.wait() == -signal.SIGKILL
    loading.stdout.close()
    (rest,) = left(cache)
    assert rest.startswith(".") and ".tmp" in rest
    assert weights.missing([published], cache) == [published]

    site.pages["/endless"] = (200, LEGACY, len(LEGACY))
    weights.fetch(published, cache)
    assert (cache / "endless").read_bytes() == LEGACY


# The preflight.


def test_missing_are_those_that_the_cache_lacks_in_their_order(site, cache):
    some = [site.publish(ZIP, f"{i}.pt") for i in range(3)]
    assert weights.missing(some, cache) == some
    weights.fetch(some[1], cache)
    assert weights.missing(some, cache) == [some[0], some[2]]
    assert weights.missing([], cache) == []


def test_a_url_that_answers_is_reachable_and_only_its_start_is_asked_for(site, cache):
    published = site.publish(bytes(10**6))
    assert weights.unreachable(published, cache) is None
    ((_, headers),) = site.asked
    assert headers["Range"] == "bytes=0-4095" and left(cache) == []


def test_a_web_page_is_not_the_file_before_the_job_either(site, cache):
    published = site.publish(PAGE)
    assert weights.unreachable(published, cache) == refusal(published, cache, "web page")


def test_what_the_cache_has_is_not_asked_for_before_a_job(site, cache):
    published = site.publish(ZIP)
    weights.fetch(published, cache)
    site.asked.clear()
    assert weights.unreachable(published, cache) is None and not site.asked


# The hub.

HUB = {"hub": "google/ddpm", "revision": "main"}
FOLDER = "google--ddpm@main"


def publish_hub(site, files, revision="main"):
    for name, body in files.items():
        site.publish(body, f"google/ddpm/resolve/{revision}/{name}")


@pytest.mark.parametrize("published", [HUB, {"hub": "google/ddpm"}])
@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"])
def test_a_hub_repository_comes_as_a_folder_with_the_weights_it_has(name, published, site, cache):
    body = {"config.json": CONFIG, name: SAFE if name.endswith("safetensors") else ZIP}
    publish_hub(site, body)
    assert weights.missing([published], cache) == [published] and weights.unreachable(published, cache) is None
    receipt = weights.fetch(published, cache)
    assert receipt == {
        "file": FOLDER,
        "sha256": {file: sha256(content) for file, content in body.items()},
        "bytes": sum(map(len, body.values())),
        "url": f"{site.url}/google/ddpm/tree/main",
    }
    assert {file: (cache / FOLDER / file).read_bytes() for file in left(cache / FOLDER)} == body
    site.asked.clear()
    assert weights.fetch(published, cache) == receipt
    assert not weights.missing([published], cache) and weights.unreachable(published, cache) is None
    assert not site.asked


def test_what_a_repository_says_of_its_training_comes_with_it_if_it_says_it(site, cache):
    said = b'{"beta_schedule": "linear"}'
    body = {"config.json": CONFIG, "diffusion_pytorch_model.safetensors": SAFE, "scheduler_config.json": said}
    publish_hub(site, body)
    receipt = weights.fetch(HUB, cache)
    assert receipt["sha256"] == {name: sha256(content) for name, content in body.items()}
    assert receipt["bytes"] == sum(map(len, body.values()))
    assert (cache / FOLDER / "scheduler_config.json").read_bytes() == said
    site.asked.clear()
    assert weights.fetch(HUB, cache) == receipt and not site.asked


def test_a_server_that_fails_at_what_a_repository_says_is_not_taken_for_silence(site, cache):
    publish_hub(site, {"config.json": CONFIG, "diffusion_pytorch_model.safetensors": SAFE})
    site.publish(b"", "google/ddpm/resolve/main/scheduler_config.json", status=503)
    with pytest.raises(ValueError, match=r"scheduler_config\.json .*503"):
        weights.fetch(HUB, cache)


def test_safetensors_are_preferred(site, cache):
    publish_hub(site, {f"diffusion_pytorch_model.{kind}": body for kind, body in (("safetensors", SAFE), ("bin", ZIP))})
    publish_hub(site, {"config.json": CONFIG})
    weights.fetch(HUB, cache)
    assert left(cache) == [f"{FOLDER}/config.json", f"{FOLDER}/diffusion_pytorch_model.safetensors"]


def test_another_failure_than_404_does_not_lead_to_the_next_kind_of_weights(site, cache):
    publish_hub(site, {"config.json": CONFIG, "diffusion_pytorch_model.bin": ZIP})
    site.publish(b"", "google/ddpm/resolve/main/diffusion_pytorch_model.safetensors", status=503)
    with pytest.raises(ValueError, match=r"safetensors .*503"):
        weights.fetch(HUB, cache)


def test_a_repository_with_no_weights_is_one_line(site, cache):
    publish_hub(site, {"config.json": CONFIG})
    with pytest.raises(ValueError, match="404") as error:
        weights.fetch(HUB, cache)
    assert str(cache / FOLDER / "diffusion_pytorch_model.bin") in str(error.value) and "\n" not in str(error.value)
    assert weights.unreachable(HUB, cache) == str(error.value)
    assert weights.missing([HUB], cache) == [HUB]


def test_only_what_a_folder_lacks_is_asked_for(site, cache):
    publish_hub(site, {"config.json": CONFIG, "diffusion_pytorch_model.safetensors": SAFE})
    weights.fetch(HUB, cache)
    (cache / FOLDER / "config.json").unlink()
    site.asked.clear()
    assert weights.unreachable(HUB, cache) is None
    weights.fetch(HUB, cache)
    assert [path for path, _ in site.asked] == ["/google/ddpm/resolve/main/config.json"] * 2


def test_revisions_lie_side_by_side_and_named_files_are_those_that_come(site, cache):
    publish_hub(site, {"unet/a%231.bin": ZIP}, revision="0123abc")
    publish_hub(site, {"unet/a%231.bin": LEGACY}, revision="refs%2Fpr%2F1")
    for revision, body in (("0123abc", ZIP), ("refs/pr/1", LEGACY)):
        published = {"hub": "google/ddpm", "revision": revision, "files": ["unet/a#1.bin"]}
        assert weights.fetch(published, cache)["sha256"] == {"unet/a#1.bin": sha256(body)}
    assert left(cache) == ["google--ddpm@0123abc/unet/a#1.bin", "google--ddpm@refs--pr--1/unet/a#1.bin"]


def test_the_digests_of_a_hub_repository_are_written_as_the_log_says_them(site, cache, caplog):
    publish_hub(site, {"config.json": CONFIG, "diffusion_pytorch_model.safetensors": SAFE})
    weights.fetch(HUB, cache)
    (warning,) = caplog.messages
    written = json.loads(warning.partition("sha256: ")[2])
    shutil.rmtree(cache)
    caplog.clear()
    weights.fetch(HUB | {"sha256": written}, cache)
    assert not caplog.records
    shutil.rmtree(cache)
    with pytest.raises(ValueError, match=r"config\.json .*expected sha256 1234"):
        weights.fetch(HUB | {"sha256": written | {"config.json": "1234" * 16}}, cache)
    assert left(cache) == []


@pytest.mark.parametrize(
    ("environment", "host"), [({}, "https://huggingface.co"), ({"HF_ENDPOINT": "https://mirror/"}, "https://mirror")]
)
def test_the_hub_is_hugging_face_if_nothing_else_is_said(environment, host, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    base = f"{host}/google/ddpm/resolve/main"
    assert [[file.url for file in files] for files in weights._needed(HUB, "cache")] == [
        [f"{base}/config.json"],
        [f"{base}/diffusion_pytorch_model.safetensors", f"{base}/diffusion_pytorch_model.bin"],
    ]


# Receipts.


@pytest.fixture(params=["file", "hub"])
def receipt(request, site, cache, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PURITY_CACHE", str(cache))
    publish_hub(site, {"config.json": CONFIG, "diffusion_pytorch_model.safetensors": SAFE})
    written = weights.fetch(site.publish(ZIP) if request.param == "file" else HUB, cache)
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(written))
    return path


def some_file(receipt: Path) -> Path:
    named = weights.cache() / json.loads(receipt.read_text())["file"]
    return named / "config.json" if named.is_dir() else named


def unlocated(receipt: Path, *said) -> None:
    with pytest.raises(ValueError) as error:
        weights.located(receipt)
    line = str(error.value)
    assert "\n" not in line and f"delete the receipt {receipt} and run again" in line
    assert all(part in line for part in said)


def test_a_receipt_leads_to_its_checkpoint_and_other_paths_to_themselves(receipt, tmp_path):
    assert weights.located(receipt) == weights.cache() / json.loads(receipt.read_text())["file"]
    assert weights.located(str(receipt)) == weights.located(receipt)
    for path in (tmp_path / "g.pt", "results/g.safetensors", "nowhere"):
        assert weights.located(path) == Path(path)


def test_a_checkpoint_that_is_gone_or_of_another_size_is_not_what_the_receipt_says(receipt):
    file = some_file(receipt)
    size = json.loads(receipt.read_text())["bytes"]
    with open(file, "ab") as more:
        more.write(b"\0")
    unlocated(receipt, str(file if file.name == "g.pt" else file.parent), str(size), str(size + 1))
    file.unlink()
    unlocated(receipt, str(file), "not there", "PURITY_CACHE")


def test_the_bytes_of_a_receipts_files_are_those_of_its_digests(receipt):
    assert weights.checked(receipt) == weights.located(receipt)
    file = some_file(receipt)
    whole = bytearray(file.read_bytes())
    for place in (0, len(whole) // 2, len(whole) - 1):
        flipped = whole.copy()
        flipped[place] ^= 1
        file.write_bytes(flipped)
        assert weights.located(receipt)  # as large as it was
        with pytest.raises(ValueError) as error:
            weights.checked(receipt)
        line = str(error.value)
        assert "\n" not in line and str(file) in line and sha256(flipped) in line and sha256(whole) in line
    file.write_bytes(whole)
    weights.checked(receipt)


def trained(folder: Path, content: bytes, digest: str | None) -> Path:
    """A checkpoint under results/models and the record of its job."""
    path, record = (
        folder / "results/models/classifiers/g.safetensors",
        folder / "results/models/logs/classifiers/g.json",
    )
    for made in (path, record):
        made.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    outputs = {"results/models/classifiers/g.safetensors": digest, "results/models/classifiers/g-loss.csv": "0"}
    record.write_text(json.dumps({"outputs": outputs}))
    return path


def test_weights_trained_here_are_those_of_their_record(tmp_path):
    path = trained(tmp_path, SAFE, sha256(SAFE))
    assert weights.checked(path) == path and weights.checked(str(path)) == path
    path.write_bytes(SAFE[:-1] + bytes([SAFE[-1] ^ 1]))
    with pytest.raises(ValueError, match="recorded: expected sha256") as error:
        weights.checked(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_weights_without_a_record_are_taken_as_they_are(tmp_path):
    path = trained(tmp_path, SAFE, None)
    assert weights.checked(path) == path
    (tmp_path / "results/models/logs/classifiers/g.json").unlink()
    assert weights.checked(path) == path
    for other in (tmp_path / "g.pt", Path("g.safetensors"), tmp_path / "nowhere"):
        assert weights.checked(other) == other


def test_a_damaged_record_is_named(tmp_path):
    path = trained(tmp_path, SAFE, sha256(SAFE))
    for text in ("", "[]", '{"outputs": 3}'):
        record = tmp_path / "results/models/logs/classifiers/g.json"
        record.write_text(text)
        with pytest.raises(ValueError, match="no record of a job") as error:
            weights.checked(path)
        assert str(record) in str(error.value) and "\n" not in str(error.value)


def test_a_receipt_moves_with_its_cache(receipt, tmp_path, monkeypatch):
    """It names no folder of one machine; without the variable the cache is in the home folder."""
    found = weights.located(receipt)
    weights.cache().rename(tmp_path / "elsewhere")
    unlocated(receipt, str(found) if found.suffix else str(found / "config.json"))
    monkeypatch.setenv("PURITY_CACHE", str(tmp_path / "elsewhere"))
    assert weights.located(receipt) == tmp_path / "elsewhere" / found.name
    monkeypatch.delenv("PURITY_CACHE")
    assert weights.cache() == Path("~/.cache/purity")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"file": 1, "bytes": 1, "sha256": ""}', '{"file": "a"}']
)
def test_a_damaged_receipt_is_named(text, tmp_path):
    path = tmp_path / "receipt.json"
    path.write_text(text)
    unlocated(path, "no receipt")


# Weight.


def test_the_room_does_not_load_torch():
    code = "import sys, purity.run.weights\nprint(sorted({'torch', 'requests', 'huggingface_hub', 'zarr'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
