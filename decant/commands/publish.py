"""`decant publish`: a student, or a teacher's scores, into a repository of the hub."""

from typing import Annotated, Any

import typer

from decant.kinds import TRACKS
from decant.processes import run_main


def publish(
    track: Annotated[str, typer.Argument(help=f"The track: {' or '.join(TRACKS)}.")],
    to: Annotated[str, typer.Option(help="The repository, as owner/name.")],
    scores: Annotated[bool, typer.Option("--scores", help="The teacher's scores, as a data set.")] = False,
    licence: Annotated[str | None, typer.Option("--licence", help="Of what is published, as apache-2.0.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Everybody may see a repository that is new.")] = False,
    upload: Annotated[bool, typer.Option("--upload", help="Upload. Without it nothing is sent.")] = False,
) -> None:
    """Publish a student, with its card completed, or a teacher's scores, on the Hugging Face hub.

    Without --upload it shows what would be uploaded: the files, the licences of what the student was made of, and its
    card with the results on the test splits. The hub is asked for the licences of what comes from there. The token is
    that of `hf auth login`, or HF_TOKEN.

    Examples: decant publish embedding --to me/student; decant publish reranker --to me/scores --scores --upload
    """

    def main() -> None:
        from huggingface_hub import ModelCard

        from decant import paths
        from decant.errors import DecantError
        from decant.files import read_json
        from decant.params import load_params
        from decant.publish.card import licensed, published_card
        from decant.publish.current import check_current
        from decant.publish.licences import conflicts, licence_of, sources, trained_on
        from decant.publish.upload import check_name, files_of, size_of
        from decant.publish.upload import upload as send
        from decant.sources import Kind

        params = load_params(paths.PARAMS)
        check_name(to)
        chosen = licence and licence.lower()
        if track not in params.tracks:
            raise DecantError(f"{track} is no track", f"choose {' or '.join(params.tracks)}")
        folder = (paths.SCORES if scores else paths.MODELS) / track
        if not (folder / "README.md").is_file():
            stage = f"{'score' if scores else 'train'}@{track}"
            raise DecantError(f"{folder} is not there", f"`dvc repro {stage}` makes it, `dvc pull {folder}` fetches it")
        licences = [(source, licence_of(source)) for source in sources(params, track)]
        replaced, card = {}, (folder / "README.md").read_text(encoding="utf-8")
        if scores and chosen:
            replaced["README.md"] = licensed(card, chosen)
        elif not scores:
            if not (paths.METRICS / "comparison.json").is_file():
                raise DecantError("metrics/comparison.json is not there", "`dvc repro report` makes it")
            compared = read_json(paths.METRICS / "comparison.json")[track]
            check_current(track, compared)
            of_mteb = paths.METRICS / f"public/{track}.json"
            own = of_mteb.is_file() and read_json(of_mteb)["model"] in (str(folder), f"path:{folder}")
            measured: Any = ModelCard.load(of_mteb.with_suffix(".md")) if own else None
            results = (measured.data.eval_results or []) if measured else []
            learnt = trained_on(params, track)
            replaced["README.md"] = published_card(card, to, compared, licences, chosen, learnt, results)
        files = files_of(folder, replaced)
        kind: Kind = "dataset" if scores else "model"
        print(f"{kind} {to}, {'public' if public else 'private'} where it is new: {len(files)} files of {folder}")
        for name, content in files.items():
            print(f"  {name}: {size_of(content) / 1e6:,.2f} MB")
        for source, found in licences:
            print(f"{source.role} {source.reference}: {found or 'licence not known'}")
        for sentence in conflicts(licences, chosen):
            print(f"take care: {sentence}")
        if upload:
            message = f"{track}: {'teacher scores' if scores else 'student'} by Decant"
            print(f"uploaded: {send(to, kind, files, message, private=not public)}")
            return
        if replaced:
            print(f"\n{replaced['README.md']}")
        print("nothing was uploaded: --upload does that")

    run_main("decant publish", main)
