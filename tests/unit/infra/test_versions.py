"""Images: referenced by tag and locked digest, and refused without a digest where the stack requires one."""

from __future__ import annotations

import json
import re

import pytest
from support.recorder import MadeUpDigests, settings

from infra.config import ConfigError, ImageSettings
from infra.versions import LOCK_FILE, OWN, PUBLIC, Images, locked_digests

DIGEST = "sha256:" + "ab" * 32


def images(*, demand: bool, digests: dict[str, str] | None = None, mirror: str = "") -> Images:
    image_settings = ImageSettings(
        registry="registry.example/churn", tag="1.2.3", require_digests=demand, mirror=mirror, pull_secret=False
    )
    return Images(settings=image_settings, digests=digests or {})


def test_ours_come_from_the_stacks_registry_and_others_from_theirs() -> None:
    known = images(demand=False)
    assert [known.reference(name) for name in OWN] == [f"registry.example/churn/{name}:1.2.3" for name in OWN]
    assert {name: known.reference(name) for name in PUBLIC} == PUBLIC


def test_a_mirror_has_public_images_under_their_whole_name_with_the_locked_digest() -> None:
    mirror = "registry.example.com:5000/cache"
    known = images(demand=False, digests={PUBLIC["postgres"]: DIGEST}, mirror=mirror)
    assert known.reference("postgres") == f"{mirror}/{PUBLIC['postgres']}@{DIGEST}"
    assert known.reference("grafana") == f"{mirror}/{PUBLIC['grafana']}"
    assert [known.reference(name) for name in OWN] == [f"registry.example/churn/{name}:1.2.3" for name in OWN]


@pytest.mark.parametrize("demand", [True, False])
def test_a_locked_digest_is_used_whether_demanded_or_not(demand: bool) -> None:  # noqa: FBT001 - a parameter
    tagged = PUBLIC["postgres"]
    assert images(demand=demand, digests={tagged: DIGEST}).reference("postgres") == f"{tagged}@{DIGEST}"


def test_without_a_digest_a_stack_that_demands_one_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        ConfigError, match=r"no digest for registry\.example/churn/api:1\.2\.3: run `churn images lock --own`"
    ):
        images(demand=True, digests={PUBLIC["postgres"]: DIGEST}).reference("api")


def test_prod_demands_digests() -> None:
    assert {stack: settings(stack).images.require_digests for stack in ("dev", "staging", "prod")} == {
        "dev": False,
        "staging": False,
        "prod": True,
    }


def test_every_public_image_names_its_registry_and_one_version() -> None:
    for image in PUBLIC.values():
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+/[a-z0-9/._-]+:v?\d+\.\d+[A-Za-z0-9._-]*", image), image


def test_the_lock_file_is_sorted_and_holds_digests_of_images_that_are_used() -> None:
    digests = locked_digests()
    ours = tuple(f"/{name}:" for name in OWN)
    assert list(digests) == sorted(digests)
    assert LOCK_FILE.read_text(encoding="utf-8") == json.dumps(digests, indent=2) + "\n"
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests.values())
    assert all(image in PUBLIC.values() or any(name in image for name in ours) for image in digests)
    assert not set(digests.values()) & {MadeUpDigests().get(image) for image in digests}, "made up by the tests"
