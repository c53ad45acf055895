"""Values that are right each alone: which of them go together, and what is said of those that do not."""

import pytest

from decant.params import Params, parse_params
from tests.support.params_texts import COMMIT, document, edited, refusal

OWN_ROWS = {
    "datasets__icd10__source": "path:data/own",
    "datasets__icd10__format": "rows",
    "datasets__icd10__packages": {},
    "datasets__icd10__train": "train.jsonl",
    "datasets__icd10__dev": None,
    "datasets__icd10__test": "test.jsonl",
}

EMBEDDING_TRIPLETS = {"embedding__triplets__positives": None}


def test_a_set_of_the_users_own_is_possible():
    parse_params(edited(**OWN_ROWS, datasets__icd10__negatives=None))


@pytest.mark.parametrize(
    "changes, path, fault",
    [
        # an embedded set has no sizes but those asked for
        (
            {"datasets__icd10__train": "train"},
            "datasets.icd10",
            "`train` is train, and the format icd10 needs a number",
        ),
        ({"datasets__icd10__dev": None}, "datasets.icd10", "`dev` is None, and the format icd10 needs a number"),
        ({"datasets__pydocs__test": "test"}, "datasets.pydocs", "`test` is test, and the format pydocs needs a number"),
        (
            {"datasets__pydocs__negatives": None},
            "datasets.pydocs",
            "`negatives` is None, and the format pydocs needs a number",
        ),
        # an embedded set is defined by versions
        ({"datasets__pydocs__packages": {}}, "datasets.pydocs", "`packages` is empty"),
        # train cannot be carved from train
        ({**OWN_ROWS, "datasets__icd10__train": 100}, "datasets.icd10", "name the source's train split or file"),
        # only a named split can be cut
        ({**OWN_ROWS, "datasets__icd10__limits": {"dev": 5}}, "datasets.icd10", "`limits.dev` is for a named split"),
        # what lies on this machine has no revision
        ({"datasets__icd10__revision": COMMIT}, "datasets.icd10", "leave it out"),
        ({"embedding__teacher__revision": COMMIT}, "embedding.teacher", "leave it out"),
        # what lies on a hub has one
        ({"datasets__icd10__source": "hub:mteb/scidocs-reranking"}, "datasets.icd10", "must be pinned to a commit"),
        ({"embedding__teacher__model": "hub:owner/name"}, "embedding.teacher", "must be pinned to a commit"),
        ({"reranker__student__model": "hub:owner/name"}, "reranker.student", "must be pinned to a commit"),
        ({"baselines__model": "hub:owner/name"}, "baselines", "must be pinned to a commit"),
        ({"baselines__revision": COMMIT}, "baselines", "leave it out"),
        ({"baselines__model": None, "baselines__revision": COMMIT}, "baselines", "`model` is null"),
        # a branch or a tag is no pin: it moves
        (
            {"embedding__teacher__model": "hub:owner/name", "embedding__teacher__revision": "main"},
            "embedding.teacher",
            "must be pinned to a commit",
        ),
        (
            {"embedding__student__model": "hub:owner/name", "embedding__student__revision": COMMIT[:12]},
            "embedding.student",
            "must be pinned to a commit",
        ),
        # a cross-encoder reads the pair as it is
        (
            {"reranker__teacher__kind": "cross_encoder", "reranker__teacher__query_prompt": "Query: "},
            "reranker.teacher",
            "takes no prompts",
        ),
        # layers are kept in their order, each once, and at least one
        ({"embedding__student__layers": [5, 0]}, "embedding.student", "ascending"),
        ({"embedding__student__layers": [0, 0]}, "embedding.student", "each once"),
        ({"embedding__student__layers": []}, "embedding.student", "null keeps all"),
        # the published recipe takes all pairs, one negative each
        ({"embedding__triplets__strategy": "all_pairs"}, "embedding.triplets", "positives to null and negatives to 1"),
        (
            {**EMBEDDING_TRIPLETS, "embedding__triplets__strategy": "all_pairs", "embedding__triplets__negatives": 2},
            "embedding.triplets",
            "positives to null and negatives to 1",
        ),
        # the top k has a k
        (
            {"reranker__triplets__strategy": "teacher_top_k", "reranker__triplets__positives": None},
            "reranker.triplets",
            "teacher_top_k needs `positives`",
        ),
        # no labels, no positives whose false negatives could be told
        (
            {
                "reranker__triplets__strategy": "teacher_top_k",
                "reranker__triplets__false_negative_margin": 0.1,
                "reranker__loss__label_weight": 0.0,
            },
            "reranker.triplets",
            "set false_negative_margin to null",
        ),
        (
            {
                "reranker__triplets__strategy": "teacher_top_k",
                "reranker__triplets__positives": 3,
                "reranker__triplets__false_negative_share": 0.95,
                "reranker__loss__label_weight": 0.0,
            },
            "reranker.triplets",
            "set false_negative_share to null",
        ),
        # one limit, and one that is there, for what is done with what is above it
        (
            {
                "embedding__triplets__false_negative_share": 0.95,
                "embedding__triplets__false_negative_margin": 0.0,
            },
            "embedding.triplets",
            "set one of them to null",
        ),
        *(
            (
                {"embedding__triplets__false_negatives": what},
                "embedding.triplets",
                f"false_negatives is {what}, and nothing says which they are",
            )
            for what in ("drop", "relabel")
        ),
        # a band has two ends, in their order, and room for the negatives
        ({"embedding__triplets__strategy": "band"}, "embedding.triplets", "needs `band_from` and `band_to`"),
        (
            {"embedding__triplets__strategy": "band", "embedding__triplets__band_from": 0},
            "embedding.triplets",
            "needs `band_from` and `band_to`",
        ),
        (
            {
                "embedding__triplets__strategy": "band",
                "embedding__triplets__band_from": 8,
                "embedding__triplets__band_to": 8,
            },
            "embedding.triplets",
            "the band begins at 8",
        ),
        (
            {
                "embedding__triplets__strategy": "band",
                "embedding__triplets__band_from": 4,
                "embedding__triplets__band_to": 9,
                "embedding__triplets__negatives": 6,
            },
            "embedding.triplets",
            "6 negatives do not fit in a band of 5",
        ),
        # another strategy has none
        ({"embedding__triplets__band_from": 0}, "embedding.triplets", "hardest draws from no band"),
        ({"reranker__triplets__band_to": 9}, "reranker.triplets", "random draws from no band"),
        # a cross-encoder embeds nothing
        ({"reranker__mine__method": "dense"}, "reranker", "a cross_encoder makes none: set it to bm25"),
        ({"reranker__mine__method": "both"}, "reranker", "a cross_encoder makes none: set it to bm25"),
        # a searcher is another track that embeds, and is named where it searches
        ({"reranker__mine": {"method": "student"}}, "reranker", "mine.method is student and searcher is None"),
        ({"reranker__searcher": "embedding"}, "reranker", "mine.method is None and searcher is embedding"),
        (
            {"reranker__mine": {"method": "bm25"}, "reranker__searcher": "embedding"},
            "reranker",
            "mine.method is bm25 and searcher is embedding",
        ),
        (
            {"embedding__mine": {"method": "student"}, "embedding__searcher": "embedding"},
            "embedding.searcher",
            "there is none",
        ),
        (
            {"embedding__mine": {"method": "student"}, "embedding__searcher": "reranker"},
            "embedding.searcher",
            "must be another track",
        ),
        ({"reranker__mine": {"method": "student"}, "reranker__searcher": "ebedding"}, "reranker.searcher", "embedding"),
        # a corpus has no revision
        (
            {"embedding__mine": {"method": "bm25", "corpus": "hub:owner/name"}},
            "embedding.mine",
            "name a file in data/own",
        ),
        # a set that is not there
        ({"embedding__in_domain": "icd11"}, "embedding.in_domain", "no data set is named 'icd11'"),
        ({"reranker__out_of_domain": "none"}, "reranker.out_of_domain", "no data set is named 'none'"),
        # out of domain is another domain, and the guard a third set
        ({"embedding__out_of_domain": "icd10"}, "embedding", "three different sets"),
        ({"embedding__guard": "icd10"}, "embedding", "three different sets"),
        ({"embedding__guard": "pydocs"}, "embedding", "three different sets"),
        ({"reranker__guard": "cew"}, "reranker.guard", "no data set is named 'cew'"),
        # without a guard there is nothing to replay, nor to keep up with
        ({"reranker__guard": None, "reranker__replay": 0.5}, "reranker", "`replay` is 0.5"),
        ({"embedding__guard": None, "embedding__replay": 0.0}, "embedding", "`train.interpolate` is true"),
        # scores of pairs are made of no embeddings
        (
            {"reranker__teacher__kind": "cross_encoder", "reranker__teacher__embeddings": True},
            "reranker.teacher",
            "a cross_encoder makes none",
        ),
        # each kind of student has its own losses
        ({"embedding__loss__name": "lambda"}, "embedding", "no loss of a bi_encoder: choose kl"),
        ({"reranker__loss__name": "embed_distill"}, "reranker", "no loss of a cross_encoder: choose kl"),
        ({"reranker__loss__in_batch": True}, "reranker", "loss.in_batch is true, and a cross_encoder makes"),
        ({"reranker__loss__spread_weight": 0.1}, "reranker", "loss.spread_weight is of embeddings"),
        ({"reranker__loss__dimensions": [64]}, "reranker", "loss.dimensions is of embeddings, and a cross_encoder"),
        # shorter and shorter, each once
        ({"embedding__loss__dimensions": [64, 128]}, "embedding.loss", "the largest first: [128, 64]"),
        ({"embedding__loss__dimensions": [128, 128]}, "embedding.loss", "give each once, the largest first: [128]"),
        # no more checkpoints are averaged than are evaluated
        ({"train__evaluations": 2, "train__average": 3}, "train", "average is 3, and there are 2 evaluations"),
        (
            {"train__evaluations": 3, "train__average": 3, "reranker__train__evaluations": 2},
            "reranker.train",
            "average is 3, and there are 2 evaluations",
        ),
        # sides of what has sides, and pairs beside those of the batch
        (
            {"embedding__loss__name": "kl", "embedding__loss__sides": "documents"},
            "embedding.loss",
            "`sides` is of embed_distill, and name is kl",
        ),
        (
            {"embedding__loss__in_batch": False, "embedding__loss__in_batch_pairs": ["query_query"]},
            "embedding.loss",
            "`in_batch_pairs` adds to `in_batch`, which is false",
        ),
        # embeddings are learnt from embeddings
        (
            {"embedding__loss__name": "embed_distill", "embedding__teacher__embeddings": False},
            "embedding",
            "set teacher.embeddings to true",
        ),
        # without the term on labels there are no negatives to add, nor any to leave out
        (
            {"embedding__loss__label_weight": 0.0, "embedding__loss__in_batch": True},
            "embedding.loss",
            "`label_weight` 0 leaves out",
        ),
        (
            {"reranker__loss__label_weight": 0, "reranker__loss__false_negative_margin": -0.1},
            "reranker.loss",
            "`label_weight` 0 leaves out",
        ),
        # names become folders and DVC addresses
        ({"datasets__a/b": document()["datasets"]["icd10"]}, "datasets.a/b", "letters, digits, - and _"),
        ({"datasets__..": document()["datasets"]["icd10"]}, "datasets...", "letters, digits, - and _"),
        # this is how a missing set renders in dvc.yaml
        ({"datasets__None": document()["datasets"]["icd10"]}, "datasets.None", "letters, digits, - and _"),
    ],
)
def test_an_impossible_combination_is_named(changes, path, fault):
    problem = refusal(edited(**changes))
    assert f"  {path}" in problem
    assert fault in problem


