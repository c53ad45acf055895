"""Refuse a model's folder that could be loaded only by running code of its own, or by unpickling.

The libraries run such code, or ask for leave to, when `trust_remote_code` is on. Without it they raise errors of their
own, or quietly put something else in its place; here each case is one message, before anything is loaded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from decant.errors import DecantError
from decant.files import read_json

TRUST = "read the code that it names, and set `trust_remote_code: true` to let it run; or name another model"
CONFIGS = ("config.json", "tokenizer_config.json")
MEND = "download the model again"


def check_safe(reference: str, folder: Path) -> None:
    """Make sure that a model's folder loads without code of its own and without pickles.

    Code that lies in the folder and is not needed is no fault: it never runs.

    Raises:
        DecantError: the configuration, the tokenizer or a module of sentence-transformers names code that none of the
            installed libraries has, or a module's weights are a pickle.
    """
    for fault in _own_code(reference, folder):
        raise DecantError(f"{reference}: {fault}", TRUST)


def _own_code(reference: str, folder: Path) -> Iterator[str]:
    """A sentence for each place in the folder that names code of the model's own."""
    for path, name in _named_classes(reference, folder):
        if not name.startswith("sentence_transformers."):
            yield f"{path} names `{name}`, which is code of the model's own"
    described, tokenizing = (folder / name for name in CONFIGS)
    config, tokenizer = (_read(reference, path, dict) for path in (described, tokenizing))
    unknown, named = "the installed transformers does not know the", "and its auto_map names code of the model's own"
    if config.get("auto_map") and not _knows_model(config):
        yield f"{unknown} model_type {config.get('model_type')!r} of {described}, {named}"
    if tokenizer.get("auto_map") and not _knows_tokenizer(config, tokenizer):
        yield f"{unknown} tokenizer_class {tokenizer.get('tokenizer_class')!r} of {tokenizing}, {named}"
    for path in (folder / name for name in ("processor_config.json", "preprocessor_config.json", *CONFIGS)):
        auto_map = _read(reference, path, dict).get("auto_map")
        if isinstance(auto_map, dict) and "AutoProcessor" in auto_map and not _knows_processor(config):
            yield f"{path} names a processor, which is code of the model's own"


def _named_classes(reference: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """The classes that sentence-transformers would import, each with the file that names it."""
    listed = folder / "modules.json"
    for module in _read(reference, listed, list):
        if not isinstance(module, dict) or not isinstance(module.get("path"), str):
            raise DecantError(f"{reference}: {listed} lists {module!r}, which is no module", MEND)
        yield listed, str(module.get("type"))
        if not module["path"]:
            continue
        for pickled in sorted((folder / module["path"]).rglob("pytorch_model.bin")):
            if not pickled.with_name("model.safetensors").is_file():
                raise DecantError(
                    f"{reference}: {pickled} is a pickle, and there is no model.safetensors beside it",
                    "name a model published as safetensors (pickled weights are never loaded)",
                )
        for described in sorted((folder / module["path"]).rglob("config.json")):
            activation = _read(reference, described, dict).get("activation_function")
            # Without leave, sentence-transformers would quietly put a tanh in its place.
            if isinstance(activation, str) and "." in activation and not activation.startswith("torch."):
                yield described, activation
    for router in sorted(folder.rglob("router_config.json")):
        types = _read(reference, router, dict).get("types")
        for name in types.values() if isinstance(types, dict) else ():
            yield router, str(name)


def _knows_model(config: dict[str, Any]) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return config.get("model_type") in CONFIG_MAPPING


def _knows_tokenizer(config: dict[str, Any], tokenizer: dict[str, Any]) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING, tokenizer_class_from_name

    if _knows_model(config) and CONFIG_MAPPING[config["model_type"]] in TOKENIZER_MAPPING:
        return True
    named = str(tokenizer.get("tokenizer_class")).removesuffix("Fast")
    return any(tokenizer_class_from_name(name) is not None for name in (named, f"{named}Fast"))


def _knows_processor(config: dict[str, Any]) -> bool:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    return config.get("model_type") in PROCESSOR_MAPPING_NAMES


def _read(reference: str, path: Path, kind: type[Any]) -> Any:
    """A JSON file's content, which must be of that kind; where there is none, an empty one."""
    if not path.is_file():
        return kind()
    try:
        content = read_json(path)
    except (ValueError, RecursionError) as error:
        raise DecantError(f"{reference}: {path} is not valid JSON ({error})", MEND) from error
    if not isinstance(content, kind):
        raise DecantError(f"{reference}: {path} does not hold a JSON {kind.__name__}", MEND)
    return content
