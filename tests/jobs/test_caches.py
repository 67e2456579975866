"""What planning remembers: notebooks, contracts, hashes of files - and that none of it goes stale."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

import geolab
from geolab import store
from geolab.errors import FileRejected
from geolab.jobs import keys, references
from geolab.jobs.parameters import contract, parse
from geolab.jobs.references import Input, inputs
from geolab.jobs.values import Parameter

FILE = Parameter("file", "str", "", references=("source",))


def _hash(path: Path, settings) -> str:
    return inputs([FILE], {"file": str(path)}, settings)[0].sha256


def test_the_key_is_the_hash_of_the_whole_description(counting):
    values, found = (
        {"n": 3, "word": "ü"},
        [Input("b", "x", "source", "f" * 64), Input("a", "y", "item", "0" * 64)],
    )
    described = {
        "code": keys.code(counting),
        "parameters": values,
        "inputs": sorted([i.parameter, i.sha256] for i in found),
        "needs": ["1", "2"],
        "geolab": geolab.__version__,
    }
    text = json.dumps(described, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert keys.key(counting, values, found, ["2", "1"]) == hashlib.sha256(text.encode()).hexdigest()


def test_a_notebook_that_was_written_again_is_read_again(counting):
    before, first = contract(counting), keys.key(counting, {})
    text = counting.read_text()
    counting.write_text(text.replace("bytes to write", "lines to write"))  # as long as before
    assert contract(counting).parameters[0].help == "lines to write"
    assert before.parameters[0].help == "bytes to write"
    counting.write_text(text.replace("'hello'", "'adieu'"))
    assert keys.key(counting, {}) != first


def test_a_default_that_a_caller_changes_stays_for_the_next(make_notebook):
    path = make_notebook("listed: list = [1]  # numbers", name="listed")
    parse(contract(path), {})["listed"].append(2)
    assert parse(contract(path), {}) == {"listed": [1]}


def test_a_file_is_hashed_once_until_it_changes(tmp_path, workspace, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    os.utime(path, (1e9, 1e9))
    read: list[str] = []
    sha256 = store.sha256

    def counted(uri: str) -> str:
        read.append(uri)
        return sha256(uri)

    monkeypatch.setattr(store, "sha256", counted)
    assert _hash(path, workspace) == _hash(path, workspace) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 1
    path.write_bytes(b"two")  # as long, and so young that its time can't tell another change
    assert _hash(path, workspace) == hashlib.sha256(b"two").hexdigest()
    times = path.stat()
    path.write_bytes(b"six")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _hash(path, workspace) == hashlib.sha256(b"six").hexdigest()


def test_within_a_plan_a_name_is_looked_up_once_and_afterwards_anew(tmp_path, workspace):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    with references.remembered():
        first = _hash(path, workspace)
        path.write_bytes(b"another")
        with references.remembered():
            assert _hash(path, workspace) == first
        other = Parameter("other", "str", "", references=("source",))
        assert inputs([other], {"other": str(path)}, workspace)[0].parameter == "other"
    assert _hash(path, workspace) == hashlib.sha256(b"another").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000])
def test_a_damaged_notebook_is_an_error_each_time(tmp_path, content):
    path = tmp_path / "n.ipynb"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(FileRejected):
            contract(path)
