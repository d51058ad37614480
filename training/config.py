"""Configuration of a training run: data, model, split, cost model, gate limits and registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.contract import Contract, Cost, Reading
from app.defaults import CUSTOMER_VALUE, OFFER_COST, RETAINED_SHARE, SEED
from app.names import MODEL_NAME, check_model
from app.schemas import telco

BuiltIn = Literal["logistic_regression", "gradient_boosting", "xgboost", "lightgbm"]
MODEL_TYPES: tuple[BuiltIn, ...] = get_args(BuiltIn)
CANDIDATES: tuple[BuiltIn, ...] = ("logistic_regression", "gradient_boosting")
"""What ``auto`` chooses from: neither needs a library beside scikit-learn."""
ModelType = Literal[BuiltIn, "custom"]
"""``custom`` is a classifier of one's own; :class:`app.bundle.Manifest` has the same list."""

VersionType = Literal[ModelType, "foreign"]
"""The model of a version; ``foreign`` is one that was trained elsewhere."""
SplitKind = Literal["random", "time"]

Share = Annotated[float, Field(gt=0, lt=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CostModel(_Frozen):
    """What an offer costs and earns; the decision threshold follows from it.

    An offer goes to every customer whose score reaches the threshold. It costs ``offer_cost`` each time; of the
    customers who were about to leave it keeps ``retained_share``, and each one kept is worth ``customer_value``.
    With a calibrated probability p an offer earns p * retained_share * customer_value - offer_cost, so it pays from

        threshold = offer_cost / (retained_share * customer_value)

    (Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, for two classes). Amounts are in the currency
    of the bills.
    """

    offer_cost: Annotated[float, Field(gt=0)] = OFFER_COST
    customer_value: Annotated[float, Field(gt=0)] = CUSTOMER_VALUE
    retained_share: Annotated[float, Field(gt=0, le=1)] = RETAINED_SHARE

    @classmethod
    def of(cls, cost: Cost) -> Self:
        """The cost model that a contract states."""
        return cls(**cost.model_dump())

    @property
    def threshold(self) -> float:
        """Probability of churn from which an offer pays."""
        return self.offer_cost / (self.retained_share * self.customer_value)

    @model_validator(mode="after")
    def _offer_can_pay(self) -> Self:
        if self.threshold >= 1:
            raise ValueError(
                f"an offer of {self.offer_cost:g} can never pay: it earns at most retained_share * customer_value = "
                f"{self.retained_share * self.customer_value:g}; lower offer_cost or correct the other two"
            )
        return self


class GateLimits(_Frozen):
    """Limits that a version must respect before an alias moves to it.

    Attributes:
        parity_difference_max: largest difference between ONNX and the native model, on any row.
        skill_margin: how far the lower bound of the holdout's AUC must be above 0.5, the AUC of knowing nothing.
        skill_standard_errors: standard errors between the AUC and that bound; with 2.58 a model without skill passes in
            0.5 % of cases.
        churners_min: fewest churners in the holdout; with fewer, no bound of an AUC means anything.
        contradiction_standard_errors: standard errors by which the AUC of holdout and cross-validation may differ.
        duplicate_share_max: share of the held-out rows whose features also occur in the training part.
        duplicate_agreement_max: share of those rows that have their twins' label; above it they are copies, not
            different customers who happen to be alike.
        ceiling_standard_errors: standard errors by which the AUC may exceed the known ceiling of the data.
        leak_error_rate: chance that an honest file is taken for a leak, divided among all its features.
        leak_feature_auc: a feature whose AUC alone is surely above it is a leak.
        near_leak_feature_auc: a feature surely above this must be acknowledged.
        leak_auc: the same bound for the whole model, if no ceiling of the data is known.
        near_leak_auc: likewise.
        calibration_error_max: largest expected calibration error on the holdout.
        calibration_chance_max: on a small holdout chance raises that limit, but never above this.
        auc_loss_max: largest loss against the version in production, on the same rows.
        brier_loss_max: likewise.
        fairness_size_min: fewest customers that a rate of a group is a share of; with fewer it is not judged.
        regression_standard_errors: standard errors allowed beyond that loss: equal models differ by chance too.
    """

    parity_difference_max: Annotated[float, Field(gt=0)] = 1e-5
    skill_margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.02
    skill_standard_errors: Annotated[float, Field(ge=0)] = 2.58
    churners_min: Annotated[int, Field(ge=2)] = 10
    contradiction_standard_errors: Annotated[float, Field(gt=0)] = 4.0
    duplicate_share_max: Share = 0.05
    duplicate_agreement_max: Share = 0.98
    ceiling_standard_errors: Annotated[float, Field(gt=0)] = 3.0
    leak_error_rate: Share = 0.005
    leak_feature_auc: Share = 0.90
    near_leak_feature_auc: Share = 0.80
    leak_auc: Share = 0.98
    near_leak_auc: Share = 0.92
    calibration_error_max: Share = 0.05
    calibration_chance_max: Share = 0.18
    auc_loss_max: Annotated[float, Field(ge=0)] = 0.005
    brier_loss_max: Annotated[float, Field(ge=0)] = 0.005
    fairness_size_min: Annotated[int, Field(ge=2)] = 30
    regression_standard_errors: Annotated[float, Field(ge=0)] = 3.0


def _cost(validated: dict[str, Any]) -> CostModel:
    """The cost model of the contract; without a valid one, an error is reported anyway."""
    contract: Contract = validated.get("contract", telco())
    return CostModel.of(contract.cost)


class RunConfig(_Frozen):
    """What every run needs that ends in a registered version.

    Attributes:
        source: file with the contract's features and label; a local path or ``s3://``.
        contract: what the customers look like.
        reading: how the file is written, where that is not to be found out or differs from the contract.
        bootstrap_count: resamples of the holdout for the 95 % intervals.
        cost: by default the contract's.
        tracking_uri: of the MLflow server.
    """

    source: Annotated[str, Field(min_length=1)]
    contract: Contract = Field(default_factory=telco)
    reading: Reading | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = SEED
    bootstrap_count: Annotated[int, Field(ge=100, le=10_000)] = 300
    cost: CostModel = Field(default_factory=_cost)
    gates: GateLimits = GateLimits()
    tracking_uri: Annotated[str, Field(min_length=1)]
    model_name: Annotated[str, AfterValidator(check_model)] = MODEL_NAME
    experiment: Annotated[str, Field(min_length=1)] = MODEL_NAME


class TrainConfig(RunConfig):
    """One training run.

    Attributes:
        model: ``auto`` takes the candidate with the best cross-validated AUC.
        estimator: ``package.module:function`` of a classifier of one's own, instead of ``model``.
        search: number of trials of hyper-parameters for each candidate; 0 takes the defaults.
        split: which rows are held out. ``random``: those of some customers. ``time``: those of the most recent days, by
            the contract's ``as_of``; the folds then go forward in time too.
        test_share: share of the customers held out from fitting, and used for every reported figure; of the rows, if
            the split is by time.
        cv_folds: folds of the cross-validated AUC, on at most ``cv_rows_max`` training rows.
        calibration_folds: folds of the out-of-fold scores that the calibration is fitted on.
    """

    model: Literal["auto", BuiltIn] = "logistic_regression"
    estimator: str | None = None
    search: Annotated[int, Field(ge=0, le=1000)] = 0
    split: SplitKind = "random"
    test_share: Annotated[float, Field(ge=0.05, le=0.5)] = 0.2
    cv_folds: Annotated[int, Field(ge=2, le=20)] = 5
    cv_rows_max: Annotated[int, Field(ge=1000)] = 50_000
    calibration_folds: Annotated[int, Field(ge=2, le=10)] = 3

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        if self.search and self.estimator is not None:
            raise ValueError(
                f"search={self.search} with estimator {self.estimator}: only the ranges of built-in models are known; "
                "leave one of the two out, or search in the function that makes the classifier"
            )
        return self

    @model_validator(mode="after")
    def _days_are_known(self) -> Self:
        if self.split == "time" and self.contract.as_of is None:
            raise ValueError(
                f"split time: the contract {self.contract.name!r} does not say on which day a row was known; name the "
                "column there with as_of, or split at random"
            )
        return self


class RegisterConfig(RunConfig):
    """The registration of a model that was trained elsewhere; ``source`` has customers that it was not trained with.

    Attributes:
        model_file: ``.onnx``, or ``.skops`` of a scikit-learn pipeline.
        golden: customers with the scores that the model gave them where it was trained; an ONNX file needs them.
        train_source: the customers that it was trained with, as far as they are known.
        trusted_types: names of types that a ``.skops`` file may hold besides those that are always trusted.
        note: where the model comes from, for the model card.
    """

    model_file: Path
    golden: Path | None = None
    train_source: Annotated[str, Field(min_length=1)] | None = None
    trusted_types: tuple[str, ...] = ()
    note: Annotated[str, Field(max_length=500)] = ""