@pytest.mark.parametrize(
    "changes, path, fault",
    [
        # a server without an address, and an address without a server
        ({"reranker__teacher__engine": "server"}, "reranker.teacher", "`server` is null"),
        (
            {"reranker__teacher__server": {"url": "http://localhost:1", "api": "vllm"}},
            "reranker.teacher",
            "`server` is of the engine server",
        ),
        # a kind on an engine that can never score it
        ({"reranker__teacher__kind": "causal_lm"}, "reranker.teacher", "causal_lm"),
        ({"reranker__teacher__engine": "transformers"}, "reranker.teacher", "bi_encoder"),
        # nodes of a cluster have no key to a server
        (
            {
                "reranker__teacher__engine": "server",
                "reranker__teacher__server": {"url": "http://localhost:1", "api": "vllm"},
                "reranker__teacher__engine_pool": "ray",
            },
            "reranker.teacher",
            "engine_pool",
        ),
        # a strategy that sets labels aside leaves none for a term on labels, nor for a labels-only student
        (
            {"reranker__triplets__strategy": "teacher_top_k", "reranker__loss__label_weight": 0.5},
            "reranker",
            "label_weight",
        ),
        (
            {
                "reranker__triplets__strategy": "teacher_top_k",
                "reranker__loss__label_weight": 0.0,
                "baselines__labels_only": True,
            },
            "reranker",
            "labels_only",
        ),
        # positives that no label is of are none for a labels-only student
        (
            {
                "embedding__triplets__false_negatives": "relabel",
                "embedding__triplets__false_negative_share": 1.0,
                "baselines__labels_only": True,
            },
            "embedding.triplets.false_negatives",
            "set baselines.labels_only to false",
        ),
    ],
)
def test_what_could_only_fail_after_the_teacher_has_run_is_named_at_once(changes, path, fault):
    problem = refusal(edited(**changes))
    assert f"  {path}" in problem
    assert fault in problem


