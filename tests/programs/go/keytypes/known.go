package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// Route has an address, a duration and a string.
type Route struct {
	To    netip.Addr
	After time.Duration
	Via   string
}

// known is types of Go's library whose keys read as the program prints them.
func known() []table {
	return append([]table{
		watch(addresses()...),
		watch(printed(
			netip.MustParseAddrPort("10.0.0.7:443"),
			netip.MustParseAddrPort("[2001:db8::1]:443"),
			netip.AddrPort{},
		)...),
		watch(printed(
			netip.MustParsePrefix("10.0.0.0/24"),
			netip.MustParsePrefix("2001:db8::/32"),
			netip.Prefix{},
		)...),
		watch(printed(0, time.Nanosecond, 1500*time.Millisecond, -time.Hour, 90*time.Minute)...),
		watch(printed(
			reflect.TypeOf(0), reflect.TypeOf(""), reflect.TypeOf(Route{}), reflect.TypeOf(&Route{}),
			reflect.TypeOf(map[string]int{}),
		)...),
		watch(
			k(Route{netip.MustParseAddr("10.0.0.7"), time.Minute, "a"},
				`{To:10.0.0.7 After:1m0s Via:"a"}`),
			k(Route{netip.MustParseAddr("::1"), 0, "b"}, `{To:::1 After:0s Via:"b"}`),
		),
		watch(
			k[any](netip.MustParseAddr("10.0.0.7"), "netip.Addr(10.0.0.7)"),
			k[any](reflect.TypeOf(Route{}), "main.Route"),
		),
	}, newer()...)
}

// Two addresses that are equal are one key, however they were made.
func addresses() []key[netip.Addr] {
	keys := printed(
		netip.MustParseAddr("10.0.0.7"),
		netip.MustParseAddr("::ffff:10.0.0.7"),
		netip.MustParseAddr("2001:db8::1"),
		netip.MustParseAddr("fe80::1%eth0"),
		netip.MustParseAddr("::ffff:10.0.0.7%eth1"),
		netip.Addr{},
	)
	return keys
}

// printed is keys that are to be shown as Go prints them.
func printed[K comparable](keys ...K) []key[K] {
	var all []key[K]
	for _, it := range keys {
		all = append(all, k(it, fmt.Sprint(it)))
	}
	return all
}
