"""Promotion where pointer, alias or version are not what they should be: refused, or repaired."""

import pytest

from include.champion import versions
from include.champion.registry import Registry
from include.errors import ChampionError, RegistryError
from tests.include.conftest import Judged, MakeRun, evaluate, lineage_of, promote, promote_judged
from tests.include.training.production import assert_whole

pytestmark = pytest.mark.slow  # a training run or two for each test


def test_an_alias_without_a_pointer_stops_everything(make_run: MakeRun, champion: Judged) -> None:
    champion.run.store.delete(versions.POINTER_KEY)
    with pytest.raises(RegistryError, match=r"make rollback VERSION=\d .*delete the alias"):
        promote(make_run("second"))


@pytest.mark.usefixtures("weak_champion")
def test_a_lagging_alias_is_repaired(make_run: MakeRun, registry: Registry) -> None:
    promote(make_run("strong"))
    registry.set_champion("1")
    promote(make_run("again"))
    assert registry.champion() == "2"


@pytest.mark.parametrize("damage", ["pointer", "manifest", "model", "missing model"])
def test_an_unreadable_champion_never_makes_room_for_another(
    make_run: MakeRun, champion: Judged, registry: Registry, damage: str
) -> None:
    run = champion.run
    broken = {
        "pointer": versions.POINTER_KEY,
        "manifest": "champion/versions/1/manifest.json",
        "model": "champion/versions/1/model.onnx",
        "missing model": "champion/versions/1/model.onnx",
    }[damage]
    if damage == "missing model":
        run.store.delete(broken)
    else:
        run.store.write(broken, b"torn")
    before = run.store.read(versions.POINTER_KEY).data
    with pytest.raises(ChampionError):
        promote(make_run("second"))
    assert run.store.read(versions.POINTER_KEY).data == before
    assert registry.champion() == "1"


@pytest.mark.usefixtures("weak_champion")
def test_who_loses_the_race_decides_again(make_run: MakeRun, registry: Registry) -> None:
    late, early = make_run("late"), make_run("early")
    late_lineage = lineage_of(late)
    late_evaluated = evaluate(late, late_lineage)
    assert promote(early).version == "2"
    promoted = promote_judged(late, late_lineage, late_evaluated)
    assert (promoted.outcome, promoted.moved) == ("rejected", False)
    assert late.read_json(late_evaluated.gate)["champion"] == "2"
    assert_whole(late.store, registry, "2")
