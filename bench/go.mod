module github.com/cofferhq/coffer/bench

go 1.26
