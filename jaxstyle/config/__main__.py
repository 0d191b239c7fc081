"""Brings a checkout's JSON Schema and the tables of `docs/experiments.md` up to date: `python -m jaxstyle.config`."""

from jaxstyle.config.schema import DOCUMENT_FILE, SCHEMA_FILE, documented, schema_text
from jaxstyle.files import write_atomically

texts = {SCHEMA_FILE: schema_text(), DOCUMENT_FILE: documented(DOCUMENT_FILE.read_text(encoding="utf-8"))}
for file, text in texts.items():
    write_atomically(file, text.encode())
    print(file)
