"""Score a corpus once in peace, then again and again killed with SIGKILL at random moments, then to its end.

    python kill_score.py CORPUS MODEL WHOLE KILLED KILLS SEED

Everything is imported once and each attempt is a fork, so that twenty kills take seconds; the moments are drawn over
the time that the run in peace took. Prints how many attempts were really cut short, and the parts after each.
"""

import os
import random
import signal
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers.models.llama.modeling_llama  # noqa: F401
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

import curate.corpus
import curate.reference.loading  # noqa: F401
from curate.verbs.score import score


def attempt(corpus: str, model: str, run: str) -> int:
    """Fork a process that scores.  → its pid"""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        score([corpus], model=model, run=run, slice_bytes=1500, signals="all")
        os._exit(0)
    return child


def parts(run: str) -> int:
    scores = os.path.join(run, "scores")
    return len([name for name in os.listdir(scores) if name[0] != "."]) if os.path.isdir(scores) else 0


def main() -> int:
    corpus, model, whole, killed, kills, seed = sys.argv[1:]
    moments, cut, stood, began = random.Random(int(seed)), 0, [], time.monotonic()
    os.waitpid(attempt(corpus, model, whole), 0)
    seconds = time.monotonic() - began
    for _ in range(int(kills)):
        child = attempt(corpus, model, killed)
        time.sleep(moments.uniform(0.2, 0.9) * seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        cut += os.WIFSIGNALED(status)
        stood.append(parts(killed))
        if stood[-1] == parts(whole):  # all parts stand: begin again, so that every kill has work to hit
            for name in os.listdir(os.path.join(killed, "scores"))[1::2]:
                os.unlink(os.path.join(killed, "scores", name))
    _, status = os.waitpid(attempt(corpus, model, killed), 0)
    print(cut, *stood)
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
