"""The texts that splits share: of each of a track's sets, and of in-domain train with the out-of-domain test split."""

from decant import paths
from decant.fetch.overlap import track_left_out, track_overlap
from decant.files import write_json
from stages import cli


def main(track: str) -> None:
    """Write metrics/<track>/overlap.json, and left_out.json: what `fetch` left out of the sets."""
    block = cli.params().track(track)
    out_of_domain = None if block.out_of_domain is None else paths.SETS / block.out_of_domain
    overlap = track_overlap(paths.SETS / block.in_domain, out_of_domain)
    write_json(paths.METRICS / track / "overlap.json", overlap)
    write_json(paths.METRICS / track / "left_out.json", track_left_out(paths.SETS / block.in_domain, out_of_domain))
    for name, pairs in overlap.items():
        for pair, counts in pairs.items():
            near = (f"{counts[role]['near']} of {counts[role]['texts']} {role}" for role in ("queries", "candidates"))
            print(f"{track}: {name}, {pair}: {', '.join(near)} are in the first split too, exactly or nearly")


if __name__ == "__main__":
    cli.run_track("overlap", main, __doc__)
