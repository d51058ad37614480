"""The lines of a model card about where a model comes from, and on which customers it was judged."""

from __future__ import annotations

from collections.abc import Sequence

from training.config import RegisterConfig, RunConfig, TrainConfig
from training.mlflow_dataset import file_name
from training.pipeline import CrossValidation, Labels
from training.time_split import Cut


def origin(config: RunConfig, churned: Labels, cut: Cut | None) -> str:
    """Which customers the figures are about, and where the model comes from if it was trained elsewhere."""
    churn = f"({churned.mean():.1%} of these churned)"
    if isinstance(config, TrainConfig):
        return f"{len(churned):,} of them were held out {churn},\n{_held_out(config, cut)}."
    if not isinstance(config, RegisterConfig):
        raise TypeError(f"{type(config).__name__} says neither how a model was trained nor where it comes from")
    note = config.note or "Nothing else is known about where it comes from."
    known = (
        f"The rows that it was trained with come from `{file_name(config.train_source)}`."
        if config.train_source
        else "The rows that it was trained with are not known here."
    )
    return (
        f"The model, `{config.model_file.name}`, was trained elsewhere: {note}\n"
        f"All of these customers {churn} count as held out: whoever registered it says that it\n"
        f"was trained without them. {known}"
    )


def _held_out(config: TrainConfig, cut: Cut | None) -> str:
    """How the held-out rows were chosen."""
    if cut is None:
        return f"stratified and grouped by customer, seed {config.seed}"
    return (
        f"the rows from {cut.day} on, by `{config.contract.as_of}`: a split by time. Of the {cut.customers:,} "
        f"customers in them, {cut.returning:,} also have earlier rows, which are in the training part"
    )


def classifier(config: RunConfig, validations: Sequence[CrossValidation]) -> str:
    """A line about a classifier of one's own or about a search; empty for the defaults of a built-in one."""
    if not isinstance(config, TrainConfig):
        return ""
    if config.estimator is not None:
        return f"The classifier is that of `{config.estimator}`.\n"
    if not config.search:
        return ""
    params = ", ".join(f"`{name}` {value:.6g}" for name, value in validations[0].params.items())
    return f"Hyper-parameters, the best of {config.search} trials on the training part: {params}.\n"


def validation(validations: Sequence[CrossValidation], cut: Cut | None) -> str:
    """A sentence with the AUC of each candidate in cross-validation."""
    if not validations:
        return "There is no cross-validation: the model was trained elsewhere."
    count = len(validations[0].auc)
    forward = ", each fold on later days than it trained on," if cut else ""
    candidates = "; ".join(f"{v.model_type} {v.mean:.4f} ± {v.deviation:.4f}" for v in validations)
    return f"AUC in {count}-fold cross-validation{forward} on the training part: {candidates}."
