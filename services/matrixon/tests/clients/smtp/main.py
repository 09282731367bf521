"""A real SMTP server for the end-to-end tests: STARTTLS and a log-in are required.

usage: main.py PORT DIRECTORY CERTIFICATE KEY

Each mail that is accepted becomes a file in DIRECTORY, whole from the moment it is there. `busy@…` is put off once
before it is accepted, `refused@…` is never accepted.
"""

import asyncio
import collections
import email
import email.policy
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"matrixon", b"smtp password"


class Mailbox:
    def __init__(self, directory):
        self.directory = directory
        self.count = 0
        self.seen = collections.Counter()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        self.seen[address] += 1
        if name.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        if name.startswith("busy") and self.seen[address] <= 1:
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: message.get_body((kind,)).get_content()
        mail = {
            "to": envelope.rcpt_tos,
            "from": message["from"],
            "subject": message["subject"],
            "automatic": message["auto-submitted"],
            "text": part("plain"),
            "html": part("html"),
            "tls": session.ssl is not None,
            "authenticated": bool(session.authenticated),
        }
        self.count += 1
        path = self.directory / f"{self.count:06}.json"
        hidden = path.with_suffix(".tmp")
        hidden.write_text(json.dumps(mail))
        hidden.rename(path)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = mechanism in ("LOGIN", "PLAIN") and (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=right)


async def main():
    port, directory, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    mailbox = Mailbox(pathlib.Path(directory))

    def serve():
        return SMTP(
            mailbox,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", int(port))
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
