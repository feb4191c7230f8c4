// Package service starts real servers for tests: databases and what stands in
// front of them, on the loopback interface, in a folder of their own, for as long
// as a test runs. They are the programs that are installed, or those that
// GATEHOUSE_TEST_POSTGRES_BIN, GATEHOUSE_TEST_PGBOUNCER and GATEHOUSE_TEST_REDIS
// name, started as a person would start them, so they can also be stopped, killed
// and started again in the middle of a test. Where the program is missing the test
// fails, and says what to install: a test that is left out proves nothing.
package service
