"""Checks that a bundle must pass before it is served: digests, the verdict of its gates, and files that fit the schema.

Every check raises :class:`app.bundle.BundleError` with the name of the file and the reason.
"""

from __future__ import annotations

from pydantic import ValidationError

from app.bundle import (
    BUNDLE_FILES,
    EXPLAIN,
    MANIFEST,
    MANIFEST_TAG,
    MAX_OVERRIDE_BYTES,
    OVERRIDE,
    OVERRIDE_TAG,
    REFERENCE,
    Bins,
    BundleError,
    FileDigest,
    Manifest,
    Override,
    Reference,
    VerdictError,
    sha256,
)
from app.compatibility import compare
from app.contract import Contract
from app.explain import Linear, Occlusion


def check_file(name: str, data: bytes, expected: FileDigest) -> None:
    """Raise :class:`BundleError` unless ``data`` is the file that the manifest names."""
    if len(data) != expected.bytes:
        raise BundleError(f"{name}: {len(data)} bytes, the manifest says {expected.bytes}")
    if sha256(data) != expected.sha256:
        raise BundleError(f"{name}: its sha256 is not the one in the manifest")


def check_override(data: bytes, expected_sha256: str) -> None:
    """Raise :class:`BundleError` unless these bytes are the registered override."""
    if sha256(data) != expected_sha256:
        raise BundleError(f"{OVERRIDE}: its sha256 is not the registered one ({OVERRIDE_TAG})")


def parse_manifest(data: bytes, expected_sha256: str | None) -> Manifest:
    """Parse a manifest, after checking its own digest if the registry knows it.

    Raises:
        BundleError: the bytes are not the registered manifest, or no manifest at all, or a file is missing from it.
    """
    if expected_sha256 is not None and sha256(data) != expected_sha256:
        raise BundleError(f"{MANIFEST}: its sha256 is not the registered one ({MANIFEST_TAG})")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{step}." for step in first["loc"]).rstrip(".")
        reason = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{MANIFEST}: {place}: {reason}" if place else f"{MANIFEST}: {reason}") from error
    if missing := [name for name in BUNDLE_FILES if name not in manifest.files]:
        raise BundleError(f"{MANIFEST}: names no {', '.join(missing)}")
    return manifest


def check_verdict(manifest: Manifest, manifest_sha256: str, override: bytes | None) -> None:
    """Raise :class:`BundleError` unless every gate passed, or a person overrode those that did not.

    This keeps out versions that nobody decided to serve: an alias or a tag changed on a web page, a rollback to a
    version that was never allowed. It does not keep out anybody who can write both artifacts and tags.

    Args:
        override: the bytes of :data:`app.bundle.OVERRIDE`, already checked against its registered digest; None if there
            is no override.
    """
    if override is not None and len(override) > MAX_OVERRIDE_BYTES:
        raise BundleError(f"{OVERRIDE}: larger than the {MAX_OVERRIDE_BYTES} bytes it may have")
    refused = [gate.name for gate in manifest.refusals]
    if manifest.gates and not refused:
        return
    why = (
        "its gates refused it: " + "; ".join(f"{gate.name}: {gate.detail}" for gate in manifest.refusals)
        if refused
        else "its manifest records no verdict of its gates"
    )
    if override is None:
        raise VerdictError(f"{why}. Only `churn promote --version N --override REASON` puts it into service")
    try:
        decision = Override.model_validate_json(override)
    except ValidationError as error:
        raise BundleError(f"{OVERRIDE}: {error.errors()[0]['msg']}") from error
    if decision.manifest_sha256 != manifest_sha256:
        raise VerdictError(f"{OVERRIDE}: it is about another manifest; {why}")
    if missing := [name for name in refused if name not in decision.gates]:
        raise VerdictError(f"{OVERRIDE}: does not cover gate {', '.join(missing)}; {why}")


def check_clients(old: Contract, new: Contract, breaks_sha256: str) -> None:
    """Raise :class:`BundleError` if clients of the contract in service would break and nobody decided that they may.

    Args:
        breaks_sha256: the registered decision: the sha256 of the contract whose clients may break.
    """
    difference = compare(old, new)
    if difference.verdict == "breaking" and breaks_sha256 != old.sha256:
        reasons = "; ".join(map(str, difference.breaking))
        raise BundleError(
            f"its contract breaks clients of contract {old.name} in service: {reasons}. "
            "Only `churn promote --breaking` puts it into service"
        )


def check_reference(reference: Reference, contract: Contract) -> Reference:
    """Return the reference distributions, or raise if a feature or the score has no usable bins."""
    for feature in contract.features:
        bins = reference.features.get(feature.name)
        if bins is None or not _usable(bins, len(feature.categories)):
            raise BundleError(f"{REFERENCE}: no usable bins for {feature.name}")
    if not _usable(reference.score, 0):
        raise BundleError(f"{REFERENCE}: no usable bins for the score")
    return reference


def _usable(bins: Bins, categories: int) -> bool:
    """Whether every value of a feature has its bin; ``categories`` is 0 for a number."""
    if categories:
        return bins.edges is None and len(bins.proportions) == categories
    edges = bins.edges
    return edges is not None and edges == sorted(edges) and len(bins.proportions) == len(edges) + 1


def check_explainer(explainer: Linear | Occlusion, contract: Contract) -> Linear | Occlusion:
    """Return the explainer, or raise if it does not fit the features."""
    if isinstance(explainer, Linear):
        sizes = {f.name: len(f.categories) or 2 for f in contract.features}
        if {name: len(weights) for name, weights in explainer.contributions.items()} != sizes:
            raise BundleError(f"{EXPLAIN}: its contributions do not fit the features")
    elif len(explainer.reference) != len(contract.features):
        raise BundleError(f"{EXPLAIN}: {len(explainer.reference)} reference values, not {len(contract.features)}")
    return explainer
