"""A foreseeable failure is one line; a bug shows where it is."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from purity.run import store
from purity.run.job import check_driver, name, refuse_another_clone

ROOT = Path(__file__).parents[3]


# The object that Snakemake gives a script, of a job without input and output.
GIVEN = (
    "S(log=[{log!r}], input=[], output={output}, params={{}}, threads=1, rule='the_job', "
    "wildcards={{'experiment': 'e'}}, resources=S(gpu={gpus}))"
)


def job(
    tmp_path: Path, body: str, gpus: int = 0, output: tuple[str, ...] = (), **environment: str
) -> tuple[int, str, str]:
    """Exit status, stderr and log of a script with this body."""
    log = tmp_path / "logs/deep/job.log"
    given = GIVEN.format(log=str(log), gpus=gpus, output=output)
    code = "from types import SimpleNamespace as S; from purity.run.job import running\n"
    code += f"with running({given}) as job:\n    {body}\n"
    environment = {k: v for k, v in os.environ.items() if k != "SLURM_JOB_ID"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr, log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('results/x.zarr.zip is damaged')", "results/x.zarr.zip is damaged"),
        ("raise ValueError('first line\\nsecond line')", "first line"),
        ("raise ValueError()", "ValueError"),
        ("open('/nowhere/at/all')", "/nowhere/at/all"),
        ("raise OSError(28, 'No space left on device')", "No space left on device"),
    ],
)
def test_a_foreseeable_failure_is_one_line_on_stderr_and_a_traceback_in_the_log(body, said, tmp_path):
    status, stderr, log = job(tmp_path, body)
    assert status == 1
    assert len(stderr.splitlines()) == 1 and said in stderr and "the job" in stderr
    assert "Traceback" in log and said in log and "line 3" in log


@pytest.mark.parametrize(
    "body",
    [
        "raise MemoryError()",
        "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
        "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 9 bytes')",
        "raise RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`')",
    ],
)
def test_a_lack_of_memory_says_what_to_lower(body, tmp_path):
    status, stderr, log = job(tmp_path, body)
    assert status == 1 and len(stderr.splitlines()) == 1 and "batch" in stderr and "Traceback" in log


@pytest.mark.parametrize(
    "body", ["{}['key']", "raise RuntimeError('shapes do not match')", "1 / 0", "None.x", "assert False"]
)
def test_a_bug_keeps_its_traceback(body, tmp_path):
    status, stderr, _ = job(tmp_path, body)
    assert status == 1
    assert stderr.startswith("Traceback") and "line 3" in stderr


def test_success_is_noted_with_its_time_and_says_nothing(tmp_path):
    status, stderr, log = job(tmp_path, "print(job.device)")
    assert (status, stderr) == (0, "")
    assert "the job: done in" in log and "Traceback" not in log


def test_a_log_goes_on_after_a_run_that_was_stopped_and_begins_anew_after_one_that_ended(tmp_path):
    job(tmp_path, "raise ValueError('of the first run')")
    (tmp_path / "logs/deep/job.log").unlink()  # as Snakemake does before each job
    _, _, log = job(tmp_path, "import logging; logging.info('of the second run')")
    assert log.index("of the first run") < log.index("of the second run") and log.count("the job: begins") == 2
    _, _, log = job(tmp_path, "pass")
    assert "of the second run" not in log and log.count("the job: begins") == 1
    assert [path.name for path in (tmp_path / "logs/deep").iterdir()] == ["job.log"]


def test_a_job_says_that_it_runs_while_it_does(tmp_path):
    file = tmp_path / "logs/deep/job.running"
    body = f"assert 'the job' in open({str(file)!r}).read(); list(job.progress(range(2))); "
    assert job(tmp_path, body + f"assert '2/2' in open({str(file)!r}).read()")[0] == 0 and not file.exists()
    assert job(tmp_path, "raise ValueError('no')")[0] == 1 and not file.exists()


def test_no_device_is_a_foreseeable_failure(tmp_path):
    status, stderr, _ = job(tmp_path, "pass", gpus=1, CUDA_VISIBLE_DEVICES="")
    assert status == 1 and len(stderr.splitlines()) == 1 and "device: cpu" in stderr


def test_progress_passes_everything_on_in_order_and_notes_first_and_last(tmp_path):
    status, stderr, log = job(tmp_path, "assert list(job.progress(range(7))) == [0, 1, 2, 3, 4, 5, 6]")
    assert (status, stderr) == (0, "")
    assert "1/7" in log and "7/7" in log and "3/7" not in log


# What a job leaves.


def writing(tmp_path: Path, body: str) -> tuple[str, Path, Path]:
    """What a job does that finishes a batch, then `body`; its output, and where batches that are done lie."""
    output = tmp_path / "out.txt"
    keeping = f"import numpy as np; from pathlib import Path; job.done.add(np.arange(2), {{'x': np.zeros(2)}}); out = Path({str(output)!r}); "
    return keeping + body, output, Path(f"{output}.progress")


def test_a_job_that_ends_leaves_its_output_and_a_record_and_no_progress(tmp_path):
    body, output, progress = writing(tmp_path, "out.write_text('made'); assert len(list(job.done.parts())) == 1")
    status, stderr, _ = job(tmp_path, body, output=(str(output),))
    assert (status, stderr) == (0, "") and output.read_text() == "made" and not progress.exists()
    said = json.loads((tmp_path / "logs/deep/job.json").read_text())
    assert said["outputs"] == {str(output): hashlib.sha256(b"made").hexdigest()}
    assert (said["what"], said["rule"], said["inputs"]) == ("the job", "the_job", {})


@pytest.mark.parametrize("error", ["ValueError('no')", "MemoryError()", "KeyError('a bug')", "KeyboardInterrupt()"])
def test_a_job_that_fails_leaves_its_progress_and_no_record(error, tmp_path):
    body, output, progress = writing(tmp_path, f"raise {error}")
    status, _, _ = job(tmp_path, body, output=(str(output),))
    assert status != 0 and len(list(progress.glob("*/rows-*"))) == 1
    assert not (tmp_path / "logs/deep/job.json").exists()


def test_a_store_that_is_made_is_found_again_under_its_second_name(tmp_path):
    output = tmp_path / "a.zarr.zip"
    body = f"import numpy as np; from purity.run import store; store.save({str(output)!r}, {{}}, x=np.arange(3))"
    assert job(tmp_path, body, output=(str(output),))[0] == 0
    whole = output.read_bytes()
    output.unlink()  # as Snakemake does before it makes a file again
    assert store.earlier(output).read_bytes() == whole


@pytest.mark.parametrize(
    ("rule", "wildcards", "called"),
    [
        ("cost", {}, "cost"),
        ("measure_ball", {"experiment": "digits", "purifier": "ddpm"}, "measure ball ddpm"),
        ("attack", {"experiment": "e", "purifier": "p@t=3", "attack": "pgd", "block": "0-5"}, "attack p@t=3, pgd, 0-5"),
    ],
)
def test_a_job_is_called_by_its_rule_and_what_it_is_about(rule, wildcards, called):
    assert name(SimpleNamespace(rule=rule, wildcards=wildcards)) == called


def test_the_code_of_another_clone_is_refused(tmp_path):
    """A job's scripts lie in the project whose digest is recorded; those from an address tell nothing."""
    for folder in ("workflow/scripts", "purity"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "purity/__init__.py").touch()
    with pytest.raises(ValueError, match=r"not that of .*: unset PYTHONPATH") as raised:
        refuse_another_clone(SimpleNamespace(scriptdir=str(tmp_path / "workflow/scripts")))
    assert str(tmp_path) in str(raised.value) and str(ROOT) in str(raised.value)
    for scripts in (str(ROOT / "workflow/scripts"), "https://host/owner/project/workflow/scripts", None):
        refuse_another_clone(SimpleNamespace(scriptdir=scripts))
    refuse_another_clone(SimpleNamespace())


def test_a_device_without_a_driver_is_one_line():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match=r"torch cannot use it .*; set device: cpu") as raised:
        check_driver("cuda")
    assert "\n" not in str(raised.value)
    check_driver("cpu")
