"""Every bar and whether it is met, from the stored results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.bars import Judgement
from benchmarks.report import RESULTS

if TYPE_CHECKING:
    from benchmarks.options import Options


def main(_: Options) -> None:
    """Print the list."""
    count = {True: 0, False: 0, None: 0}
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for one in record.get("bars", []):
            judgement = Judgement(**one)
            count[judgement.met] += 1
            about = f"{judgement.work}: " if judgement.work else ""
            print(f"{path.stem:15} {about}{judgement}")
    print(f"\n{count[True]} met, {count[False]} not met, {count[None]} not measured")
