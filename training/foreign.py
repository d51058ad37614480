"""The bundle of a model that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path

from training import export
from training.candidate import Run


def write_files(bundle: Path, run: Run, facts: export.Facts) -> bytes:
    """Write the bundle of such a model without its manifest, and return the graph.

    Its golden rows are those that came with it; a pipeline gives its own. It is explained by occlusion.
    """
    fitted, contract = run.fitted, facts.contract
    elsewhere = fitted.elsewhere
    if elsewhere is None:
        raise ValueError("trained here")
    rows = elsewhere.golden or export.golden(facts, fitted.model, run.holdout, run.holdout_scores)
    train = fitted.features[fitted.split.train]
    return export.write_parts(
        bundle,
        elsewhere.graph,
        rows,
        export.reference(contract, fitted.features, run.holdout_scores),
        export.occlusion(contract, train if len(train) else fitted.features),
    )
