"""`make score-auth CORPORA=folder`: how many cases of other people's suites the authentication and the receiver get right.

Prints right/total per corpus and every miss; exits 1 where a corpus falls below its floor."""

import asyncio
import sys
from pathlib import Path

from tests.score.score_dkim import score_dkim
from tests.score.score_dmarc import score_dmarc
from tests.score.score_smuggling import score_smuggling
from tests.score.score_spf import score_spf

ALLOWED_MISSES = {"spf_rfc7208": 1}


async def main(corpora: Path) -> int:
    messages = corpora / "dkim_messages"
    scores = {
        "spf_rfc7208": await score_spf(corpora / "spf_rfc7208"),
        "dmarc_cases": await score_dmarc(corpora / "dmarc_cases"),
        "dkim_messages": await score_dkim(messages, "dkim"),
        "arc_messages": await score_dkim(messages, "arc"),
        "smtp_smuggling": await asyncio.to_thread(score_smuggling, corpora / "smtp_smuggling"),
    }
    failed = False
    for corpus, (right, total, misses) in scores.items():
        print(f"{corpus:16} {right}/{total}")
        for miss in misses:
            print(f"    {miss}")
        failed = failed or total - right > ALLOWED_MISSES.get(corpus, 0) or total == 0
    return 1 if failed else 0


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/corpora")
    if not folder.is_dir():
        sys.exit(f"no folder {folder}")
    sys.exit(asyncio.run(main(folder)))
