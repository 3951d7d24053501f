"""Fetch the UCX libraries that the example loads, from the wheel pinned in requirements.txt.

Prints the path of libucp.so.0. Needs the Python package registry once; afterwards build/ucx/ holds the files.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
UCX = HERE.parent.parent / "build" / "ucx"
LIBUCP = UCX / "lib" / "libucp.so.0"

# The sonames that a process without CUDA loads. A wheel holds each library three times, for want of symbolic links.
MEMBERS = [
    f"libucx/lib/{name}"
    for name in (
        "libucp.so.0",
        "libuct.so.0",
        "libucs.so.0",
        "libucs_signal.so.0",
        "libucm.so.0",
        "ucx/libuct_cma.so.0",
    )
]


class FetchError(Exception):
    """The wheel could not be had; the message is one line that says what to do."""


def download(folder: Path) -> Path:
    """Download the pinned wheel into `folder`, its hash checked by pip, and return its path."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    pip += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [*pip, "-r", str(HERE / "requirements.txt"), "-d", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise FetchError("the package registry did not answer within 300 s: try again, or check the network") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])
        raise FetchError(f"pip could not fetch the UCX wheel ({reason}): check pip, the network and the registry settings")
    return next(folder.glob("*.whl"))


def fetch() -> Path:
    """Return the path of libucp.so.0, fetched where it is not there yet."""
    if LIBUCP.exists():
        return LIBUCP
    UCX.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UCX, prefix="fetch-") as scratch:
        wheel = download(Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, MEMBERS)
        # One rename at the end: a fetch that was interrupted leaves nothing half there.
        (Path(scratch) / "libucx" / "lib").rename(UCX / "lib")
    return LIBUCP


if __name__ == "__main__":
    try:
        print(fetch())
    except FetchError as error:
        print(f"fetch_ucx: {error}", file=sys.stderr)
        sys.exit(1)
