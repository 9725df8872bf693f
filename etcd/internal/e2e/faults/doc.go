// Package faults has tests only. Each runs a cluster of three etcd servers, three replicas of one
// keyspace and many workers, injects faults, and checks what the replicas promise:
//
//   - One order of all calls explains every result: a Sync and a View, Set, SetWithTTL, Delete,
//     Update. In it, no lease ends an entry before its time, nor one that was taken off the lease.
//   - Every write that was acknowledged is in a fresh replica. When all leases have ended, what was
//     taken off one is there, and what was not is gone.
//   - In the end the replicas, a fresh one and the cluster have the same entries.
//   - The changes that a Watch gives add up to those entries. Each step fits the one before,
//     and none shows half an Update.
//
// The faults are of servers, of the network between a replica and the servers, and of the network
// between servers: partition_test.go has those.
//
// A write with an unknown outcome is counted, and may have happened or not.
//
// TestEveryFaultOnce takes each fault once. With GENIE_LONG set, TestLong runs each fault again
// and again for as long as [lengthVariable] says, and logs its counts:
//
//	GENIE_LONG=1 GENIE_FAULTS_LENGTH=60s go test -run TestLong -timeout 1h -v ./faults
//
// Negative controls show that every check finds the fault that it looks for. The flag -artifacts
// of go test keeps a page with a history that is not linearizable.
package faults

// lengthVariable names the variable of the environment that has the length of a long run, as
// [time.ParseDuration] takes it; it is 30s unless told.
const lengthVariable = "GENIE_FAULTS_LENGTH"
