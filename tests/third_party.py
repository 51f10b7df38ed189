"""Oracles that do not import as they are.

advertorch 0.2.3 imports `torch.autograd.gradcheck.zero_gradients`, which torch dropped in 1.9, so the package fails to
import; its `bpda.py` needs nothing but torch and is loaded by its path. To go when advertorch releases a fix.
"""

import importlib.util
from pathlib import Path


def bpda_wrapper():
    """advertorch's BPDAWrapper."""
    (folder,) = importlib.util.find_spec("advertorch").submodule_search_locations
    spec = importlib.util.spec_from_file_location("advertorch_bpda", Path(folder) / "bpda.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BPDAWrapper
