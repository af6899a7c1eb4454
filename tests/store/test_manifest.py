import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import Manifest, describe_test_set
from airbench_var.store.manifest import MANIFEST

from .fake_campaign import CLASSES, IDENTITY, LABELS, PROVENANCE, SIZES, overwrite


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.new(IDENTITY, PROVENANCE)


def test_it_survives_the_disk(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest.encode())
    assert Manifest.load(tmp_path) == manifest
    assert [(t.name, t.n, t.classes) for t in manifest.test_sets] == [
        (*item, CLASSES) for item in SIZES.items()
    ]


def test_every_store_has_its_own_uuid() -> None:
    assert Manifest.new(IDENTITY, PROVENANCE).uuid != Manifest.new(IDENTITY, PROVENANCE).uuid


def test_the_same_identity_is_accepted(manifest: Manifest) -> None:
    manifest.refuse_other_identity(Path("store"), json.loads(json.dumps(IDENTITY)))


def test_a_difference_is_listed_by_dotted_key_with_both_values(manifest: Manifest) -> None:
    other = describe_test_set("alpha", LABELS["alpha"][::-1].copy(), CLASSES)
    identity = IDENTITY | {  # the labels first: what people set is listed before any hash
        "test_sets": [other, IDENTITY["test_sets"][1]],
        "recipe": {"name": "fake", "epochs": 9.0, "width": 2},
        "vary": ["order"],
    }
    del identity["seed"]
    with pytest.raises(StoreRefusedError) as refused:
        manifest.refuse_other_identity(Path("runs/x"), identity)
    before, after = IDENTITY["test_sets"][0]["labels_sha256"], other["labels_sha256"]
    assert str(refused.value).splitlines() == [
        "runs/x is the store of another campaign; nothing was written. What differs:",
        "  recipe.epochs: 8.0 in the store, 9.0 now",
        "  recipe.width: absent in the store, 2 now",
        "  seed: 1 in the store, absent now",
        '  vary: ["init", "order", "aug"] in the store, ["order"] now',
        f"  test_sets.0.labels_sha256: {before[:12]}... in the store, {after[:12]}... now",
        "Choose another folder with --out, or give the options that the store was made with.",
    ]


