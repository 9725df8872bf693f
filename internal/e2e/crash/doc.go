// Package crash has tests only: of the store in real processes, which are
// killed, traced, and given too little room.
package crash
