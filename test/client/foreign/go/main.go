// One delivery handled by DTM's own Go client: participant STORE PORT TYPE GID BRANCH OP. Its effect is a row in
// `effects`, on Redis a number. The op `check` is a message's check-back.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"github.com/dtm-labs/dtm/client/dtmcli"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/lib/pq"
	"github.com/redis/go-redis/v9"
)

const week = 7 * 24 * 3600

func onSQL(driver, source, insert string, barrier *dtmcli.BranchBarrier) error {
	dtmcli.SetCurrentDBType(driver)
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	if barrier.Op == "check" {
		return barrier.QueryPrepared(db)
	}
	return barrier.CallWithDB(db, func(tx *sql.Tx) error {
		_, err := tx.Exec(insert, barrier.Gid, barrier.Op)
		return err
	})
}

func onRedis(port string, barrier *dtmcli.BranchBarrier) error {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	if barrier.Op == "check" {
		return barrier.RedisQueryPrepared(client, week)
	}
	// Their script refuses a number that is not there.
	key := "effects " + barrier.Gid + " go " + barrier.Op
	if err := client.SetNX(context.Background(), key, 0, 0).Err(); err != nil {
		return err
	}
	return barrier.RedisCheckAdjustAmount(client, key, 1, week)
}

func handle(store, port string, barrier *dtmcli.BranchBarrier) error {
	switch store {
	case "mysql":
		insert := "insert into effects (gid, op, who) values (?, ?, 'go')"
		return onSQL("mysql", "root@tcp(127.0.0.1:"+port+")/dtm_barrier", insert, barrier)
	case "postgres":
		insert := "insert into dtm_barrier.effects (gid, op, who) values ($1, $2, 'go')"
		source := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
		return onSQL("postgres", source, insert, barrier)
	case "redis":
		return onRedis(port, barrier)
	}
	return fmt.Errorf("no such store: %s", store)
}

func main() {
	barrier, err := dtmcli.BarrierFrom(os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	if err == nil {
		err = handle(os.Args[1], os.Args[2], barrier)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
