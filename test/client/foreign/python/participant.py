"""One delivery handled by DTM's Python client: mysql PORT TYPE GID BRANCH OP. Its effect is a row in `effects`. The op
`check` is a message's check-back."""

import sys

import pymysql
from dtmcli import barrier, utils

port, trans_type, gid, branch, op = sys.argv[2:7]
connection = pymysql.connect(host="127.0.0.1", port=int(port), user="root", database="dtm_barrier")


def work(cursor):
    cursor.execute("insert into effects (gid, op, who) values (%s, %s, 'python')", (gid, op))


one = barrier.BranchBarrier(trans_type, gid, branch, op)
try:
    if op == "check":
        one.query_prepared(connection.cursor())
    else:
        one.call(connection.cursor(), work)
except utils.DTMFailureError as no:
    sys.exit(f"FAILURE: {no}")
finally:
    connection.close()
