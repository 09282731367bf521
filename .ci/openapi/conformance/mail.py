"""An SMTP server that keeps what it gets."""

import email
import email.policy
import re
import time
from urllib.parse import urlsplit

from aiosmtpd.controller import Controller


class Inbox:
    """Listens at `HOST:PORT` until closed."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._mails: list[tuple[list[str], str]] = []
        self._controller = Controller(self, hostname=host, port=int(port))
        self._controller.start()

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self._mails.append((envelope.rcpt_tos, message.get_body(("plain",)).get_content()))
        return "250 OK"

    def link(self, recipient: str) -> str:
        """Path and query of the link in the next mail to somebody, which may have to come yet."""
        for _ in range(100):
            for mail in self._mails:
                if recipient in mail[0]:
                    self._mails.remove(mail)
                    parts = urlsplit(re.search(r"https?://\S+", mail[1]).group())
                    return f"{parts.path}?{parts.query}"
            time.sleep(0.1)
        raise TimeoutError(f"no mail to {recipient}")

    def close(self) -> None:
        self._controller.stop()
