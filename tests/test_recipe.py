import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from airbench_var.errors import UsageError
from airbench_var.hyperparameters import load_toml, parse_assignments
from airbench_var.recipe import Augment, Poke, Recipe
from airbench_var.recipes import RECIPES, changes, described, find_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_dict_round_trip_through_json(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    assert type(recipe).from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_recipes_differ() -> None:
    assert len({find_recipe(name).sha256 for name in RECIPES}) == len(RECIPES)


def test_recipes_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        find_recipe("tiny").epochs = 3  # type: ignore[misc]


def test_hash_is_of_hyperparameters_only() -> None:
    recipe = find_recipe("tiny")
    assert recipe.with_values({"name": "other"}).sha256 == recipe.sha256
    assert (
        recipe.with_values({"epochs": 7}).sha256
        == recipe.with_values({"epochs": "7.0"}).sha256
        != recipe.sha256
    )


def test_hash_does_not_change_between_versions() -> None:
    # A store made today is refused tomorrow when this changes: change it only with the store's format.
    expected = "ee937fcc39ecfab599884d6d83d403f46cfe7824615556eefa85a71bd0383583"
    assert find_recipe("airbench94").sha256 == expected


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("airbench94", "ee937fcc39ecfab599884d6d83d403f46cfe7824615556eefa85a71bd0383583"),
        ("resnet9", "d46b7dff299892e858836a5573721e9de1e5eb14fab215165bd684d219ea84b5"),
        ("tiny", "947b7d94a61c5ed75a6b5669ef6a187b0cdc8633ed67f3b63e980f57631be26d"),
        ("linear", "6805eb6ad16ac3750a1a284f86ae6d77256a72b544b594c36e618233cf2be5d9"),
    ],
)
def test_a_recipe_without_a_poke_is_what_it_was_before_there_were_pokes(name: str, sha256: str) -> None:
    recipe = find_recipe(name)
    assert "poke" not in recipe.to_dict()
    assert recipe.sha256 == sha256
    assert replace(recipe.with_values({"poke.step": 0}), poke=None).sha256 == sha256


def test_a_poke_is_part_of_the_recipe() -> None:
    recipe = find_recipe("tiny")
    poked = recipe.with_values({"poke.factor": "1.01", "poke.step": "3"})
    assert poked.poke == Poke(step=3, factor=1.01)
    assert poked.to_dict()["poke"] == {"kind": "Poke", "step": 3, "factor": 1.01}
    assert Recipe.from_dict(json.loads(json.dumps(poked.to_dict()))) == poked
    later, weaker = poked.with_values({"poke.step": 4}), poked.with_values({"poke.factor": 1})
    assert (later.poke, weaker.poke) == (Poke(step=4, factor=1.01), Poke(step=3, factor=1))
    assert len({one.sha256 for one in (recipe, poked, later, weaker)}) == 4
    assert recipe.with_values({"epochs": 7, "poke.step": 3}).poke == Poke(step=3, factor=1.001)


@pytest.mark.parametrize("is_poked", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poke.step": "1", "poke.stop": "2"}, "unknown recipe key 'poke.stop' (did you mean 'poke.step'?)"),
        ({"poke": "3"}, "unknown recipe key 'poke'"),
        ({"poke.step": "-1"}, "'poke.step' is -1; it must be 0 or more"),
        ({"poke.step": "1.5"}, "'1.5' is not a valid whole number"),
        ({"poke.step": "1", "poke.factor": "inf"}, "'poke.factor' is inf; it must be a finite number"),
        ({"poke.step": "1", "poke.factor": "nan"}, "'poke.factor' is nan; it must be a finite number"),
    ],
)
def test_a_wrong_poke_is_refused(changes: dict[str, str], message: str, is_poked: bool) -> None:
    recipe = replace(find_recipe("tiny"), poke=Poke(step=0) if is_poked else None)
    with pytest.raises(UsageError) as caught:
        recipe.with_values(changes)
    assert message in str(caught.value)


def test_a_poke_needs_its_step() -> None:
    with pytest.raises(UsageError, match=r"'poke\.step' is missing"):
        find_recipe("tiny").with_values({"poke.factor": "1.01"})


def test_an_unknown_key_is_told_what_a_poke_would_have() -> None:
    with pytest.raises(UsageError, match=r"train_share, poke\.step, poke\.factor\."):
        find_recipe("tiny").with_values({"lr": 3})


