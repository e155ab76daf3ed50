"""The memory of a process of the pipeline, as Linux tells it."""

from pathlib import Path

MEGABYTE = 1 << 20
IS_KNOWN = Path("/proc/self/clear_refs").exists()


def forget_peak(pid: int) -> int:
    """Count the peak anew (proc(5): 5 in clear_refs); the octets that it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid: int) -> int:
    """Most octets of memory that a process has had since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10
