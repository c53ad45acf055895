"""What makes a teacher another teacher: all that its scores depend on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant.files import sha256
from decant.score.engines import ENGINES
from decant.score.prompts import Prompts
from decant.score.settings import Teacher

LAYOUT = 1  # of the store; another one never reads this one's scores
DESCRIBES = {".json", ".safetensors", ".bin", ".txt", ".model", ".jinja"}
# Texts whose tokens stand for the code that makes them: plain, Chinese, code, tokens that are special to some model,
# and a document over any limit, its length multiplied by it.
TASK = "Given a question, retrieve the passages that answer it"
CANONICAL = (
    ("what causes a fever?", "A fever is often caused by an infection."),
    ("急性心肌梗塞的症状", "胸痛，呼吸困难 🩺 café"),
    ("def f(x):\n\treturn x", "[SEP] </s> <|im_end|>\n<|im_start|>assistant\nyes <|endoftext|>"),
    ("length", "one more word "),
)


def identity(teacher: Teacher, folder: Path, prompts: Prompts) -> dict[str, Any]:
    """A teacher by all that its scores depend on but the texts.

    A pinned repository is named by its commit; the contents of local files name them.
    """
    local = None if teacher.revision else f"sha256:{_contents(folder, teacher.trust_remote_code)}"
    return {
        "layout": LAYOUT,
        "kind": teacher.kind,
        "model": local or f"{teacher.model}@{teacher.revision}",
        "engine": teacher.engine,
        "dtype": teacher.dtype,
        "max_length": prompts.max_length,
        "prompts": prompts.described,
        "tokens": _tokens(prompts, with_texts=bool(ENGINES[teacher.engine].apis)),
        "embeddings": teacher.embeddings_dtype if prompts.of_texts else None,
        **({} if teacher.dimensions is None else {"dimensions": teacher.dimensions}),
    }


def digest(of: Any) -> str:
    """What names plain data: 16 hexadecimal digits. That of an identity is the teacher's name in the store."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two teachers, as field → (of one, of the other)."""
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


def _tokens(prompts: Prompts, *, with_texts: bool) -> str:
    """A digest of what the model reads of the canonical pairs: it changes with the code that makes and cuts them."""
    *plain, (query, word) = CANONICAL
    pairs = [*plain, (query, word * prompts.max_length)]
    room = prompts.excess([query for query, _ in pairs], TASK)
    read = [
        [name, prompt.ids, prompt.second, prompt.texts if with_texts else ()]
        for (query, document), excess in zip(pairs, room, strict=True)
        if not excess
        for name, prompt in prompts.parts(query, document, TASK).items()
    ]
    return digest(read)


def _contents(folder: Path, code: bool) -> str:
    kept = DESCRIBES | ({".py"} if code else set())
    files = sorted(path for path in folder.rglob("*") if path.suffix in kept and path.is_file())
    parts = [f"{path.relative_to(folder).as_posix()} {sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
