"""Brings a checkout's JSON Schema and the tables of `docs/experiments.md` up to date: `python -m jaxstyle.config`."""

import os

from jaxstyle.config.schema import DOCUMENT_FILE, SCHEMA_FILE, documented, schema_text

texts = {SCHEMA_FILE: schema_text(), DOCUMENT_FILE: documented(DOCUMENT_FILE.read_text(encoding="utf-8"))}
for file, text in texts.items():
    beside = file.with_name(file.name + ".partial")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, file)
    print(file)
