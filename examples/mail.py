"""A newsletter by SMTP: at a decent rate, patiently with a server that says "later", and to nobody twice.

    python -m aiosmtpd -n -l localhost:8025                     a server that prints what it gets (pip install aiosmtpd)
    understudy run examples/mail.py:newsletter --id 2026-11 --input '{
        "issue": {"id": "2026-11", "subject": "News", "text": "None."},
        "to": ["ada@example.org", "grace@example.org"], "relay": {"host": "localhost", "port": 8025}}'

With the same `--id` it is the same run, which goes on where it was killed, and is not done again.

What SMTP can promise, and what not. A server that has answered the end of a mail with 250 has it, and one that has
answered 4xx or 5xx has not. If the connection or our node dies before the answer, nobody on this side can know: SMTP
has no question for it. Understudy never repeats such a call by itself (`OperationUncertain`); what then is up to us:

* Every mail has a Message-ID made of issue and address, so that it is the same whenever and by whomever it is sent
  again. Many servers and readers drop the second of two; SMTP does not make them.
* `Relay.archive` is a Maildir in which the server keeps a copy of all it has accepted (Postfix: `always_bcc`). With it
  we look, after a while, and send again only what is not there. Without it the mail is reported as "unknown".
"""

from __future__ import annotations

import asyncio
import hashlib
import mailbox
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from understudy import App, OperationUncertain, Resource, operation, seconds

app = App("mail")

PATIENCE = ["1m", "10m", "1h", "4h"]
"""When a server says "later": how much later. Those that keep strangers waiting do so for some minutes."""
SETTLED = seconds("1m")
"""After so long a mail that was under way when we lost sight of it has arrived in the archive, or never will."""

Fate = Literal["sent", "refused", "gave up", "unknown"]


@dataclass
class Relay:
    """`archive`: the Maildir of what it has accepted, if it has one."""

    host: str = "localhost"
    port: int = 25
    sender: str = "news@example.org"
    archive: str = ""


@dataclass
class Issue:
    """`id` is what nobody gets twice."""

    id: str
    subject: str
    text: str


class TryLater(Exception):
    """The server has not taken it, and may do so another time (4xx, or it is not there)."""


class Refused(Exception):
    """The server will never take it (5xx)."""


class LostSight(Exception):
    """The connection broke when all had been said and nothing been answered."""


@app.workflow
async def newsletter(issue: Issue, to: list[str], relay: Relay) -> dict[str, Fate]:
    """What became of the mail to each. The rate is the relay's, however many newsletters are under way."""
    fates = await asyncio.gather(*(deliver(issue, address, relay) for address in to))
    return dict(zip(to, fates, strict=True))


async def deliver(issue: Issue, address: str, relay: Relay) -> Fate:
    async with Smtp.at(relay.host, relay).lease() as smtp:
        for delay in [*PATIENCE, None]:
            try:
                await smtp.send(issue, address)
                return "sent"
            except Refused:
                return "refused"
            except (LostSight, OperationUncertain):
                if not relay.archive:
                    return "unknown"
                await asyncio.sleep(SETTLED)
                if await smtp.has(message_id(issue, address)):
                    return "sent"
            except TryLater:
                if delay is not None:
                    await asyncio.sleep(seconds(delay))
    return "gave up"


@app.resource(capacity=1_000)
class Smtp(Resource[Relay, Relay]):
    """A server that is there already: nobody makes or ends it. Leases are its users; the rate is for all of them."""

    @operation(rate="10/s", concurrency=4, raises=[TryLater, Refused, LostSight])
    def send(self, relay: Relay, issue: Issue, address: str, fence: int = 0) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = relay.sender, address, issue.subject
        mail["Message-ID"] = message_id(issue, address)
        mail.set_content(issue.text)
        try:
            server = smtplib.SMTP(relay.host, relay.port, timeout=30)
        except OSError as error:  # smtplib's own errors are such, too
            raise TryLater(str(error)) from None
        try:
            server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _no(*refused.recipients[address]) from None
        except smtplib.SMTPResponseException as refused:
            raise _no(refused.smtp_code, refused.smtp_error) from None
        except OSError as error:
            raise LostSight(str(error)) from None
        finally:
            server.close()  # without QUIT: what it would answer to that is no news of the mail

    @operation
    def has(self, relay: Relay, message_id: str, fence: int = 0) -> bool:
        """Whether the server has accepted it, by its archive."""
        archive = mailbox.Maildir(relay.archive, create=False)
        return any(mail["Message-ID"] == message_id for mail in archive)


def _no(code: int, said: bytes | str) -> Exception:
    text = f"{code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return TryLater(text) if 400 <= code < 500 else Refused(text)


def message_id(issue: Issue, address: str) -> str:
    """The mail's idempotency key: who gets what. It does not depend on run, attempt or node."""
    return f"<{hashlib.sha256(f'{issue.id} {address}'.encode()).hexdigest()[:32]}@understudy.example>"
