package peer

// Reference is the system that every ratio is taken against.
const Reference = "Genie"

// Systems lists everything that is measured, Genie first.
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