def test_values_are_parsed_by_the_type_of_their_field() -> None:
    changes = {
        "network.widths": "8, 16",
        "augment.flip": "none",
        "tta": "true",
        "batch_size": "64",
        "epochs": "0.5",
    }
    recipe = find_recipe("tiny").with_values(changes)
    assert recipe.network.widths == (8, 16)  # type: ignore[union-attr]
    assert (recipe.augment.flip, recipe.tta, recipe.batch_size, recipe.epochs) == ("none", True, 64, 0.5)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epoch", "3", "unknown recipe key 'epoch' (did you mean 'epochs'?)"),
        ("optimiser.lr", "3", "(did you mean 'optimizer.lr'?)"),
        ("lr", "3", "unknown recipe key 'lr'"),
        ("optimizer", "3", "unknown recipe key 'optimizer'"),
        ("epochs.x", "3", "unknown recipe key 'epochs.x'"),
        ("epochs", "many", "'many' is not a valid number"),
        ("epochs", "-1", "must be 0 or more"),
        ("epochs", "nan", "finite"),
        ("optimizer.lr", "inf", "finite"),
        ("batch_size", "1.5", "'1.5' is not a valid whole number"),
        ("batch_size", "0", "must be 1 or more"),
        ("optimizer.lr", "0", "must be above 0"),
        ("optimizer.momentum", "1", "must be in [0, 1)"),
        ("optimizer.whiten_bias_epochs", "-1", "must be 0 or more"),
        ("network.whiten_stride", "0", "must be 1 or more"),
        ("tta", "maybe", "not a valid true or false"),
        ("augment.flip", "altrnating", "(did you mean 'alternating'?)"),
        ("network.widths", "8,x", "'x' is not a valid whole number"),
        ("network.widths", "", "network.widths"),
        ("network.widths", "0,8", "network.widths"),
        ("train_share", "0", "above 0"),
        ("train_share", "1.1", "at most 1"),
    ],
)
def test_wrong_values_are_refused_by_name(key: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_recipe("tiny").with_values({key: value})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 1.5),
        ("epochs", "3"),
        ("epochs", True),
        ("name", 3),
        ("tta", 1),
        ("poke", 3),
        ("poke", Augment()),
        ("network", Augment()),
        ("augment", None),
    ],
)
def test_values_given_in_python_have_the_declared_type(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{key}.*not a valid"):
        replace(find_recipe("tiny"), **{key: value})


def test_muon_needs_its_network() -> None:
    values = find_recipe("tiny").to_dict() | {"network": {"kind": "ResNet9Net"}}
    with pytest.raises(UsageError, match="Use SGD"):
        Recipe.from_dict(values)


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'tiny'"):
        find_recipe("tinny")


def test_assignments() -> None:
    assert parse_assignments(["epochs=4", "optimizer.lr = 0.1"]) == {"epochs": "4", "optimizer.lr": "0.1"}
    for text in ("epochs", "=4"):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            parse_assignments([text])


def test_toml_file_changes_its_base(tmp_path: Path) -> None:
    path = tmp_path / "longer.toml"
    path.write_text('base = "airbench94"\nepochs = 16\n[optimizer]\nlr = 0.2\n[network]\nwidths = [8, 8]\n')
    recipe = find_recipe(str(path))
    assert recipe.name == "longer"
    expected = {"epochs": 16, "optimizer.lr": 0.2, "network.widths": (8, 8)}
    assert recipe.sha256 == find_recipe("airbench94").with_values(expected).sha256


def test_toml_file_pokes(tmp_path: Path) -> None:
    path = tmp_path / "poked.toml"
    path.write_text('base = "tiny"\n[poke]\nstep = 3\nfactor = 1.01\n')
    assert find_recipe(str(path)).poke == Poke(step=3, factor=1.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\n", "needs a line base"),
        ('base = "nope"\n', "needs a line base"),
        ('base = ["tiny"]\n', "needs a line base"),
        ('base = "tiny"\nepohcs = 3\n', "did you mean 'epochs'"),
        ('base = "tiny"\n[poke]\n', "unknown recipe key 'poke'"),
        ("base = [", "not valid TOML"),
    ],
)
def test_wrong_toml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_toml(path, RECIPES)
    assert message in str(caught.value)


def test_missing_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        find_recipe(str(tmp_path / "r.toml"))


def test_what_was_changed_of_a_named_recipe_is_said_by_dotted_key() -> None:
    tiny = find_recipe("tiny")
    assert changes(tiny) == {}
    assert changes(tiny.with_values({"epochs": 2, "poke.step": 3, "network.widths": "8,8"})) == {
        "epochs": 2.0,
        "network.widths": [8, 8],
        "poke.kind": "Poke",
        "poke.step": 3,
        "poke.factor": 1.001,
    }
    assert changes(replace(tiny, name="mine", epochs=2)) == {}
    longer = tiny.with_values({"epochs": 2})
    assert (described(tiny), described(longer)) == (tiny.title, f"{longer.title}, epochs = 2.0")
