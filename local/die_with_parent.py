"""Run a program that the kernel kills when its parent dies: `python die_with_parent.py PARENT_PID PROGRAM [ARG …]`.

A supervisor that is killed with -9 cannot stop its stages any more; the kernel can (Linux, PR_SET_PDEATHSIG: the
setting survives exec, so it holds for the program itself). Elsewhere the program simply runs. A program of its own
rather than a `preexec_fn`, because forking a process that has threads must not run Python before exec.

The kernel watches the *thread* that started the child: start children from a thread that lives as long as they do.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def command(argv: list[str]) -> list[str]:
    """`argv`, wrapped so that it dies with the process that calls this."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def main() -> None:
    """Ask the kernel, then become the program. Never returns."""
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
