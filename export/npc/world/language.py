"""What users say, and the embedding by which an agent hears it.

A sentence's words and pairs of neighbouring words are hashed (FNV-1a, 32 bits) into a signed count vector, which is
scaled to length 1: feature hashing (Weinberger et al. 2009, arXiv:0902.2206). It needs no model, any engine can compute
it, and sentences that share words lie close together.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from export.npc.world.spec import ITEMS, KINDS, LANDMARKS, LANGUAGE_SIZE, TASKS

_TEMPLATES = {
    "guide": ("guide me to the {}", "take me to the {}", "show me the way to the {}", "where is the {}"),
    "bring": ("bring me the {}", "please fetch the {}", "i would like the {}", "get the {} for me"),
    "follow": ("follow me", "come with me", "walk along with me", "stay close to me"),
    "keep": ("keep your distance", "give me some room", "not so close please", "watch me from afar"),
    "wait": ("wait at the {}", "stay by the {}", "stand at the {} until i come", "hold still by the {}"),
}
PHRASES = 4
NO_TARGET = -1


class Sentence(NamedTuple):
    """A sentence with what it asks for: indices into TASKS and KINDS, NO_TARGET where nothing is named."""

    text: str
    task: int
    target: int


def embed(text: str) -> npt.NDArray[np.float32]:
    """Return the embedding float32[LANGUAGE_SIZE] of a sentence; zeros for one without words."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    vector = np.zeros(LANGUAGE_SIZE)
    for token in (*words, *(f"{first} {second}" for first, second in pairwise(words))):
        code = _fnv1a(token.encode())
        vector[code % LANGUAGE_SIZE] += 1.0 if code >> 31 else -1.0
    return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)


def _fnv1a(data: bytes) -> int:
    code = 2166136261
    for byte in data:
        code = ((code ^ byte) * 16777619) & 0xFFFFFFFF
    return code


@cache
def sentences() -> tuple[Sentence, ...]:
    """Return every sentence, ordered by task, then target, then phrase: PHRASES of each."""
    said = []
    for task, name in enumerate(TASKS):
        targets = {"guide": LANDMARKS, "wait": LANDMARKS, "bring": ITEMS}.get(name, ("",))
        for target in targets:
            index = KINDS.index(target) if target else NO_TARGET
            said += [Sentence(template.format(target), task, index) for template in _TEMPLATES[name]]
    return tuple(said)


@cache
def sentence_table() -> npt.NDArray[np.float32]:
    """Return the embeddings of all sentences float32[len(sentences()) + 1, LANGUAGE_SIZE]; the last row, silence, is 0."""
    table = np.zeros((len(sentences()) + 1, LANGUAGE_SIZE), np.float32)
    table[:-1] = [embed(sentence.text) for sentence in sentences()]
    table.setflags(write=False)
    return table


@cache
def first_sentence() -> npt.NDArray[np.int64]:
    """Return where the PHRASES of a request begin, int64[len(TASKS), len(KINDS) + 1]; the last column is NO_TARGET's."""
    starts = np.full((len(TASKS), len(KINDS) + 1), -1, np.int64)
    for index in range(0, len(sentences()), PHRASES):
        starts[sentences()[index].task, sentences()[index].target] = index
    starts.setflags(write=False)
    return starts
