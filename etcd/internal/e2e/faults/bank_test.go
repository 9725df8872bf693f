package faults

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/etcd"
)

// The accounts of a bank start with the same sum. Updates move money between two of them, so the
// total is the same at every revision. A view that shows another total shows half an Update.
const (
	accounts = 4
	deposit  = 1000
)

func account(n int) string { return "account/" + strconv.Itoa(n%accounts) }

// A getter is a View or a Tx.
type getter interface {
	Get(key string) (string, bool)
}

// audit returns an error if the accounts do not hold the total. Before the bank is open, no
// account exists.
func audit(g getter) error {
	total, open := 0, 0
	for n := range accounts {
		text, ok := g.Get(account(n))
		if !ok {
			continue
		}
		sum, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		total, open = total+sum, open+1
	}
	if open != 0 && (open != accounts || total != accounts*deposit) {
		return fmt.Errorf("%d of %d accounts hold %d in all, and not %d", open, accounts, total, accounts*deposit)
	}
	return nil
}

func openBank(tx *etcd.Tx) error {
	for n := range accounts {
		tx.Set(account(n), strconv.Itoa(deposit))
	}
	return nil
}

// transfer moves 1 from an account to another.
func transfer(tx *etcd.Tx, from, to string) error {
	if err := addTo(tx, from, -1); err != nil {
		return err
	}
	return addTo(tx, to, 1)
}

func addTo(tx *etcd.Tx, key string, n int) error {
	text, _ := tx.Get(key)
	sum, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q has no number: %w", key, err)
	}
	tx.Set(key, strconv.Itoa(sum+n))
	return nil
}

// entries are a getter of a map.
type entries map[string]string

func (e entries) Get(key string) (string, bool) {
	value, ok := e[key]
	return value, ok
}

func TestAuditFindsHalfATransfer(t *testing.T) {
	bank := entries{}
	require.NoError(t, audit(bank))
	for n := range accounts {
		bank[account(n)] = strconv.Itoa(deposit)
	}
	require.NoError(t, audit(bank))
	bank[account(0)] = strconv.Itoa(deposit - 1)
	require.Error(t, audit(bank))
	bank[account(1)] = strconv.Itoa(deposit + 1)
	require.NoError(t, audit(bank))
	delete(bank, account(2))
	require.Error(t, audit(bank))
}
