"""Who uses the dashboard, and what that person may do: look, or also note, list and upload."""

from dataclasses import dataclass

from flask import g, has_app_context

from include.errors import ChurnError
from include.roles import ROLES, Role


@dataclass(frozen=True)
class Person:
    """Somebody who signed in; without a name where all share a password, or nobody is asked."""

    name: str
    role: Role

    def may_act_as(self, role: Role) -> bool:
        """Whether the person's role is this one, or one that may do more."""
        return ROLES.index(self.role) >= ROLES.index(role)


SHARED = Person("", "admin")
NOBODY = Person("", "viewer")  # such as in Dash's own look at the pages, before the first request


class NotAllowed(ChurnError):
    """A person's role is not enough; the message says which one is."""


def come(person: Person) -> None:
    """Say who makes the present request."""
    g.person = person


def present() -> Person:
    """Who makes the present request; somebody who may only look where nobody said who it is."""
    found: Person = g.get("person", NOBODY) if has_app_context() else NOBODY
    return found


def may_write() -> bool:
    """Whether the present person may change what others see."""
    return present().may_act_as("operator")


def writer() -> Person:
    """The present person, who may change what others see; NotAllowed for a viewer."""
    if not may_write():
        raise NotAllowed(
            "you may look here and change nothing: whoever manages your accounts can give you the "
            "role operator, which takes effect when you sign in again"
        )
    return present()
