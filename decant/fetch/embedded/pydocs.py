"""The `pydocs` set: find the functions that a function's `See Also` section points to.

Source: the docstrings of numpy, scipy, scikit-learn, pandas and networkx, as installed. Query: the
summary line of a documented object. Positives: the summary lines of the objects that its `See Also`
names. Negatives: summary lines drawn at random from the same package, as SciDocs draws papers. Splits are
by connected component of the `See Also` graph, over texts, so a link never crosses two splits.
"""

import contextlib
import importlib
import inspect
import io
import pkgutil
import random
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx as nx
from numpydoc.docscrape import NumpyDocString

from decant.data.sets import SPLITS, Row, normalise
from decant.fetch.embedded import SHARES, first_rows
from decant.fetch.settings import DataSet
from decant.fetch.splits import allot_groups

IMPORT_NAMES = {"scikit-learn": "sklearn"}
NOT_PUBLIC = re.compile(r"_|test|(conftest|setup|core|externals|f2py|distutils)$")


def build(
    source: Path, packages: Sequence[str], sizes: Mapping[str, int], negatives: int, seed: int
) -> dict[str, list[Row]]:
    """See `decant.fetch.build.Build`. The packages are what is read."""
    del source
    graph, links, package_of = _read_packages(tuple(packages))
    groups = {min(nodes): nodes for nodes in nx.connected_components(graph)}
    allotted = allot_groups({name: len(nodes) for name, nodes in groups.items()}, SHARES, seed)
    split_of = {text: allotted[name] for name, nodes in groups.items() for text in nodes}
    splits = {}
    for split in SPLITS:
        rng = random.Random(f"{seed}-{split}")
        texts = sorted(text for text in split_of if split_of[text] == split)
        queries = [text for text in texts if links.get(text)]
        rng.shuffle(queries)
        rows: list[Row] = []
        for query in queries:
            if len(rows) == sizes[split]:
                break
            near = {query, *graph.neighbors(query)}
            pool = [text for text in texts if package_of[text] == package_of[query] and text not in near]
            if len(pool) >= negatives:
                rows.append(Row(query, sorted(links[query]), rng.sample(pool, negatives)))
        splits[split] = first_rows("pydocs", split, rows, sizes[split])
    return splits


def corpus(root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
    """See `decant.fetch.corpora.ReadCorpus`: all summaries, whatever split they are in."""
    del root
    return (("", text) for text in sorted(_read_packages(tuple(settings.packages))[0]))


@cache  # the splits and the corpus are made of it, and it takes seconds
def _read_packages(packages: tuple[str, ...]) -> tuple[nx.Graph, Mapping[str, set[str]], Mapping[str, str]]:
    """The graph of `See Also` over summaries, the summaries that each points to, and the package of each."""
    graph = nx.Graph()
    links: dict[str, set[str]] = defaultdict(set)
    package_of: dict[str, str] = {}
    canonical: dict[str, str] = {}
    for package in packages:
        summaries, see_also = _read_package(IMPORT_NAMES.get(package, package))
        for _, summary in sorted(summaries.items()):
            text = canonical.setdefault(normalise(summary), summary)
            package_of.setdefault(text, package)
            graph.add_node(text)
        for name, targets in see_also.items():
            text = canonical[normalise(summaries[name])]
            others = {canonical[normalise(summaries[target])] for target in targets} - {text}
            graph.add_edges_from((text, other) for other in others)
            links[text] |= others
    return graph, links, package_of


def _read_package(import_name: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The summary line of every documented object, and the objects its `See Also` resolves to."""
    summaries: dict[str, str] = {}
    raw_links: dict[str, list[str]] = {}
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for name, documented in _walk(importlib.import_module(import_name)):
            try:
                parsed = NumpyDocString(inspect.getdoc(documented) or "")
            except Exception:  # a docstring that numpydoc cannot parse says nothing reliable
                continue
            summary = " ".join(" ".join(parsed["Summary"]).split())
            if len(summary.split()) < 3 or summary.startswith("See the documentation for"):
                continue
            summaries[name] = summary
            raw_links[name] = [target for entry in parsed["See Also"] for target, _ in entry[0]]
    return summaries, {
        name: {known for target in targets if (known := _resolve(target, name, summaries))}
        for name, targets in raw_links.items()
    }


def _resolve(target: str, name: str, known: Mapping[str, str]) -> str | None:
    """Find the object that a `See Also` entry of `name` means, from its nearest scope outwards."""
    scope = name.split(".")
    candidates = (".".join([*scope[:depth], target]) for depth in reversed(range(len(scope))))
    return next((candidate for candidate in candidates if candidate in known), None)


def _walk(package: ModuleType) -> Iterator[tuple[str, Any]]:
    """Every documented function, class and member of a package's public modules, under its shortest name.

    The modules are listed from the package's files, and all are imported before anything is read, so that the result
    does not depend on what else was imported.
    """
    names = [package.__name__]
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
        if not any(NOT_PUBLIC.match(part) for part in info.name.split(".")):
            with contextlib.suppress(Exception):  # a module of another platform or an optional dependency
                importlib.import_module(info.name)
                names.append(info.name)
    seen: set[int] = set()
    for module_name in sorted(names, key=lambda n: (n.count("."), n)):
        module = sys.modules[module_name]
        for attribute in sorted(n for n in dir(module) if not n.startswith("_")):
            value = getattr(module, attribute, None)
            if inspect.ismodule(value) or not callable(value) or id(value) in seen:
                continue
            if not (getattr(value, "__module__", None) or "").startswith(package.__name__):
                continue
            seen.add(id(value))
            yield f"{module_name}.{attribute}", value
            if inspect.isclass(value):
                for member in sorted(n for n in vars(value) if not n.startswith("_")):
                    documented = inspect.getattr_static(value, member)
                    if callable(documented) or isinstance(documented, property):
                        yield f"{module_name}.{attribute}.{member}", documented
