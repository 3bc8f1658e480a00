#!/usr/bin/env python3
"""Makes docs/interop.md of what the tests found out about real programs (target/interop/found.jsonl)."""
import json
import pathlib
import sys

INTRODUCTION = """# Real programs, and what holds with each

Made by `make interop` of what its tests saw; a line is there because a test passed with that
program. Nothing here is a server or a client of our own.
"""

root = pathlib.Path(__file__).resolve().parent.parent
found = root / "target/interop/found.jsonl"
if not found.exists():
    sys.exit("nothing was found: run `make interop`")
# A test that ran twice has said the same twice.
lines = {json.dumps(json.loads(line), sort_keys=True) for line in found.read_text().splitlines()}
rows = sorted((json.loads(line) for line in lines), key=lambda r: (r["area"], r["program"], r["tried"], r["holds"]))
text = [INTRODUCTION]
area = None
for row in rows:
    if row["area"] != area:
        area = row["area"]
        text.append(f"\n## {area}\n\n| program | version | tried | holds |\n| --- | --- | --- | --- |\n")
    cells = (row[key].replace("|", "\\|").replace("\n", " ") for key in ("program", "version", "tried", "holds"))
    text.append("| " + " | ".join(cells) + " |\n")
(root / "docs/interop.md").write_text("".join(text))
print(f"docs/interop.md: {len(rows)} lines")
