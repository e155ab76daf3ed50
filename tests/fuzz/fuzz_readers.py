"""Fuzzing of the pure readers with atheris (libFuzzer): `make fuzz SECONDS=600` runs every target for so long.

What strangers send must be read without an error that nobody expects, and in time that does not explode with its size: an input of at
most 16 KiB that takes more than a second is a finding. A finding stops the run and leaves its input in `FOLDER/crash-…`; it becomes a
test of the reader."""

import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["contracts", "mail", "console", "processors"]):
    from tests.fuzz.readers import TARGETS

SLOW = 1.0  # seconds
LONGEST = 16 << 10  # octets


def main() -> None:
    """`python -m tests.fuzz.fuzz_readers TARGET FOLDER SECONDS`: FOLDER keeps the corpus and what was found."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    read = TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)

    def once(octets: bytes) -> None:
        began = time.process_time()
        read(octets)
        took = time.process_time() - began
        if took > SLOW:
            raise TimeoutError(f"{name}: {len(octets)} octets took {took:.1f} s")

    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=30", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", "-print_final_stats=1", str(folder)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
