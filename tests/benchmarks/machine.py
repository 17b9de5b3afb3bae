"""What the figures depend on: the processor, the versions, the kernels of BLAS."""

import ctypes
import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np

import tinygrad_lo as lo

PEERS = ("micrograd", "mygrad", "autograd", "torch", "jax", "jaxlib", "casadi", "pytensor")


def cpu() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo, where there is one."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    pairs = [line.split(":", 1) for line in text.split("\n\n", maxsplit=1)[0].splitlines() if ":" in line]
    return {name.strip(): value.strip() for name, value in pairs}


def model() -> str:
    """The processor by name, with what tells its generation."""
    about = cpu()
    if "model name" not in about:
        return platform.processor() or platform.machine()
    vectors = "AVX-512" if has_avx512() else "AVX2" if "avx2" in about.get("flags", "") else "no AVX2"
    return "{}, family {} model {}, {}".format(
        about["model name"], about.get("cpu family", "?"), about.get("model", "?"), vectors
    )


def has_avx512() -> bool:
    """Whether the processor has AVX-512."""
    return "avx512f" in cpu().get("flags", "").split()


def kernels() -> str:
    """The processor whose kernels NumPy's OpenBLAS has picked, "unknown" where that is not to be learnt."""
    for library in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"):
        try:
            name = ctypes.CDLL(str(library)).scipy_openblas_get_corename64_
        except (OSError, AttributeError):
            continue
        name.restype = ctypes.c_char_p
        return str(name().decode())
    return "unknown"


def other_kernels() -> str | None:
    """The kernels that OpenBLAS should use here and does not by itself; None if all is well."""
    amd = cpu().get("vendor_id") == "AuthenticAMD"
    chosen = "OPENBLAS_CORETYPE" in os.environ
    good = "SkylakeX"
    return good if amd and has_avx512() and not chosen and kernels() != good else None


def versions() -> str:
    """Everything that took part."""
    found = [
        f"tinygrad_lo {lo.__version__}",
        f"Python {platform.python_version()}",
        f"NumPy {np.__version__} ({blas()})",
    ]
    for name in PEERS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def blas() -> str:
    """NumPy's BLAS library."""
    about = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{about['name']} {about['version']}, kernels {kernels()}"
