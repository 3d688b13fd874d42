"""Small instruction datasets for tests, and the loop of the literature to compare with."""

import json
import random

import torch
from helpers import models
from helpers.paths import ROOT

SAMPLE = ROOT / "recipes" / "sample-sft"
MATHS = [json.loads(line) for line in (SAMPLE / "school-math.jsonl").read_text().splitlines()]


def write(path, rows):
    """JSON Lines.  → the path as text"""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def as_messages(rows):
    """The same questions and answers in OpenAI's schema."""
    pairs = [(row["question"], row["answer"]) for row in rows]
    return [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]}
        for asked, answered in pairs
    ]


def with_others_answers(rows):
    """Each question with the answer of the next: no question keeps its own."""
    return [{"question": row["question"], "answer": rows[at - 1]["answer"]} for at, row in enumerate(rows)]


def with_shuffled_words(rows):
    """The words of each answer in another order."""
    chance, found = random.Random(0), []
    for row in rows:
        words = row["answer"].split()
        chance.shuffle(words)
        found.append({"question": row["question"], "answer": " ".join(words)})
    return found


def tiny(folder, kind="llama", **changes):
    """A tiny model with random weights that reads 512 tokens, and a chat template or none.  → the folder as text"""
    template = changes.pop("chat_template", None)
    place = models.save(folder, kind, max_position_embeddings=512, **changes)
    if template is not None:
        (place / "chat_template.jinja").write_text(template)
    return str(place)


def loop(place, ids, scored, prefix=0):
    """The literature's loop: one sequence, labels −100 where it is not scored, full logits.  → nats"""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    whole = torch.tensor([[prefix, *ids]])
    labels = whole.clone()
    labels[0, 0] = -100
    labels[0, 1:][~torch.tensor(scored)] = -100
    with torch.no_grad():
        loss = model(input_ids=whole, labels=labels).loss
    return float(loss) * int(torch.tensor(scored).sum())
