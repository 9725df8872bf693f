// Package crash has tests only. They run a store in real processes, which are
// killed, restarted, traced, and given too little room. The processes are the
// test's own program in another role.
package crash
