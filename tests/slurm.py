"""A real SLURM on this machine for tests: a controller, two node daemons with two fake GPUs each, all in one folder."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = "slurmctld slurmd slurm-client munge"  # of Debian and Ubuntu
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
ETC = Path("/etc/slurm")  # SLURM_CONF would not do: the executor's job step does not pass it on
MARK = "PURITY_TEST_CLUSTER"

CONF = """
ClusterName=purity
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdTimeout=10
GresTypes=gpu
"""
# however few cores there are, each node claims eight
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 Sockets=1 CoresPerSocket=8"
    " ThreadsPerCore=1 RealMemory=32000 Gres=gpu:2"
)
PARTITION = "PartitionName={name} Nodes=vn[1-2] Default=YES MaxTime=INFINITE State=UP"


def missing() -> str | None:
    """Why no SLURM can be started here; None if one can."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed; on Debian or Ubuntu: apt-get install {PACKAGES}"
    if os.geteuid() != 0:
        return "starting a SLURM needs root"
    for name in ("slurm.conf", "gres.conf"):
        if os.path.lexists(ETC / name):
            return f"{ETC / name} is there already and is left alone"
    if any(name == "slurmctld" for name in processes().values()):
        return "a slurmctld runs already, which is left alone"
    return None


def processes() -> dict[int, str]:
    """Name of each process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue  # has just ended
    return found


def until(what: str, true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s until {what}")
        time.sleep(0.2)


class Cluster:
    """Nodes vn1 and vn2 of one partition, within `with`; what it put into /etc/slurm is gone afterwards."""

    nodes: tuple[str, ...] = ("vn1", "vn2")

    def __init__(self, folder: Path, partition: str):
        self.folder, self.partition = folder.resolve(), partition
        self.daemons: dict[str, subprocess.Popen] = {}
        self.linked: list[Path] = []
        self.environment = {MARK: str(folder)}  # for whoever submits jobs

    def __enter__(self) -> "Cluster":
        try:
            self._configure()
            key = self.folder / "munge.key"
            key.write_bytes(os.urandom(128))
            key.chmod(0o600)
            named = [f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
            # --force: the folder is the tests' own, and closed to others
            self._start("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *named)
            until("munged listens", (self.folder / "munge.socket").exists)
            self._start("slurmctld", "-D", "-c")
            for node in self.nodes:
                self.start(node)
            until(f"both nodes are idle; see {self.folder}", self.idle)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for name in (*self.nodes, "slurmctld", "munged"):
            self._stop(name)
        for pid in self._left():
            os.kill(pid, signal.SIGKILL)
        for path in self.linked:
            path.unlink() if path.is_symlink() else path.rmdir()

    def start(self, node: str) -> None:
        self._start(node, "-D", "-N", node, program="slurmd")

    def kill(self, node: str) -> None:
        """The node's daemon, as a crash would."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()

    def idle(self) -> bool:
        listed = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], capture_output=True, text=True).stdout.split()
        return listed == ["idle"] * len(self.nodes)

    def jobs(self) -> dict[str, dict[str, str]]:
        """What the controller says of each job, by its id."""
        shown = subprocess.run(["scontrol", "show", "job", "-o"], capture_output=True, text=True).stdout
        found = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in shown.splitlines()]
        return {job["JobId"]: job for job in found if "JobId" in job}

    def _configure(self) -> None:
        for name in ("state", "dev", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        host = socket.gethostname().partition(".")[0]
        nodes, gres = [], []
        for i, node in enumerate(self.nodes):
            nodes.append(NODE.format(name=node, host=host, port=17001 + i))
            devices = [self.folder / f"dev/nvidia{2 * i + k}" for k in range(2)]
            for device in devices:
                device.symlink_to("/dev/null")  # SLURM wants a character device
            gres.append(f"NodeName={node} Name=gpu File={self.folder}/dev/nvidia[{2 * i}-{2 * i + 1}]")
        conf = [CONF.strip().format(host=host, folder=self.folder), *nodes, PARTITION.format(name=self.partition)]
        (self.folder / "slurm.conf").write_text("\n".join(conf) + "\n")
        (self.folder / "gres.conf").write_text("\n".join(gres) + "\n")
        if not ETC.exists():
            ETC.mkdir()
            self.linked.append(ETC)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).symlink_to(self.folder / name)
            self.linked.insert(0, ETC / name)

    def _start(self, name: str, *arguments: str, program: str | None = None) -> None:
        with open(self.folder / f"{name}.out", "ab") as out:
            command = [shutil.which(program or name), *arguments]
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self.daemons[name] = subprocess.Popen(command, start_new_session=True, cwd=self.folder, **streams)

    def _stop(self, name: str) -> None:
        daemon = self.daemons.pop(name, None)
        if daemon is not None:
            daemon.terminate()
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _left(self) -> list[int]:
        """Steps outlive their node's daemon, in its folder, and so do their jobs, with what this cluster's submitter
        had in his environment."""
        mark, left = f"{MARK}={self.folder}".encode(), []
        for pid in processes():
            process = Path("/proc") / str(pid)
            try:
                here, environment = (process / "cwd").readlink() == self.folder, (process / "environ").read_bytes()
            except OSError:
                continue  # has just ended
            if here or mark in environment:
                left.append(pid)
        return left
