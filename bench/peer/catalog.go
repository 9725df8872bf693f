package peer

// Reference is the system in the denominator of every ratio.
const Reference = "Genie"

// Systems lists the measured systems, Genie first.
func Systems() []System {
	return []System{
		genieSystem(),
		lockedMap(),
		clonedMap(),
		syncMap(),
		xsyncMap(),
		goCache(),
		otterCache(),
		fastCache(),
		memDB(),
		buntMemory(),
		buntLog(),
		boltUnsynced(),
		boltSynced(),
		channelActor(),
		protoActor(),
	}
}

// ByName finds a system in the catalog.
func ByName(name string) (System, bool) {
	for _, s := range Systems() {
		if s.Name == name {
			return s, true
		}
	}
	return System{}, false
}

// Named returns a system that the catalog must have.
func Named(name string) System {
	system, ok := ByName(name)
	if !ok {
		panic("no system is named " + name)
	}
	return system
}
