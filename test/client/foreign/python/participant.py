"""One delivery handled by DTM's Python client: PORT TYPE GID BRANCH OP. Its effect is a row in `effects`."""

import sys

import pymysql
from dtmcli import barrier

port, trans_type, gid, branch, op = sys.argv[1:6]
connection = pymysql.connect(host="127.0.0.1", port=int(port), user="root", database="dtm_barrier")


def work(cursor):
    cursor.execute("insert into effects (gid, op, who) values (%s, %s, 'python')", (gid, op))


barrier.BranchBarrier(trans_type, gid, branch, op).call(connection.cursor(), work)
connection.close()
