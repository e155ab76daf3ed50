"""`helm test`: a mail that is sent to the receiver is found by the API."""

import json
import os
import smtplib
import sys
import time
import uuid
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

SECONDS = 90
subject = f"helm test {uuid.uuid4()}"
token = Path(os.environ["TOKEN_FILE"]).read_text().partition("\n")[0].strip()
sender, recipient = os.environ["SENDER"], os.environ["RECIPIENT"]
mail = f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nhelm test\r\n"


class Introduced(smtplib.SMTP):
    """Begins as a load balancer of `proxyProtocol` does; its peer is this pod."""

    def _get_socket(self, host, port, timeout):
        connected = super()._get_socket(host, port, timeout)
        connected.sendall(b"PROXY UNKNOWN\r\n")
        return connected


def send(way):
    with way(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"]), timeout=60) as smtp:
        smtp.sendmail(sender, [recipient], mail)


try:
    send(smtplib.SMTP)
except (smtplib.SMTPServerDisconnected, ConnectionResetError):
    send(Introduced)  # this pod's network is one of those that have to say who is behind them
print(f"sent to {recipient}")
url = f"{os.environ['API']}/api/v1/mails?subject={quote(subject)}"
until = time.monotonic() + SECONDS
while time.monotonic() < until:
    try:
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=20) as answer:
            items = json.load(answer)["items"]
    except URLError as error:
        print(error)
        items = []
    if items and items[0]["terminal"]:
        print(f"found: {items[0]['mail_id']} is {items[0]['status']} ({items[0]['detail']})")
        sys.exit(0)
    time.sleep(1)
sys.exit(f"not found within {SECONDS} s")