@pytest.mark.parametrize(
    "changes",
    [
        # no set out of domain
        {"embedding__out_of_domain": None},
        # training switched off
        {"train__epochs": 0},
        # no baselines
        {"baselines": {"labels_only": False, "bm25": False, "model": None}},
        # a pinned hub model
        {"embedding__teacher__model": "hub:owner/name", "embedding__teacher__revision": COMMIT},
        # the published recipes' triplets
        {**EMBEDDING_TRIPLETS, "embedding__triplets__strategy": "all_pairs", "embedding__triplets__negatives": 1},
        {
            "reranker__triplets__strategy": "teacher_top_k",
            "reranker__triplets__positives": 3,
            "reranker__loss__label_weight": 0.0,
        },
        # a band that the negatives fit in to the last place, and false negatives left out of it
        {
            "embedding__triplets__strategy": "band",
            "embedding__triplets__band_from": 4,
            "embedding__triplets__band_to": 10,
            "embedding__triplets__negatives": 6,
            "embedding__triplets__false_negative_margin": 0,
        },
        # relabelled positives, beside labels
        {
            "embedding__triplets__strategy": "by_score",
            "embedding__triplets__false_negative_share": 0.95,
            "embedding__triplets__false_negatives": "relabel",
            "baselines__labels_only": False,
        },
        # mining in every way that a track's student can
        {"embedding__mine": {"method": "both", "corpus": "texts.txt", "candidates": 5, "skip": 2}},
        {"reranker__mine": {"method": "student", "candidates": 8}, "reranker__searcher": "embedding"},
        {"reranker__mine": {"method": "bm25", "corpus": "path:/data/texts.jsonl", "candidates": 5, "skip": 0}},
        # a guard that replays as much as is trained on and more, and none at all
        {"embedding__replay": 2, "embedding__train": {"interpolate": False, "max_loss": 0}},
        {"reranker__guard": None, "reranker__replay": 0},
        # whole blocks switched off
        {"embedding__mine": None, "embedding__teacher__server": None, "report": None, "store": None, "evaluate": None},
        # every loss of a track, with what it needs
        *({"embedding__loss__name": name} for name in ("kl", "margin_mse", "mse")),
        {"embedding__loss__name": "embed_distill", "embedding__teacher__embeddings": True},
        *({"reranker__loss__name": name} for name in ("kl", "margin_mse", "mse", "lambda", "ranknet")),
        # documents held to the teacher's and apart from each other, and the whole of the batch's pairs
        {
            "embedding__loss__name": "embed_distill",
            "embedding__loss__sides": "documents",
            "embedding__loss__spread_weight": 0.1,
            "embedding__loss__in_batch": True,
            "embedding__loss__in_batch_pairs": ["query_query", "document_query", "document_document"],
        },
        # embeddings that are shortened, under every loss
        *({"embedding__loss__name": name, "embedding__loss__dimensions": [128, 1]} for name in ("kl", "embed_distill")),
        # all that the term on labels can have, in the least weight and in the whole
        *(
            {
                "embedding__loss__label_weight": weight,
                "embedding__loss__in_batch": True,
                "embedding__loss__false_negative_margin": 0.0,
            }
            for weight in (1e-9, 1)
        ),
        # all layers
        {"embedding__student__layers": None},
    ],
)
def test_what_is_meant_to_be_possible_is(changes):
    assert isinstance(parse_params(edited(**changes)), Params)
