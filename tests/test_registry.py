"""The table of one plug-in kind."""

from __future__ import annotations

import pytest

from plait._registry import Registry
from plait.exceptions import InputError


@pytest.fixture
def colours() -> Registry[type]:
    registry: Registry[type] = Registry("colour")

    @registry.register("red")
    class Red: ...

    @registry.register("blue")
    class Blue: ...

    return registry


def test_names_are_sorted_and_found(colours: Registry[type]) -> None:
    assert list(colours) == ["blue", "red"]
    assert len(colours) == 2
    assert "red" in colours
    assert "green" not in colours
    assert colours["red"].__name__ == "Red"


def test_the_decorator_gives_the_plugin_back(colours: Registry[type]) -> None:
    class Green: ...

    assert colours.register("green")(Green) is Green


def test_a_name_cannot_be_taken_twice(colours: Registry[type]) -> None:
    with pytest.raises(ValueError, match=r"colour 'red' is registered twice: .*Red.* and .*Other"):

        @colours.register("red")
        class Other: ...

    assert colours["red"].__name__ == "Red"


def test_an_unknown_name_is_told_with_a_guess(colours: Registry[type]) -> None:
    with pytest.raises(InputError) as told:
        colours["rde"]
    assert str(told.value) == "There is no colour called 'rde': did you mean red? (known: blue, red)."
