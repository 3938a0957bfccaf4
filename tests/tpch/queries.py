"""The 22 queries with the parameters that the specification validates with; where its order leaves ties, a key settles it."""

from pathlib import Path

QUERIES: dict[str, str] = {file.stem: file.read_text()
                           for file in sorted((Path(__file__).parent / "sql").glob("q*.sql"))}
