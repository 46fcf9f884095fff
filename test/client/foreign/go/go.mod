module participant

go 1.23

require (
	github.com/dtm-labs/dtm v1.19.0
	github.com/go-sql-driver/mysql v1.10.1
	github.com/lib/pq v1.10.7
	github.com/redis/go-redis/v9 v9.5.1
)
