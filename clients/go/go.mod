module github.com/snowfleet/snowfleet/clients/go

go 1.19
