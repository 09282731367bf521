"""What users do, in an order in which it makes sense. Each scenario is a function that is given a `World`."""

from dataclasses import dataclass

from ..client import Server, Session
from ..mail import Inbox


@dataclass
class World:
    """What every scenario starts with."""

    server: Server
    nobody: Session
    admin: Session | None
    inbox: Inbox | None
