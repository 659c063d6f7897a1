"""Memory while all of IMDb is prepared for masked language modelling: 100,000 reviews tokenised and cut into blocks.

Two peaks are printed, above what the process held once its imports were done. Anonymous memory is what the process has
allocated. Resident memory adds the pages of the memory-mapped data files that have been read and not given back
(`minift.data.table.Rows.release_pages`). Neither must grow with the rows.
"""

import tempfile
import threading
import time
from pathlib import Path

from benchmarks import DISTILBERT_BASE, IMDB, require
from minift.batches.chunk import chunk_dataset
from minift.data.load import load_dataset
from minift.tasks.blocks import MAP_ROWS, tokenize
from minift.tokenizer.classes import AutoTokenizer

LIMIT_MB = 300
SAMPLE_SECONDS = 0.005


def status_mb(name: str) -> float:
    """A field of Linux's /proc/self/status, such as RssAnon, in MB of 10⁶ bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1.024e-3
    raise KeyError(f"/proc/self/status has no {name}")


class Peak(threading.Thread):
    """The highest memory since `start`, above what it was then."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.first_anonymous = self.highest_anonymous = status_mb("RssAnon")
        self.first_resident = status_mb("VmRSS")

    def run(self) -> None:
        """The kernel keeps a high-water mark of resident memory only; anonymous memory has to be sampled."""
        while True:
            self.highest_anonymous = max(self.highest_anonymous, status_mb("RssAnon"))
            time.sleep(SAMPLE_SECONDS)

    def anonymous(self) -> float:
        return self.highest_anonymous - self.first_anonymous

    def resident(self) -> float:
        return status_mb("VmHWM") - self.first_resident


def main() -> None:
    require(DISTILBERT_BASE, IMDB)
    peak = Peak()
    peak.start()
    print(f"after imports: {peak.first_anonymous:.0f} MB anonymous, {peak.first_resident:.0f} MB resident; above that:")
    print(f"{'split':>14}{'rows':>9}{'blocks':>9}{'seconds':>9}{'peak anonymous':>16}{'peak resident':>16}")
    with tempfile.TemporaryDirectory() as cache:
        tokenizer = AutoTokenizer.from_pretrained(DISTILBERT_BASE)
        for name, rows in load_dataset(IMDB, cache_dir=cache).items():
            start = time.perf_counter()
            blocks = chunk_dataset(tokenize(rows, tokenizer, "text", word_ids=True), batch_size=MAP_ROWS)
            seconds = time.perf_counter() - start
            print(
                f"{name:>14}{len(rows):>9,}{len(blocks):>9,}{seconds:>9.1f}"
                f"{peak.anonymous():>13.0f} MB{peak.resident():>13.0f} MB",
                flush=True,
            )
    verdict = "within" if peak.resident() <= LIMIT_MB else "over"
    print(f"peak of resident memory above imports: {peak.resident():.0f} MB, {verdict} the limit of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
