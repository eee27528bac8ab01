"""How another team reads the platform's facts in Python: a durable pull consumer on the stream
EVENTS of its own NATS account. Prints one JSON line per fact, then acknowledges it.

NATS_URL=... NATS_CREDS=nats.creds python subscribe.py --limit 10 --seconds 60
"""

import argparse
import asyncio
import json
import os
import sys
import time
from urllib.parse import unquote

import nats
from nats.errors import TimeoutError as NothingYet

# The position in the stream is kept by the server under this name: stop and go on as you like.
DURABLE = "example-python"


async def subscribe(limit: float, seconds: float) -> None:
    url, creds = os.environ["NATS_URL"], os.environ["NATS_CREDS"]
    connected = asyncio.Event()

    async def report(error: Exception) -> None:
        if connected.is_set():
            print(f"subscribe: {error}", file=sys.stderr)

    # The first connection is tried once, so that wrong credentials end it; later ones are tried again.
    client = await nats.connect(url, user_credentials=creds, allow_reconnect=False, error_cb=report)
    client.options["allow_reconnect"] = True
    connected.set()
    consumer = await client.jetstream().pull_subscribe(">", durable=DURABLE, stream="EVENTS")
    deadline = time.monotonic() + seconds
    while limit > 0 and (left := deadline - time.monotonic()) > 0:
        try:
            messages = await consumer.fetch(batch=int(min(limit, 100)), timeout=min(left, 5))
        except NothingYet:
            continue
        for message in messages:
            show(message)
            await message.ack_sync()
            limit -= 1
    await client.close()


def show(message) -> None:
    """A fact may come twice: keep (aggregate, version) of what you handled, skip what is not newer."""
    headers = {name.lower(): unquote(value) for name, value in message.headers.items()}
    fact = {
        "id": headers["ce-id"],
        "type": headers["ce-type"],
        "team": message.subject.split(".")[4],
        "subject": headers["ce-subject"],
        "version": int(headers["ce-sequence"]),
    }
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=float("inf"), help="end after so many facts")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time")
    arguments = parser.parse_args()
    try:
        asyncio.run(subscribe(arguments.limit, arguments.seconds))
    except KeyError as missing:
        sys.exit(f"subscribe: set {missing} (NATS_URL: the broker, NATS_CREDS: your team's .creds file)")
    except Exception as error:
        sys.exit(f"subscribe: cannot read EVENTS with {os.environ.get('NATS_CREDS')}: {error}")
