"""A participant in Python, with the standard library only: a hotel whose rooms are in SQLite, behind the barrier.

The coordinator says in the query which branch and op a call is for. 200 means done, 409 no; anything else is asked
again. DTM's own Python client, dtmcli, does the same on MySQL.
"""

import json
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

db = sqlite3.connect(":memory:", isolation_level=None)
db.execute("create table rooms (free int)")
db.execute("insert into rooms values (1)")
db.execute(
    "create table barrier (trans_type, gid, branch_id, op, barrier_id, reason,"
    " unique (gid, branch_id, op, barrier_id))"
)


class Refused(Exception):
    """A definite no: everything done so far is undone."""


def barrier(ids, business):
    """Runs business once, in one transaction with the barrier's rows: never for a repeat, never for a compensation
    without its action, never for an action that comes after its compensation."""

    def insert(op, reason):
        row = (ids["trans_type"], ids["gid"], ids["branch_id"], op, "01", reason)
        return db.execute("insert or ignore into barrier values (?, ?, ?, ?, ?, ?)", row).rowcount

    op = ids["op"]
    origin = {"compensate": "action", "rollback": "action", "cancel": "try"}.get(op)
    with db:  # commits, or rolls back when something is raised
        db.execute("begin immediate")
        origin_was_free = origin is not None and insert(origin, op) == 1
        if insert(op, op) == 1 and not origin_was_free:
            business()


def book():
    if db.execute("update rooms set free = free - 1 where free > 0").rowcount == 0:
        raise Refused("the hotel is full")


def cancel():
    db.execute("update rooms set free = free + 1")


ops = {"/book": book, "/book/compensate": cancel}


class Hotel(BaseHTTPRequestHandler):
    def do_POST(self):
        url = urlsplit(self.path)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            barrier(dict(parse_qsl(url.query)), ops[url.path])
            self.answer(200, {"dtm_result": "SUCCESS"})
        except Refused as no:
            self.answer(409, {"dtm_result": "FAILURE", "error": str(no)})
        except Exception as problem:
            self.answer(500, {"error": str(problem)})

    def do_GET(self):
        if urlsplit(self.path).path != "/rooms":
            return self.do_POST()
        self.answer(200, {"free": db.execute("select free from rooms").fetchone()[0]})

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Hotel)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
