from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from napari_cellcls.models.child import Child
from napari_cellcls.vocabulary import EngineError

# A child of a few lines that answers as ours do.
SCRIPT = """
import json, os, sys, threading, time, queue
requests = queue.Queue()
def read():
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)
threading.Thread(target=read, daemon=True).start()
while True:
    request = requests.get()
    if request["do"] == "die":
        print("Killed: no memory left", file=sys.stderr, flush=True)
        os._exit(9)
    if request["do"] == "sleep":
        time.sleep(60)
    if request["do"] == "fail":
        print(json.dumps({"error": "ValueError: nope", "memory": request["memory"]}), flush=True)
        continue
    print(json.dumps({"ok": True, "pid": os.getpid()}), flush=True)
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    (tmp_path / "answering.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = Child("answering", [], "The test process")
    yield made
    made.close()


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_answers(child):
    assert child.ask({"do": "hello"}, 30) == {"ok": True, "pid": child.pid}
    assert child.alive


def test_death_is_told_with_the_last_words(child):
    with pytest.raises(EngineError) as caught:
        child.ask({"do": "die"}, 30)
    assert caught.value.code == "ENGINE-CHILD-DIED"
    assert caught.value.why == "exit status 9; its last words: Killed: no memory left"
    with pytest.raises(EngineError, match="ENGINE-CHILD-DIED"):
        child.ask({"do": "hello"}, 30)


def test_silence_ends_the_child(child):
    with pytest.raises(EngineError) as caught:
        child.ask({"do": "sleep"}, 0.2)
    assert caught.value.code == "ENGINE-TIMEOUT"
    assert caught.value.why == "no answer to 'sleep' within 0.2 s."
    assert not child.alive


@pytest.mark.parametrize(("memory", "code"), [(False, "ENGINE-FAILED"), (True, "ENGINE-MEMORY")])
def test_failures_keep_the_child(child, memory, code):
    with pytest.raises(EngineError, match="nope") as caught:
        child.ask({"do": "fail", "memory": memory}, 30)
    assert caught.value.code == code
    assert child.ask({"do": "hello"}, 30)["ok"]


def test_close_ends_a_child_at_work_and_may_be_called_twice(child):
    child.ask({"do": "hello"}, 30)
    child.close()
    child.close()
    assert not child.alive


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_no_orphan_when_the_parent_is_killed(tmp_path):
    (tmp_path / "answering.py").write_text(SCRIPT)
    parent = (
        "import time; from napari_cellcls.models.child import Child\n"
        "c = Child('answering', [], 'x'); print(c.ask({'do': 'hello'}, 30)['pid'], flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(pid)