@pytest.mark.parametrize(
    ("mine", "other", "message"),
    [
        (
            {"imported": {"kind": "classes"}},
            IDENTITY,
            "a store of imported predictions, and this command makes runs of a recipe;",
        ),
        (
            IDENTITY,
            {"imported": {}},
            "a store of runs of a recipe, and this command makes imported predictions;",
        ),
        (
            {"function": {"name": "mine"}},
            {"function": {"name": "yours"}},
            "a store of runs of the function mine, and this command makes runs of the function yours;",
        ),
    ],
)
def test_runs_of_another_kind_are_told_apart_in_words(
    manifest: Manifest, mine: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    """A list of all that one has and the other lacks says nothing."""
    with pytest.raises(StoreRefusedError) as refused:
        replace(manifest, identity=mine).refuse_other_identity(Path("runs/x"), other)
    assert str(refused.value) == (
        f"runs/x is {message} nothing was written. Choose another folder with --out."
    )


def test_another_file_than_was_imported_is_named(manifest: Manifest) -> None:
    of_a, of_b = ({"imported": {"sha256": 64 * letter}} for letter in "ab")
    mine = replace(manifest, identity=of_a, provenance={"imported_from": "a.npy"})
    with pytest.raises(StoreRefusedError) as refused:
        mine.refuse_other_identity(Path("runs/x"), of_b)
    assert str(refused.value).splitlines() == [
        "runs/x holds what was imported from a.npy, and this is not the same; nothing was written. Choose "
        "another folder with --out. What differs:",
        "  imported.sha256: aaaaaaaaaaaa... in the store, bbbbbbbbbbbb... now",
    ]


def test_one_test_set_more_is_a_difference(manifest: Manifest) -> None:
    more = [*IDENTITY["test_sets"], describe_test_set("gamma", LABELS["alpha"], CLASSES)]
    with pytest.raises(StoreRefusedError, match=r"test_sets\.2: absent in the store"):
        manifest.refuse_other_identity(Path("store"), IDENTITY | {"test_sets": more})


def test_true_is_not_one(manifest: Manifest) -> None:
    with pytest.raises(StoreRefusedError, match="seed: 1 in the store, true now"):
        manifest.refuse_other_identity(Path("store"), IDENTITY | {"seed": True})


def test_every_bit_of_the_file_is_vouched_for(tmp_path: Path, manifest: Manifest) -> None:
    text = manifest.encode()
    (tmp_path / MANIFEST).write_bytes(text)
    for place in range(len(text)):
        changed = bytearray(text)
        changed[place] ^= 1 << place % 8
        overwrite(tmp_path / MANIFEST, changed)
        with pytest.raises((StoreDamagedError, StoreRefusedError)):
            Manifest.load(tmp_path)


def test_the_same_values_in_other_bytes_are_damage(tmp_path: Path) -> None:
    text = Manifest.new(IDENTITY, {"host": "é"}).encode()
    for changed in (text + b"\n", text.replace(b"u00e9", b"u00E9")):
        assert json.loads(changed) == json.loads(text)
        (tmp_path / MANIFEST).write_bytes(changed)
        with pytest.raises(StoreDamagedError, match="its bytes differ"):
            Manifest.load(tmp_path)


@pytest.mark.parametrize("end", [0, 1, 200, -2])
def test_half_a_manifest_is_damage(tmp_path: Path, manifest: Manifest, end: int) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest.encode()[:end])
    with pytest.raises(StoreDamagedError, match=r"manifest\.json: it is not whole"):
        Manifest.load(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / MANIFEST).write_bytes(replace(manifest, format_version=2).encode())
    with pytest.raises(
        StoreRefusedError, match="the store has format version 2, this airbench_var knows version 1"
    ):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("text", ['{"name": "a web page"}', "[]", "3"])
def test_the_manifest_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(StoreRefusedError, match="is not a store's manifest"):
        Manifest.load(tmp_path)


def entry(name: str = "alpha", n: int = 13, classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    return describe_test_set(name, np.zeros(n, np.uint8), classes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_sets": []}, "a store needs test sets with different names"),
        ({"test_sets": [entry(), entry()]}, "a store needs test sets with different names"),
        ({"test_sets": [entry("../alpha")]}, "its name becomes a folder"),
        ({"test_sets": [entry("")]}, "its name becomes a folder"),
        ({"test_sets": [entry("quarantine")]}, "its name becomes a folder"),
        *(({"test_sets": [entry(name)]}, "its name becomes") for name in ("runs.npy", "a.1", "1.", "1..2")),
        ({"test_sets": [entry(n=0)]}, "0 examples"),
        ({"test_sets": [entry(classes=("x",) * 257)]}, "257 classes"),
        ({"columns": ["predicted"]}, "a store has 'correct'"),
        ({"columns": ["correct", "correct"]}, "a store has 'correct'"),
        ({"columns": ["correct", "logits"]}, "a store has 'correct'"),
    ],
)
def test_what_cannot_be_stored_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Manifest.new(IDENTITY | changes, PROVENANCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": {}},
        {"identity": []},
        {"identity": {**IDENTITY, "columns": ["logits"]}},
        {"identity": {**IDENTITY, "test_sets": [{"name": "alpha"}]}},
        {"identity": {**IDENTITY, "test_sets": [entry(n=13) | {"n": 0}]}},
        {"identity": {**IDENTITY, "test_sets": [entry(n=13) | {"n": "13"}]}},
        {"uuid": "not one"},
        {"uuid": None},
    ],
)
def test_a_manifest_that_is_whole_but_no_stores_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    body = json.loads(Manifest.new(IDENTITY, PROVENANCE).encode()) | changes
    del body["sha256"]
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    text = json.dumps(body | {"sha256": hashlib.sha256(canonical).hexdigest()}, indent=2) + "\n"
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(StoreRefusedError):
        Manifest.load(tmp_path)
