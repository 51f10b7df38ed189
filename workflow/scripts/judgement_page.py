"""What is left of the defences that were judged, as a page."""

from pathlib import Path

from purity.report import judgement
from purity.run import lineage, store
from purity.run.job import running
from purity.studies import reading

p, i = snakemake.params.spec, snakemake.input
with running(snakemake):
    lost = {
        name: [judgement.Fooled(*one) for one in reading.fooled(i, name, attacks, p["seed"], p["shown"])]
        for name, attacks in p["known"].items()
    }
    given = judgement.Page(
        tables={Path(path).stem: store.load_table(path) for path in i.tables},
        figures={Path(path).stem: Path(path).read_bytes() for path in i.figures},
        fooled=lost,
        said=p,
        made=lineage.short([*i.subset, *i.adversarial, *i.purified, *i.judgings, *i.weights]),
    )
    store.save_text(snakemake.output[0], judgement.page(given))
