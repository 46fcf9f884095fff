// One delivery handled by DTM's own Go client: participant PORT TYPE GID BRANCH OP. Its effect is a row in `effects`.
package main

import (
	"database/sql"
	"fmt"
	"os"

	"github.com/dtm-labs/dtm/client/dtmcli"
	_ "github.com/go-sql-driver/mysql"
)

func main() {
	port, transType, gid, branch, op := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	db, err := sql.Open("mysql", "root@tcp(127.0.0.1:"+port+")/dtm_barrier")
	if err == nil {
		var barrier *dtmcli.BranchBarrier
		if barrier, err = dtmcli.BarrierFrom(transType, gid, branch, op); err == nil {
			err = barrier.CallWithDB(db, func(tx *sql.Tx) error {
				_, err := tx.Exec("insert into effects (gid, op, who) values (?, ?, 'go')", gid, op)
				return err
			})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
